"""A mapping of mappings that has a single entry, in a quarter of the memory: most nodes have one request, one state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Single(Mapping[int, Mapping[Key, Value]], Generic[Key, Value]):
    """``{step: {key: value}}``, not to be changed.

    Args:
        step: The outer key.
    """

    __slots__ = ("step",)

    def __init__(self, step: int) -> None:
        self.step = step

    @abstractmethod
    def _within(self) -> dict[Key, Value]:
        """What is at the step."""

    def __getitem__(self, step: int) -> dict[Key, Value]:
        if step != self.step:
            raise KeyError(step)
        return self._within()

    def get(self, step: int, default: Any = None) -> Any:
        """What is there, or the default."""
        return self._within() if step == self.step else default

    def __contains__(self, step: object) -> bool:
        return step == self.step

    def __iter__(self) -> Iterator[int]:
        return iter((self.step,))

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"

    def several(self) -> dict[int, dict[Key, Value]]:
        """The same as what may be changed."""
        return {self.step: self._within()}


class Sole(Single[Key, Value]):
    """That of any key and value.

    Args:
        step: The outer key.
        key: The inner one.
        value: What is there.
    """

    __slots__ = ("_key", "_value")

    def __init__(self, step: int, key: Key, value: Value) -> None:
        super().__init__(step)
        self._key = key
        self._value = value

    def _within(self) -> dict[Key, Value]:
        return {self._key: self._value}


class SoleRequest(Single[tuple[int, int], int]):
    """That of a trial which alone waits for a state: ``{step: {(study, trial): beyond}}``.

    Args:
        step: The state.
        study: The trial's study.
        trial: Its number.
        beyond: How many steps beyond are sure to be asked for.
    """

    __slots__ = ("_trial", "beyond", "study")

    def __init__(self, step: int, study: int, trial: int, beyond: int) -> None:
        self.step = step
        self.study = study
        self._trial = trial
        self.beyond = beyond

    def _within(self) -> dict[tuple[int, int], int]:
        return {(self.study, self._trial): self.beyond}
