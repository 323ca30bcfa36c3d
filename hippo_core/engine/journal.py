"""Events as JSON and back: what the journal keeps, and what a replay reads.

An event is an object of its fields, beside its kind: ``{"event": "StepsTrained", ...}``. Types come from the
annotations, so that no event needs code of its own here.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, Union, get_args, get_origin, get_type_hints

from hippo_core.engine import events
from hippo_core.engine.events import Event
from hippo_core.sequence import Laws

KINDS: Mapping[str, Any] = {kind.__name__: kind for kind in get_args(events.Event)}


def to_json(event: Event) -> dict[str, Any]:
    """An event's fields as plain JSON, without its kind."""
    return {name: _plain(getattr(event, name)) for name in event.__dataclass_fields__}


def fields(event: Event) -> dict[str, Any]:
    """An event's fields as they are: what an encoder of JSON writes alike, tuples as lists and states as words."""
    kind: Any = type(event)
    names, get = _getter(kind)
    return dict(zip(names, get(event), strict=True))


@cache
def _getter(event: Any) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    names = tuple(event.__dataclass_fields__)
    if len(names) > 1:
        return names, attrgetter(*names)
    (name,) = names
    return names, lambda each: (getattr(each, name),)


def from_json(kind: str, fields: Mapping[str, Any]) -> Event:
    """The event of that kind with those fields; what is missing has its default, where there is one.

    Raises:
        KeyError: There is no such kind, or a field is missing.
    """
    event = KINDS[kind]
    made: Event = event(
        **{
            name: fields[name] if read is None else read(fields[name])
            for name, read, required in _readers(event)
            if required or name in fields
        }
    )
    return made


def _plain(value: Any) -> Any:
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.to_json() if isinstance(value, Laws) else value


_AS_THEY_ARE = frozenset({str, int, float, bool, types.NoneType})

Read = Callable[[Any], Any]


@cache
def _readers(event: Any) -> tuple[tuple[str, Read | None, bool], ...]:
    """For each field how its value is read, None: as it is; and whether it has to be there."""
    hints = get_type_hints(event)
    return tuple(
        (name, _reader(hints[name]), field.default is MISSING)
        for name, field in event.__dataclass_fields__.items()
    )


def _reader(hint: Any) -> Read | None:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        inner = _reader(next(each for each in arguments if each is not types.NoneType))
        return None if inner is None else lambda value: None if value is None else inner(value)
    if origin is tuple:
        return _reader_of_tuple(arguments)
    if hint is Laws:
        return Laws.from_json
    if isinstance(hint, type) and (hint is float or issubclass(hint, StrEnum)):
        return hint
    return None


def _reader_of_tuple(arguments: tuple[Any, ...]) -> Read:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _reader(arguments[0])
        return tuple if item is None else lambda value: tuple(map(item, value))
    items = [_reader(each) or _as_it_is for each in arguments]
    return lambda value: tuple(read(each) for read, each in zip(items, value, strict=True))


def _as_it_is(value: Any) -> Any:
    return value
