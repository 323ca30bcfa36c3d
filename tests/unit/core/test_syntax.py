"""Syntax trees: those of ast.parse, also where CPython is confused by another that parses meanwhile."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import pytest

from hippo_core import syntax

MISMATCH = SystemError("AST constructor recursion depth mismatch (before=147, after=163)")


@pytest.fixture
def confused(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Lets ast.parse fail so often; gives the calls."""
    parse = ast.parse

    def begin(failures: int) -> list[int]:
        calls: list[int] = []

        def confused_parse(*arguments: Any, **options: Any) -> ast.AST:
            calls.append(len(calls))
            if len(calls) <= failures:
                raise MISMATCH
            return parse(*arguments, **options)

        monkeypatch.setattr(ast, "parse", confused_parse)
        return calls

    return begin


@pytest.mark.parametrize("failures", [0, 1, syntax.ATTEMPTS - 1])
def test_what_is_no_fault_of_the_text_is_parsed_again(
    confused: Callable[[int], list[int]], failures: int
) -> None:
    calls = confused(failures)
    assert ast.dump(syntax.parse_module(b"x = 1", "x.py")) == ast.dump(compile("x = 1", "", "exec", 1024))
    assert len(calls) == failures + 1


def test_a_defect_that_stays_is_told(confused: Callable[[int], list[int]]) -> None:
    calls = confused(1000)
    with pytest.raises(SystemError, match="mismatch"):
        syntax.parse_expression("x <= 1")
    assert len(calls) == syntax.ATTEMPTS


def test_an_error_of_the_text_is_told_at_once(confused: Callable[[int], list[int]]) -> None:
    calls = confused(0)
    with pytest.raises(SyntaxError):
        syntax.parse_expression("x =")
    with pytest.raises(SyntaxError, match=r"file\.py"):
        syntax.parse_module("def", "file.py")
    assert len(calls) == 2
