"""A mapping of mappings that has a single entry, in a quarter of the memory: most nodes have one request, one state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Sole(Mapping[int, Mapping[Key, Value]], Generic[Key, Value]):
    """``{step: {key: value}}``, not to be changed.

    Args:
        step: The outer key.
        key: The inner one.
        value: What is there.
    """

    __slots__ = ("_key", "_step", "_value")

    def __init__(self, step: int, key: Key, value: Value) -> None:
        self._step = step
        self._key = key
        self._value = value

    def __getitem__(self, step: int) -> dict[Key, Value]:
        if step != self._step:
            raise KeyError(step)
        return {self._key: self._value}

    def get(self, step: int, default: Any = None) -> Any:
        """What is there, or the default."""
        return {self._key: self._value} if step == self._step else default

    def __contains__(self, step: object) -> bool:
        return step == self._step

    def __iter__(self) -> Iterator[int]:
        return iter((self._step,))

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return f"Sole({dict(self)!r})"

    def several(self) -> dict[int, dict[Key, Value]]:
        """The same as what may be changed."""
        return {self._step: {self._key: self._value}}
