"""Events as JSON and back: what the journal keeps, and what a replay reads.

An event is an object of its fields, beside its kind: ``{"event": "StepsTrained", ...}``. Types come from the
annotations, so that no event needs code of its own here.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING
from enum import StrEnum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from hippo_core.engine import events
from hippo_core.engine.events import Event

KINDS: Mapping[str, Any] = {kind.__name__: kind for kind in get_args(events.Event)}


def to_json(event: Event) -> dict[str, Any]:
    """An event's fields as plain JSON, without its kind."""
    return {name: _plain(getattr(event, name)) for name in event.__dataclass_fields__}


def from_json(kind: str, fields: Mapping[str, Any]) -> Event:
    """The event of that kind with those fields; what is missing has its default, where there is one.

    Raises:
        KeyError: There is no such kind, or a field is missing.
    """
    event = KINDS[kind]
    hints = _hints(event)
    made: Event = event(
        **{
            name: _typed(hints[name], fields[name])
            for name, field in event.__dataclass_fields__.items()
            if name in fields or field.default is MISSING
        }
    )
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


@cache
def _hints(event: object) -> dict[str, Any]:
    return get_type_hints(event)


def _typed(hint: Any, value: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        if value is None:
            return None
        return _typed(next(each for each in arguments if each is not types.NoneType), value)
    if origin is tuple:
        inner = arguments[0] if len(arguments) == 2 and arguments[1] is Ellipsis else None
        hints = [inner] * len(value) if inner is not None else list(arguments)
        return tuple(_typed(each, item) for each, item in zip(hints, value, strict=True))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    if hint is float:
        return float(value)
    return value
