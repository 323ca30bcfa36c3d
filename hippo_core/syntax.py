"""Python's syntax trees, whatever else parses at the same moment.

CPython 3.11 before 3.11.8 counts the depth of the trees that it hands out in one place for a whole interpreter. Where a
finalizer or another thread, such as a notebook's, parses in between, ``ast.parse`` ends with a ``SystemError``
("recursion depth mismatch", CPython issue 106905) although nothing is wrong with the text: it is parsed again.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TypeVar

ATTEMPTS = 10

Tree = TypeVar("Tree", bound=ast.AST)


def parse_module(source: str | bytes, filename: str = "<unknown>") -> ast.Module:
    """The tree of a module; errors are those of ``ast.parse``."""
    return _again(lambda: ast.parse(source, filename))


def parse_expression(text: str) -> ast.expr:
    """The tree of an expression; errors are those of ``ast.parse``."""
    return _again(lambda: ast.parse(text, mode="eval").body)


def _again(parse: Callable[[], Tree]) -> Tree:
    for _ in range(ATTEMPTS - 1):
        try:
            return parse()
        except SystemError:
            continue
    return parse()
