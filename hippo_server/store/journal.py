"""The journal's form of events: the kind's name, and the fields as JSON."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

from hippo_core.engine import events as ev

KINDS: Mapping[str, type[ev.Event]] = {kind.__name__: kind for kind in get_args(ev.Event)}

Reader = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """An event as the journal has it.

    Attributes:
        id: Its place.
        at: When its transaction began.
        term: The leader that decided it.
        batch: The transaction, within the term.
        cause: The command that it followed from.
        actor: The user or worker who gave the command.
        event: What happened.
    """

    id: int
    at: datetime
    term: int
    batch: int
    cause: str
    actor: str
    event: ev.Event


def body_of(event: ev.Event) -> dict[str, Any]:
    """The fields of an event."""
    return {each.name: getattr(event, each.name) for each in fields(event)}


def event_of(kind: str, body: Mapping[str, Any]) -> ev.Event:
    """The event of a kind and its fields."""
    return KINDS[kind](**{name: read(body[name]) for name, read in _READERS[kind].items()})


def _reader(hint: Any) -> Reader:
    """How a field comes back from JSON, which has lists for tuples and words for enums."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple and arguments[-1:] == (...,):
        each = _reader(arguments[0])
        return lambda value: tuple(each(item) for item in value)
    if origin is tuple:
        parts = [_reader(argument) for argument in arguments]
        return lambda value: tuple(part(item) for part, item in zip(parts, value, strict=True))
    if origin in (Union, types.UnionType) and type(None) in arguments:
        (inner,) = (_reader(argument) for argument in arguments if argument is not type(None))
        return lambda value: None if value is None else inner(value)
    if isinstance(hint, type) and issubclass(hint, StrEnum | float):
        return hint
    return lambda value: value


_READERS = {
    name: {field: _reader(hint) for field, hint in get_type_hints(kind).items()}
    for name, kind in KINDS.items()
}
