"""What training costs on a simulated slot, and which slots there are when."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

from hippo_core.errors import InvalidStudy
from hippo_core.sequence import Laws
from hippo_core.values import Scalar

TICKS = 1_000_000_000
"""Virtual time is counted in whole nanoseconds: sums of them are exact, so that what happens at one time does."""

StepSeconds = float | Callable[[Mapping[str, Scalar]], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """How long things take, in seconds, and how large a checkpoint is.

    Attributes:
        step_seconds: A step of training; a number, or a function of the values in force.
        evaluate_seconds: An evaluation.
        save_seconds: For how long a save keeps the slot from training.
        publish_seconds: How much later what was saved is durable. The slot trains on meanwhile.
        load_seconds: Loading a checkpoint. A state that the slot holds in memory costs nothing.
        lease_seconds: From the end of a path to the next one's arrival on its slot: the round trip to the server. The
            first path of a slot is there at once.
        setup_seconds: Making a slot ready for a program: once for each program that it turns to.
        checkpoint_seconds: After so long without a save a path saves beside what it was asked for, where the study
            does not say how often itself.
        checkpoint_bytes: What a checkpoint has, so that budgets of studies tell.
    """

    step_seconds: StepSeconds = 1.0
    evaluate_seconds: float = 0.0
    save_seconds: float = 0.0
    publish_seconds: float = 0.0
    load_seconds: float = 0.0
    lease_seconds: float = 0.0
    setup_seconds: float = 0.0
    checkpoint_seconds: float = 600.0
    checkpoint_bytes: int = 1

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if self.checkpoint_bytes < 1:
            raise InvalidStudy("checkpoint_bytes", f"must be 1 or more, not {self.checkpoint_bytes}")
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "checkpoint_bytes":
                continue
            if each.name == "step_seconds" and callable(value):
                continue
            least = "more than 0" if each.name in {"step_seconds", "checkpoint_seconds"} else "0 or more"
            if not _is_duration(value) or (value == 0 and least == "more than 0"):
                raise InvalidStudy(each.name, f"must be a number of seconds, {least}, not {value!r}")


@dataclass(slots=True)
class Clockwork:
    """Costs in ticks.

    Args:
        costs: The costs.
    """

    costs: Costs
    evaluate: int = field(init=False)
    save: int = field(init=False)
    publish: int = field(init=False)
    load: int = field(init=False)
    lease: int = field(init=False)
    setup: int = field(init=False)
    checkpoint: int = field(init=False)
    _step: int | None = field(init=False)

    def __post_init__(self) -> None:
        """Rounds to whole ticks."""
        costs = self.costs
        self.evaluate = ticks(costs.evaluate_seconds)
        self.save = ticks(costs.save_seconds)
        self.publish = ticks(costs.publish_seconds)
        self.load = ticks(costs.load_seconds)
        self.lease = ticks(costs.lease_seconds)
        self.setup = ticks(costs.setup_seconds)
        self.checkpoint = ticks(costs.checkpoint_seconds)
        self._step = None if callable(costs.step_seconds) else max(1, ticks(costs.step_seconds))

    def step(self, laws: Laws, step: int) -> int:
        """What a step takes under the laws in force."""
        if self._step is not None:
            return self._step
        assert callable(self.costs.step_seconds)
        found = self.costs.step_seconds(laws.values(step))
        if not _is_duration(found) or found == 0:
            raise InvalidStudy(
                "step_seconds",
                f"gives {found!r} for {laws.values(step)}",
                "It must give a number of seconds, more than 0.",
            )
        return max(1, ticks(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A worker with slots, and when it is there.

    Attributes:
        name: Its name.
        slots: How many paths it trains at a time.
        joins_seconds: When it comes.
        lost_seconds: When it dies, without a word; None: never.
    """

    name: str
    slots: int
    joins_seconds: float = 0.0
    lost_seconds: float | None = None

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if isinstance(self.slots, bool) or not isinstance(self.slots, int) or self.slots < 1:
            raise InvalidStudy("slots", f"must be an int of at least 1, not {self.slots!r}")
        if not _is_duration(self.joins_seconds):
            raise InvalidStudy(
                "joins_seconds", f"must be a number of seconds, 0 or more, not {self.joins_seconds!r}"
            )
        if self.lost_seconds is not None and not (
            _is_duration(self.lost_seconds) and self.lost_seconds > self.joins_seconds
        ):
            raise InvalidStudy(
                "lost_seconds",
                f"{self.lost_seconds!r} is not later than joins_seconds, {self.joins_seconds!r}",
            )


def ticks(seconds: float) -> int:
    """Seconds as whole ticks."""
    return round(seconds * TICKS)


def seconds(count: int) -> float:
    """Ticks as seconds."""
    return count / TICKS


def _is_duration(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    )
