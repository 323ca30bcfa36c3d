"""The page of error codes and the classes agree: codes, names, gRPC statuses, exit codes, what to try again."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hippo_client.cli.failures import exit_code
from hippo_core.errors import HippoError, InvalidStudy, InvariantViolated, Standby, TooManyCalls, error_json
from hippo_storage.errors import StateError
from hippo_wire.errors import to_wire

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "errors.md"
PACKAGES = ("hippo_core", "hippo_storage", "hippo_wire", "hippo_client", "hippo_server", "hippo_worker")
ROW = re.compile(r"^\| \[(\w+)\]\(#(\w+)\) \| `(\w+)` \| (\w+) \| (\d+) \| (yes|no) \|$", re.MULTILINE)
DEFINES_ERROR = re.compile(r"^class \w+\(.*\):$\n(?:.*\n){0,30}?    code = ", re.MULTILINE)


def subclasses(kind: type[HippoError]) -> Iterator[type[HippoError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from subclasses(each)


def import_all_that_define_errors() -> None:
    for package in PACKAGES:
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            spec = module.module_finder.find_spec(module.name, None)  # type: ignore[call-arg]
            assert spec is not None
            assert spec.origin is not None
            if DEFINES_ERROR.search(Path(spec.origin).read_text()):
                importlib.import_module(module.name)


import_all_that_define_errors()
KINDS = sorted(
    {
        each
        for each in subclasses(HippoError)
        if each.__module__.split(".")[0] in PACKAGES and "code" in vars(each)
    },
    key=lambda each: each.__name__,
)
#: Of a trainer, not of a call: told as a trial's reason, under the code of what is invalid.
UNDER_ANOTHERS_CODE = {"InvalidTrainer"}
ROWS = {
    name: (code, anchor, status, int(exits), again)
    for code, anchor, name, status, exits, again in ROW.findall(PAGE.read_text())
}


def example(kind: type[HippoError]) -> HippoError:
    if issubclass(kind, InvalidStudy | StateError):
        return kind("field", "is wrong")
    if issubclass(kind, TooManyCalls):
        return kind("too many", 1.0)
    if issubclass(kind, Standby):
        return kind("other", "host:1")
    if issubclass(kind, InvariantViolated):
        return kind("no", ("story",))
    return kind("is wrong")


def test_the_page_has_every_class_and_no_other() -> None:
    assert {each.__name__ for each in KINDS} - UNDER_ANOTHERS_CODE == set(ROWS)
    codes = [row[0] for row in ROWS.values()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", [each for each in KINDS if each.__name__ not in UNDER_ANOTHERS_CODE])
def test_a_row_says_what_the_code_does(kind: type[HippoError]) -> None:
    error = example(kind)
    code, anchor, status, exits, again = ROWS[kind.__name__]
    assert code == error.code
    assert status == to_wire(error).code.name
    assert exits == exit_code(error)
    assert again == ("yes" if error.retryable else "no")
    assert anchor == code.lower()


@pytest.mark.parametrize("name", ROWS)
def test_each_code_has_its_own_paragraph(name: str) -> None:
    text = PAGE.read_text()
    found = re.search(rf"^## {ROWS[name][0]}\n\n(\w.+)$", text, re.MULTILINE)
    assert found is not None
    assert f"`{name}`" in text


@pytest.mark.parametrize("code", [row[0] for row in ROWS.values()] + ["USAGE"])
def test_an_error_names_its_place_on_the_page(code: str) -> None:
    """The anchor is that of a heading, as GitHub and MkDocs make it."""
    file, _, anchor = error_json(code, "", "")["error"]["docs"].partition("#")
    assert PAGE.parents[2] / file == PAGE
    headings = re.findall(r"^## (\w+)$", PAGE.read_text(), re.MULTILINE)
    assert anchor in [heading.lower() for heading in headings]


def test_all_classes_are_named() -> None:
    """Also those without a code of their own."""
    for name in UNDER_ANOTHERS_CODE | {"UnknownFunction"}:
        assert f"`{name}`" in PAGE.read_text()
