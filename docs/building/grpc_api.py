"""The reference of the gRPC interface, from the comments of the .proto files.

`buf lint` sees to it that each service, method, message, field, enumeration and value has a comment above it, and that
the files are laid out alike: an element a line, its comment on the lines before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from building.markdown import cell, page, table

PROTO = Path(__file__).resolve().parents[2] / "proto" / "hippo" / "v1"
FILES = ("study", "account", "checkpoint", "admin", "worker")
_BLOCK = re.compile(r"(service|message|enum|oneof) (\w+) \{")
_METHOD = re.compile(r"rpc (\w+)\((stream )?(\w+)\) returns \((stream )?(\w+)\)")
_FIELD = re.compile(r"((?:optional |repeated )?[\w.]+|map<[^>]+>) (\w+) = (\d+)")
_VALUE = re.compile(r"(\w+) = (\d+);")


@dataclass(slots=True)
class Element:
    """A service, message or enumeration.

    Attributes:
        kind: ``service``, ``message`` or ``enum``.
        name: Its name.
        comment: What stands above it.
        rows: Its members: what each is, its name, its comment.
    """

    kind: str
    name: str
    comment: str
    rows: list[tuple[str, str, str]] = field(default_factory=list)


def read(text: str) -> tuple[str, list[Element]]:
    """A file's own comment, and its elements in their order.

    Raises:
        ValueError: A line is none of those that are known.
    """
    own, found, comment, open_blocks = "", [], [], []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("//"):
            comment.append(line[2:].strip())
            continue
        said, comment = " ".join(comment), []
        if block := _BLOCK.match(line):
            open_blocks.append(block[1])
            if block[1] != "oneof":
                found.append(Element(block[1], block[2], said))
            if line.endswith("}"):
                open_blocks.pop()
        elif line == "}":
            open_blocks.pop()
        elif line.startswith("package "):
            own = said
        elif open_blocks:
            if line and not line.startswith("reserved "):
                found[-1].rows.append(_row(line, said))
        elif line and not line.startswith(("syntax ", "import ", "option ")):
            raise ValueError(f"not known in a .proto: {line}")
    return own, found


def _row(line: str, said: str) -> tuple[str, str, str]:
    if method := _METHOD.match(line):
        _, asked_often, request, told_often, response = method.groups()
        return f"{asked_often or ''}{request} → {told_often or ''}{response}", method[1], said
    if each := _FIELD.match(line):
        return each[1], each[2], said
    if value := _VALUE.match(line):
        return value[2], value[1], said
    raise ValueError(f"not known within a block of a .proto: {line}")


def pages() -> dict[str, str]:
    """The page, under its name."""
    parts = []
    for name in FILES:
        own, elements = read((PROTO / f"{name}.proto").read_text(encoding="utf-8"))
        parts.append(f"## {name}.proto\n\n{own}")
        parts += [_section(each) for each in elements]
    return {
        "grpc": page(
            "gRPC",
            "Package `hippo.v1`, on port 7440. Each call carries `authorization: Bearer hippo_...` in its metadata. "
            "Errors are [codes with details](errors.md). The server answers reflection, with a token, and "
            "`grpc.health.v1`, without one. The files are in `proto/hippo/v1`; `hippo_wire` is made of them.",
            *parts,
        )
    }


def _section(element: Element) -> str:
    head = f"### {element.name}\n\n{element.comment}"
    names = {"service": ("method", "", "from → to"), "message": ("field", "", "type")}
    columns = names.get(element.kind, ("value", "", "number"))
    rows = [(f"`{name}`", cell(said), f"`{what}`") for what, name, said in element.rows]
    return "\n\n".join(part for part in (head, table(columns, rows)) if part)
