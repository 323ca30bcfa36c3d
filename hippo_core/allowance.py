"""What a project, or a user of one, may use of the pool: a weight among others, and limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from hippo_core.errors import InvalidStudy

LARGEST = 2**53 - 1
LARGEST_WEIGHT = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A weight, and limits; None: there is no limit.

    Attributes:
        weight: How much of the pool it gets, against the weights of the others that want slots.
        max_studies: Studies that are running or paused.
        max_open_trials: Trials of those that have not ended.
        max_slots: Slots at once; what is more waits.
        max_slot_seconds: Slot seconds billed in all, absolute: they are not counted anew after a while.
        max_priority: The highest priority of a study.
        max_checkpoint_bytes: Bytes of checkpoints that are kept. Only of a project: its users share them.
    """

    weight: float = 1.0
    max_studies: int | None = None
    max_open_trials: int | None = None
    max_slots: int | None = None
    max_slot_seconds: float | None = None
    max_priority: int | None = None
    max_checkpoint_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuses what is no weight or no limit.

        Raises:
            InvalidStudy: Names the field.
        """
        if not _is_number(self.weight) or not 1 / LARGEST_WEIGHT <= self.weight <= LARGEST_WEIGHT:
            raise InvalidStudy(
                "weight", f"must be a positive number, at most {LARGEST_WEIGHT:g}, not {self.weight!r}"
            )
        for name in ("max_studies", "max_open_trials", "max_slots", "max_checkpoint_bytes"):
            _require_whole(name, getattr(self, name), 0)
        _require_whole("max_priority", self.max_priority, -LARGEST)
        seconds = self.max_slot_seconds
        if seconds is not None and not (_is_number(seconds) and 0 <= seconds <= LARGEST):
            raise InvalidStudy("max_slot_seconds", f"must be a number of 0 or more, not {seconds!r}")

    @property
    def keeps_slots(self) -> bool:
        """Whether there is a limit by which paths wait that could begin."""
        return self.max_slots is not None or self.max_checkpoint_bytes is not None

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Reads what ``to_json`` writes.

        Raises:
            InvalidStudy: Something in it is unknown or wrong.
        """
        known = {each.name for each in fields(cls)}
        for name in found:
            if name not in known:
                raise InvalidStudy(name, "is no limit", f"There are {', '.join(sorted(known))}.")
        return cls(**found)

    def to_json(self) -> dict[str, Any]:
        """All fields by name; None: no limit."""
        return asdict(self)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require_whole(name: str, value: object, least: int) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST:
        raise InvalidStudy(name, f"must be a whole number of {least} or more, not {value!r}")
