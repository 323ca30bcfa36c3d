"""Metrics by state, packed: a plan holds millions, and most are looked at once."""

from __future__ import annotations

import json
import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from sys import intern
from typing import TYPE_CHECKING, Any

Metrics = dict[str, float | None]

_names: dict[tuple[str, ...], tuple[str, ...]] = {}
"""Each tuple of names once; a program has one or two."""

_MOST_NAMES = 4096

MOST_UNREAD = 400
"""Characters. Beyond 160 to 370, by names and digits, a text takes more memory than what it tells."""

MOST_UNTIL_LATER = 200_000
"""Characters, which take 3 to 4 ms to read. A longer text is read at once: later whoever reads it is to be quick."""


class Series(Mapping[int, Metrics]):
    """The metrics of states, by step, in order.

    Most rows have the same names; their values lie in one array, where NaN stands for None. A row with other names
    lies beside it.
    """

    __slots__ = ("_names", "_nonfinite", "_odd", "_steps", "_text", "_values")

    def __init__(self) -> None:
        self._text: str | None = None
        self._steps = array("q")
        self._values = array("d")
        self._names: tuple[str, ...] = ()
        self._odd: dict[int, Metrics] | None = None
        self._nonfinite: tuple[int, ...] = ()

    @classmethod
    def unread(cls, text: str) -> Series:
        """Metrics of some states that are read when they are first asked for, or at once where there are very many.

        Args:
            text: A JSON array: the steps, the lowest first; then the metrics of each.
        """
        if len(text) > MOST_UNTIL_LATER:
            return cls._read(text)
        made = cls.__new__(cls)
        made._text = text
        return made

    def pack(self) -> int:
        """Reads them now, where that takes less memory; gives how many characters it has read."""
        text = self._text
        if text is None or len(text) <= MOST_UNREAD:
            return 0
        len(self)
        return len(text)

    if not TYPE_CHECKING:  # whoever has a type checker is told of misspelt names

        def __getattr__(self, name: str) -> Any:
            """What of an unread series is not there yet."""
            if name not in ("_names", "_nonfinite", "_odd", "_steps", "_values"):
                raise AttributeError(name)
            text = self._text
            if text is None:  # another thread has read it meanwhile
                return object.__getattribute__(self, name)
            read = Series._read(text)
            self._names, self._nonfinite, self._odd, self._steps, self._values = (
                *(read._names, read._nonfinite, read._odd, read._steps, read._values),
            )
            self._text = None
            return getattr(self, name)

    @classmethod
    def _read(cls, text: str) -> Series:
        found = json.loads(text)
        half = len(found) // 2
        return cls.of(found[:half], found[half:])

    @classmethod
    def of(cls, steps: Sequence[int], rows: Sequence[Mapping[str, float | None]]) -> Series:
        """The metrics of states, the lowest step first."""
        made = cls()
        names = tuple(sorted(rows[0])) if rows else ()
        if not all(map(names.__eq__, map(tuple, rows))):  # or written in another order
            for step, row in zip(steps, rows, strict=True):
                made.record(step, row)
            return made
        made._steps = array("q", steps)
        values = [value for row in rows for value in row.values()]
        if None in values:
            made._nonfinite = tuple(
                step for step, row in zip(steps, rows, strict=True) if None in row.values()
            )
            values = [math.nan if value is None else value for value in values]
        made._values = array("d", values)  # type: ignore[arg-type]
        made._names = _shared(names)
        return made

    @property
    def nonfinite(self) -> tuple[int, ...]:
        """The states with a metric that is not finite, in order."""
        text = self._text
        if text is not None and "null" not in text:
            return ()
        return self._nonfinite

    def record(self, step: int, metrics: Mapping[str, float | None]) -> None:
        """Adds the metrics of a state, or puts them in the place of earlier ones."""
        names = tuple(metrics)
        if names == self._names and self._steps and step > self._steps[-1]:  # as nearly always
            found = [*metrics.values()]
            if None not in found:
                self._values.extend(array("d", found))  # type: ignore[arg-type]
                self._steps.append(step)
                return
        if names != self._names:  # or written in another order
            names = tuple(sorted(names))
        if not self._steps:
            self._names = _shared(names)
        values: array[float]
        try:
            values = array("d", map(metrics.__getitem__, names))  # type: ignore[arg-type]
            lost = False
        except TypeError:  # one is None
            values = array("d", [math.nan if (value := metrics[name]) is None else value for name in names])
            lost = True
        if lost or self._nonfinite:
            others = [each for each in self._nonfinite if each != step]
            self._nonfinite = tuple(sorted([*others, step] if lost else others))
        odd = names != self._names
        width = len(self._names)
        at = self._at(step)
        if at == len(self._steps) or self._steps[at] != step:
            self._steps.insert(at, step)
            self._values[at * width : at * width] = array("d", [math.nan] * width) if odd else values
        elif not odd:
            self._values[at * width : (at + 1) * width] = values
        if odd:
            self._odd = {**(self._odd or {}), step: dict(zip(names, map(_value, values), strict=True))}
        elif self._odd is not None:
            self._odd.pop(step, None)

    def __getitem__(self, step: int) -> Metrics:
        at = self._at(step)
        if at == len(self._steps) or self._steps[at] != step:
            raise KeyError(step)
        if self._odd is not None and step in self._odd:
            return dict(self._odd[step])
        width = len(self._names)
        return dict(zip(self._names, map(_value, self._values[at * width : (at + 1) * width]), strict=True))

    def __contains__(self, step: object) -> bool:
        if not isinstance(step, int):
            return False
        at = self._at(step)
        return at < len(self._steps) and self._steps[at] == step

    def __iter__(self) -> Iterator[int]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    def __bool__(self) -> bool:
        return self._text is not None or bool(self._steps)

    def __repr__(self) -> str:
        return f"Series({dict(self)!r})"

    def _at(self, step: int) -> int:
        """Where a state's row is, or would be."""
        steps = self._steps
        return len(steps) if not steps or steps[-1] < step else bisect_left(steps, step)


def _value(packed: float) -> float | None:
    return None if packed != packed else packed  # NaN differs from itself


def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    found = _names.get(names)
    if found is None:
        found = tuple(map(intern, names))
        if len(_names) < _MOST_NAMES:
            _names[names] = found
    return found
