"""What a policy is, and what it decides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Extend:
    """Train a trial up to step ``to``, which is above all that was requested for it before."""

    trial: int
    to: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Train a trial no further, ever."""

    trial: int
    reason: str


Decision = Extend | Stop


class Policy(ABC):
    """Decides how far each trial of one study is trained.

    Its state is the fold of ``added``, ``requested``, ``observed`` and ``ended``, in the order of the calls:
    the same calls give the same decisions. It sees neither nodes nor stages, and no clock. It is
    level-triggered: ``decide`` answers the same until the engine has carried the decisions out and said so by
    ``requested`` or ``ended``.
    """

    @abstractmethod
    def added(self, trial: int, max_steps: int) -> None:
        """A trial was created, may be trained further than before, or is to be tried again after it had ended."""

    @abstractmethod
    def requested(self, trial: int, step: int) -> None:
        """The engine asked for the trial's state at a step."""

    @abstractmethod
    def observed(self, trial: int, step: int, value: float | None) -> None:
        """What was requested is there.

        Args:
            trial: The trial.
            step: The requested step.
            value: The first objective there; None: it is not finite, there or before.
        """

    @abstractmethod
    def ended(self, trial: int) -> None:
        """The trial failed, diverged or was stopped from outside: nothing is decided on it any more."""

    @abstractmethod
    def decide(self) -> list[Decision]:
        """What is to be requested or stopped now."""

    @abstractmethod
    def finish(self) -> list[Decision]:
        """What is to be requested still when nothing is open any more; nothing: the study is complete."""


class PolicySpec(ABC):
    """A policy as a study names it: a small value."""

    @abstractmethod
    def build(self, maximize: bool, evaluate_every: int) -> Policy:
        """The policy at the beginning of a study.

        Args:
            maximize: Whether the larger value of the first objective is the better one.
            evaluate_every: There are values only at its multiples.
        """

    @abstractmethod
    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """Checks the policy against the study's limit.

        Args:
            max_steps: How far any trial may be trained; None: as its schedule says.
            evaluate_every: There are values only at its multiples.

        Returns:
            Warnings, for the person who submits.

        Raises:
            InvalidStudy: They do not fit.
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The policy as ``{"policy": name, ...}``."""


def round_up(step: int, every: int) -> int:
    """The first multiple of ``every`` that is not below ``step``."""
    return -(-step // every) * every
