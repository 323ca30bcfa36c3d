"""The reference of ``hippo_client``, from the signatures and docstrings of what it makes public."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from building.markdown import cell, page, prose, table
from griffe import Docstring, DocstringSection, DocstringSectionKind

import hippo_client


class _Unread(logging.Handler):
    """Makes a docstring that is laid out wrongly an error. That it states no types is no fault: signatures do."""

    def emit(self, record: logging.LogRecord) -> None:
        if "No type or annotation" not in record.getMessage():
            raise ValueError(record.getMessage())


_griffe = logging.getLogger("griffe")
_griffe.addHandler(_Unread())
_griffe.propagate = False

LINE = 88
"""How wide a signature may be before it takes a line for each argument."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the reference.

    Attributes:
        title: Its heading.
        names: What of ``hippo_client`` it describes.
        module: The module of ``hippo_client`` whose public names it describes, in place of ``names``.
    """

    title: str
    names: tuple[str, ...] = ()
    module: str = ""


PAGES = {
    "study": Page("Study and trainer", names=("Study", "Resources", "Trainer", "Context", "run")),
    "results": Page(
        "Client and results", names=("Client", "StudyHandle", "Trial", "Checkpoint", "StageTree")
    ),
    "space": Page("Spaces", module="space"),
    "schedules": Page("Schedules", module="schedules"),
    "samplers": Page("Samplers", module="samplers"),
    "policies": Page("Policies", module="policies"),
    "own-policy": Page("A policy's interface", names=("Policy", "Extend", "Stop")),
    "endings": Page("Endings", module="endings"),
    "plots": Page("Plots", module="plots"),
    "simulation": Page("Simulation", module="simulation"),
}
ELSEWHERE = {"errors"}
"""Described by hand: the page of error codes."""


def pages() -> dict[str, str]:
    """All pages, by name."""
    return {name: _page(each) for name, each in PAGES.items()}


def _page(each: Page) -> str:
    if not each.module:
        parts = [_object(f"hippo.{name}", getattr(hippo_client, name)) for name in each.names]
        return page(each.title, "`import hippo_client as hippo`", *parts)
    module = import_module(f"hippo_client.{each.module}")
    parts = [_object(f"{each.module}.{name}", getattr(module, name)) for name in module.__all__]
    imported = f"`from hippo_client import {each.module}`"
    return page(each.title, imported, prose(inspect.getdoc(module) or ""), *parts)


def _object(name: str, found: Any) -> str:
    """A section about a function or a class."""
    head = [f"## {name}" + " { #" + name.rsplit(".", 1)[-1] + " }"]
    if not inspect.isclass(found):
        return "\n\n".join([*head, *_callable(name, found)])
    if _is_made_by_users(found):
        head.append(_code(f"{name}{_signature(found)}"))
    parts = [*head, *_sections(inspect.getdoc(found) or "")]
    for member, value in _members(found):
        parts += _member(found, member, value)
    return "\n\n".join(parts)


def _is_made_by_users(found: type) -> bool:
    """Whether people write its name with arguments: not what is subclassed, or comes from a server."""
    handed_out = {"StudyHandle", "Trial", "Checkpoint", "StageTree", "Recording", "Simulated"}
    return not inspect.isabstract(found) and found.__name__ not in handed_out | {"Context", "Policy"}


def _members(found: type) -> Iterator[tuple[str, Any]]:
    """Its public methods and properties, in the order in which they are written."""
    for base in (found, *(each for each in found.__mro__[1:] if each.__module__.startswith("hippo"))):
        for name, value in vars(base).items():
            shown = isinstance(value, property | classmethod | staticmethod) or inspect.isfunction(value)
            if shown and not name.startswith("_") and (base is found or name not in vars(found)):
                yield name, value


def _member(owner: type, name: str, value: Any) -> list[str]:
    anchor = f" {{ #{owner.__name__}.{name} }}"
    if isinstance(value, property):
        return [f"### {name}{anchor}", *_sections(inspect.getdoc(value) or "")]
    function = getattr(owner, name) if isinstance(value, classmethod | staticmethod) else value
    return [f"### {name}{anchor}", *_callable(name, function)]


def _callable(name: str, function: Callable[..., Any]) -> list[str]:
    return [_code(f"{name}{_signature(function)}"), *_sections(inspect.getdoc(function) or "")]


def _signature(function: Callable[..., Any]) -> str:
    """A signature as it is called: without ``self`` and what only refuses unknown names; long, a line an argument."""
    signature = inspect.signature(function)
    parameters = [each for each in signature.parameters.values() if each.name not in ("self", "unknown")]
    shown, keywords = [], False
    for each in parameters:
        if each.kind is inspect.Parameter.KEYWORD_ONLY and not keywords:
            shown.append("*")
        keywords = keywords or each.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_POSITIONAL)
        shown.append(_parameter(each))
    returned = signature.return_annotation
    made = inspect.isclass(function) or returned in (inspect.Signature.empty, "None", None)
    end = "" if made else f" -> {_annotation(returned)}"
    on_one_line = f"({', '.join(shown)}){end}"
    if len(on_one_line) <= LINE:
        return on_one_line
    return "(\n" + "".join(f"    {each},\n" for each in shown) + f"){end}"


def _parameter(each: inspect.Parameter) -> str:
    stars = "*" if each.kind is each.VAR_POSITIONAL else "**" if each.kind is each.VAR_KEYWORD else ""
    typed = each.annotation is not inspect.Parameter.empty
    text = f"{stars}{each.name}" + (f": {_annotation(each.annotation)}" if typed else "")
    if each.default is inspect.Parameter.empty:
        return text
    return f"{text} = {each.default!r}" if typed else f"{text}={each.default!r}"


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


def _sections(docstring: str) -> list[str]:
    return [_section(each) for each in Docstring(docstring).parse("google")]


def _section(section: DocstringSection) -> str:
    match section.kind:
        case DocstringSectionKind.text:
            return prose(section.value)
        case DocstringSectionKind.parameters | DocstringSectionKind.attributes:
            head = "argument" if section.kind is DocstringSectionKind.parameters else "attribute"
            return table((head, ""), ((f"`{each.name}`", cell(each.description)) for each in section.value))
        case DocstringSectionKind.returns | DocstringSectionKind.yields:
            word = "Returns" if section.kind is DocstringSectionKind.returns else "Yields"
            return f"**{word}:** " + " ".join(cell(each.description) for each in section.value)
        case DocstringSectionKind.raises:
            raised = (f"`{each.annotation}`: {cell(each.description)}" for each in section.value)
            return "**Raises:** " + " · ".join(raised)
        case DocstringSectionKind.admonition:
            return f"**{section.title}:** {cell(section.value.description)}"
        case _:
            raise ValueError(f"a docstring has a section of kind {section.kind}")
