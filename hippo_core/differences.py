"""What differs between two values of JSON, in a few short lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hippo_core.program import canonical_json

MOST_LINES = 5
MOST_CHARACTERS = 60


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


def difference_lines(old: Any, new: Any, most: int = MOST_LINES) -> list[str]:
    """At most so many lines ``place: old -> new``, in order of their places; none where the values are equal."""
    pairs = sorted(_pairs(old, new, ""), key=lambda pair: pair[0])
    lines = [f"{place}: {_shown(before)} -> {_shown(after)}" for place, before, after in pairs]
    if len(lines) > most:
        hidden = len(lines) - (most - 1)
        lines = [*lines[: most - 1], f"... and {hidden} more"]
    return lines


def _pairs(old: Any, new: Any, place: str) -> list[tuple[str, Any, Any]]:
    """The innermost places that differ, with both values."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = sorted({*old, *new})
        parts = [
            (f"{place}.{key}" if place else key, old.get(key, ABSENT), new.get(key, ABSENT)) for key in keys
        ]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        # One option of many, or one value of a schedule: a person wants to see that one.
        parts = [(f"{place}.{index}", *pair) for index, pair in enumerate(zip(old, new, strict=True))]
    else:
        return [] if _equal(old, new) else [(place, old, new)]
    return [pair for where, before, after in parts for pair in _pairs(before, after, where)]


def _equal(old: Any, new: Any) -> bool:
    """Whether two values are written alike: 1, 1.0 and True are not."""
    if old is ABSENT or new is ABSENT:
        return old is new
    return canonical_json(old) == canonical_json(new)


def _shown(value: Any) -> str:
    text = repr(value) if value is ABSENT else canonical_json(value)
    if len(text) <= MOST_CHARACTERS:
        return text
    end = '..."' if text.startswith('"') else "..."
    return text[: MOST_CHARACTERS - len(end)] + end
