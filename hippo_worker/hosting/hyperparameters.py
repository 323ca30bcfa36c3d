"""The values that a trainer is given, and which of them it looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NoReturn

from hippo_core.values import Scalar

ABSENT = ("absent",)
Seen = tuple[object, object]


def seen(values: Mapping[str, Scalar], name: str) -> Seen:
    """What a trainer sees under a name, comparable exactly: 1, 1.0 and True differ, and so does absence."""
    if name not in values:
        return ABSENT, None
    return _exact(values[name])


def _exact(value: Scalar) -> Seen:
    if isinstance(value, tuple):
        return tuple, tuple(_exact(item) for item in value)
    return type(value), value


def changed(before: Mapping[str, Scalar], after: Mapping[str, Scalar]) -> list[str]:
    """The names whose values differ, in order."""
    names = before if before.keys() == after.keys() else {*before, *after}
    return sorted(
        name
        for name in names
        # One object, as constants are from step to step, equals itself.
        if before.get(name, ABSENT) is not after.get(name, ABSENT) and seen(before, name) != seen(after, name)
    )


class NotState:
    """Marks Hippo's own objects that a trainer may keep: they are no part of its state."""

    __slots__ = ()


class Hyperparameters(NotState, Mapping[str, Scalar]):
    """A read-only mapping that records which names were asked for; whoever walks through it asked for all.

    Values can be had by attribute too, where the name allows it.

    Args:
        values: The values, which nobody changes.

    Attributes:
        read: The names asked for, also those that it does not hold.
        read_all: Whether it was walked through: the names themselves, and each value, were seen.
    """

    __slots__ = ("_values", "read", "read_all")

    def __init__(self, values: Mapping[str, Scalar]) -> None:
        self._values = values
        self.read: set[str] = set()
        self.read_all = False

    def __getitem__(self, name: str) -> Scalar:
        self.read.add(name)
        try:
            return self._values[name]
        except KeyError:
            self._refuse(name)

    def __getattr__(self, name: str) -> Scalar:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __contains__(self, name: object) -> bool:
        if isinstance(name, str):
            self.read.add(name)
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        self.read_all = True
        return iter(self._values)

    def __len__(self) -> int:
        self.read_all = True
        return len(self._values)

    def __repr__(self) -> str:
        self.read_all = True
        return repr(self._values)

    def replace(self, values: Mapping[str, Scalar]) -> None:
        """Puts other values in place; what was read stays recorded."""
        self._values = values

    def looks_equal(self, values: Mapping[str, Scalar]) -> bool:
        """Whether nothing that was read would have been different with these values."""
        names = {*self.read, *self._values, *values} if self.read_all else self.read
        return all(seen(self._values, name) == seen(values, name) for name in names)

    def _refuse(self, name: str) -> NoReturn:
        known = ", ".join(sorted(self._values)) or "none"
        raise KeyError(f"{name!r} is no hyperparameter here; there are: {known}")
