"""Pieces of Markdown that several generated pages are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_LITERAL = re.compile(r"``([^`]+)``")


def prose(text: str) -> str:
    """A docstring's text as Markdown: roles become code, an indented block after ``::`` a fence."""
    text = _LITERAL.sub(r"`\1`", _ROLE.sub(lambda found: f"`{found[1].rsplit('.', 1)[-1]}`", text))
    lines: list[str] = []
    block: list[str] | None = None
    for line in text.splitlines():
        if block is not None and line.strip() and not line.startswith("    "):
            lines, block = [*lines, *_fence(block), ""], None
        if block is not None:
            block.append(line[4:])
        elif line.endswith("::"):
            lines += [line[:-1] if line != "::" else "", ""]
            block = []
        else:
            lines.append(line)
    return "\n".join([*lines, *(_fence(block) if block is not None else [])]).strip()


def _fence(block: list[str]) -> list[str]:
    return ["```python", *"\n".join(block).strip("\n").splitlines(), "```"]


def cell(text: str) -> str:
    """A text as a table's cell: on one line, without what would end it."""
    return " ".join(prose(text).split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; empty where it has no rows."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *lines])


def page(title: str, *parts: str) -> str:
    """A page of a title and parts, of which the empty ones are left out."""
    return "\n\n".join([f"# {title}", *(part for part in parts if part)]) + "\n"
