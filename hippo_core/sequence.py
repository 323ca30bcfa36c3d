"""Sequences: all schedules of a trial side by side, compared step by step by their values."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from weakref import WeakValueDictionary

from hippo_core import laws as _laws
from hippo_core.laws import Law, law_from_json
from hippo_core.values import Scalar, ValueKey, typed

Stretch = tuple[int, Law]
"""The step from which on a law is in force, and the law."""

Change = tuple[int, dict[str, Scalar], tuple[str, ...]]
"""A step, the values from it on, and the names whose values differ from those before, in order."""


class Laws:
    """The laws in force, by name; evaluable for ever. Immutable, hashable, and interned as a rule.

    Args:
        laws: The laws by name.
    """

    __slots__ = ("__weakref__", "_constant_key", "_hash", "laws", "names")

    def __init__(self, laws: Mapping[str, Law]) -> None:
        self.names: tuple[str, ...] = tuple(sorted(laws))
        self.laws: tuple[Law, ...] = tuple(laws[name] for name in self.names)
        self._hash = hash((self.names, self.laws))
        constant = all(law.constant for law in self.laws)
        self._constant_key: ValueKey | None = (
            (self.names, *(law.key for law in self.laws)) if constant else None
        )

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Laws) and self.names == other.names and self.laws == other.laws
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Laws({self.to_json()!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Laws.of, (dict(zip(self.names, self.laws, strict=True)),)

    @classmethod
    def of(cls, laws: Mapping[str, Law]) -> Laws:
        """The laws by name, interned."""
        names = tuple(sorted(laws))
        return cls.in_order(names, tuple([laws[name] for name in names]))

    @classmethod
    def in_order(cls, names: tuple[str, ...], laws: tuple[Law, ...]) -> Laws:
        """The laws of sorted names, interned."""
        found = _interned.get((names, laws))
        if found is None:
            made = cls(dict(zip(names, laws, strict=True)))
            found = _interned.setdefault((names, laws), made)
        return found

    @property
    def constant(self) -> bool:
        """Whether the values are the same at all steps."""
        return self._constant_key is not None

    def values(self, step: int) -> dict[str, Scalar]:
        """The values at a step, by name."""
        return {name: law.value(step) for name, law in zip(self.names, self.laws, strict=True)}

    def key(self, step: int) -> ValueKey:
        """The values at a step as a key: equal exactly if names, values and their types are equal."""
        if self._constant_key is not None:
            return self._constant_key
        return (self.names, *[law.typed_value(step) for law in self.laws])

    def changes(self, start: int, stop: int) -> list[Change]:
        """The steps in [start, stop) with new values.

        Returns:
            ``start`` itself with all names, then each later step whose values differ from the step before.
        """
        values = self.values(start)
        found = [(start, values, self.names)]
        changed: dict[int, dict[str, Scalar]] = {}
        for name, law in zip(self.names, self.laws, strict=True):
            if law.settles <= start:
                continue
            before = values[name]
            for step, value in enumerate(law.values(start + 1, int(min(stop, law.settles + 1))), start + 1):
                if value is not before and typed(value) != typed(before):
                    changed.setdefault(step, {})[name] = before = value
        for step in sorted(changed):
            values = {**values, **changed[step]}
            found.append((step, values, tuple(changed[step])))
        return found

    def to_json(self) -> dict[str, Any]:
        """The laws as a JSON object, by name."""
        return {name: law.to_json() for name, law in zip(self.names, self.laws, strict=True)}

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Laws:
        """The inverse of :meth:`to_json`."""
        return cls.of({name: law_from_json(value) for name, value in json.items()})

    def first_difference(self, other: Laws, start: int, stop: int) -> int | None:
        """The first step in [start, stop) at which the values of two differ."""
        if self is other or start >= stop:
            return None
        if self.names != other.names:
            return start
        nearest: int | None = None
        for one, another in zip(self.laws, other.laws, strict=True):
            if one is another:
                continue
            found = _laws.first_difference(one, another, start, stop)
            if found == start:
                return start
            if found is not None:
                nearest = stop = found
        return nearest


_interned: WeakValueDictionary[tuple[tuple[str, ...], tuple[Law, ...]], Laws] = WeakValueDictionary()


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Sequence:
    """All schedules of a trial.

    Attributes:
        names: The hyper-parameters that the trial has, sorted.
        starts: The steps from which on other laws are in force, from 0.
        stretches: The laws in force from each of them.
    """

    names: tuple[str, ...]
    starts: tuple[int, ...]
    stretches: tuple[Laws, ...]

    def __init__(self, schedules: Mapping[str, Iterable[Stretch]]) -> None:
        """Puts schedules side by side.

        Args:
            schedules: By name, the stretches in order; the first one starts at 0.
        """
        names = tuple(sorted(schedules))
        changes: dict[int, list[tuple[int, Law]]] = {0: []}
        for place, name in enumerate(names):
            for start, law in schedules[name]:
                changes.setdefault(start, []).append((place, law))
        starts = tuple(sorted(changes))
        in_force = [law for _, law in changes[0]]
        found = [Laws.in_order(names, tuple(in_force))]
        for start in starts[1:]:
            for place, law in changes[start]:
                in_force[place] = law
            found.append(Laws.in_order(names, tuple(in_force)))
        object.__setattr__(self, "names", found[0].names)
        object.__setattr__(self, "starts", starts)
        object.__setattr__(self, "stretches", tuple(found))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Sequence) and self.starts == other.starts and self.stretches == other.stretches
        )

    def __hash__(self) -> int:
        return hash((self.starts, self.stretches))

    def laws(self, step: int) -> Laws:
        """The laws in force from ``step`` on."""
        return self.stretches[bisect_right(self.starts, step) - 1]

    def values(self, step: int) -> dict[str, Scalar]:
        """The values at a step, by name."""
        return self.laws(step).values(step)

    def key(self, step: int) -> ValueKey:
        """The values at a step as a key: equal exactly if names, values and their types are equal."""
        return self.laws(step).key(step)

    def first_difference(self, laws: Laws, start: int, stop: int) -> int | None:
        """The first step in [start, stop) with other values than those of ``laws``; None: there is none."""
        index = bisect_right(self.starts, start) - 1
        last = len(self.starts) - 1
        while start < stop:
            end = stop if index == last else min(stop, self.starts[index + 1])
            found = self.stretches[index].first_difference(laws, start, end)
            if found is not None:
                return found
            start = end
            index += 1
        return None

    def first_not_finite(self, stop: int) -> tuple[int, str] | None:
        """The first step below ``stop`` with a value that is not finite, and whose value it is."""
        for index, (start, laws) in enumerate(zip(self.starts, self.stretches, strict=True)):
            end = stop if index + 1 == len(self.starts) else min(stop, self.starts[index + 1])
            found: list[tuple[int, str]] = []
            for name, law in zip(laws.names, laws.laws, strict=True):
                step = law.first_not_finite(start, end)
                if step is not None:
                    found.append((step, name))
            if found:
                return min(found)
        return None

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self
