"""JSON Schemas of what commands print with ``--json``, made of the types in `hippo_client.cli.outputs`."""

from __future__ import annotations

from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from hippo_client.cli.outputs import OUTPUTS, VERSION, Error

Schema = dict[str, Any]

#: Whose schema is of what is printed where a command could not be done.
ERROR = "error"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}


def all_schemas() -> Schema:
    """The schemas of all commands, as definitions: ``#/$defs/hippo study ls``, ``#/$defs/error``."""
    definitions: Schema = {}
    commands = {f"hippo {name}": _schema(kind, definitions) for name, kind in OUTPUTS.items()}
    commands[ERROR] = _schema(Error, definitions)
    return {
        "$schema": DIALECT,
        "title": f"What the commands of hippo print with --json, version {VERSION}",
        "$defs": commands | dict(sorted(definitions.items())),
    }


def schema_of(name: str) -> Schema:
    """The schema of one command's output.

    Args:
        name: The command, below ``hippo``; or ``error``.
    """
    definitions: Schema = {}
    kind = Error if name == ERROR else OUTPUTS[name]
    title = "An error" if name == ERROR else f"hippo {name} --json"
    body = _schema(kind, definitions)
    found = {"$schema": DIALECT, "title": f"{title}, version {VERSION}", **body}
    return found | ({"$defs": dict(sorted(definitions.items()))} if definitions else {})


def _schema(kind: Any, definitions: Schema) -> Schema:
    """The schema of a type; that of each ``TypedDict`` goes to the definitions, and is referred to."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return {}
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if origin is Annotated:
        return _annotated(_schema(arguments[0], definitions), arguments[1:])
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin is dict:
        key, value = (_schema(each, definitions) for each in arguments)
        names = {"propertyNames": key} if "enum" in key else {}
        return {"type": "object", **names, "additionalProperties": value}
    if origin in (Union, UnionType):
        return _union([_schema(each, definitions) for each in arguments])
    if is_typeddict(kind):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = {}  # so that one that holds itself ends
            definitions[kind.__name__] = _object(kind, definitions)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    raise TypeError(f"{kind} has no schema")


def _annotated(schema: Schema, notes: tuple[Any, ...]) -> Schema:
    for note in notes:
        if isinstance(note, str):
            schema = {**schema, "description": note}
        elif isinstance(note, type) and issubclass(note, StrEnum):
            schema = {**schema, "enum": [each.value for each in note]}
    return schema


def _union(parts: list[Schema]) -> Schema:
    if all(set(part) == {"type"} for part in parts):
        return {"type": [part["type"] for part in parts]}
    return {"anyOf": parts}


def _object(kind: Any, definitions: Schema) -> Schema:
    hints = get_type_hints(kind, include_extras=True)
    optional = {
        name for name, hint in hints.items() if get_origin(hint) is NotRequired
    } | kind.__optional_keys__
    properties = {
        name: _schema(get_args(hint)[0] if get_origin(hint) is NotRequired else hint, definitions)
        for name, hint in hints.items()
    }
    return {
        "type": "object",
        "description": " ".join(kind.__doc__.split()),
        "properties": properties,
        "required": [name for name in hints if name not in optional],
        "additionalProperties": False,
    }
