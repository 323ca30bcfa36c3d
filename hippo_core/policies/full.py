"""Every trial to its end."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any, ClassVar

from hippo_core.arguments import worded
from hippo_core.policies.policy import Extend, Policy, PolicySpec, Values, Verdict


class Full(Policy):
    """Asks for every trial's last step at once."""

    hurries = False

    def __init__(self) -> None:
        self._wanted: dict[int, int] = {}
        self._asked = array("q")  # by trial; 0: nothing
        self._ended: set[int] = set()

    def added(self, trial: int, max_steps: int) -> None:
        """Wants the trial's last step, anew where it had ended."""
        if trial in self._ended:
            self._ended.discard(trial)
            self._ask(trial, 0)
        if trial >= len(self._asked) or self._asked[trial] < max_steps:
            self._wanted[trial] = max_steps

    def requested(self, trial: int, step: int) -> None:
        """Waits for it; a trial that had ended is being tried again."""
        self._ask(trial, step)
        self._ended.discard(trial)
        if step >= self._wanted.get(trial, step):
            self._wanted.pop(trial, None)
        if not self._wanted:
            self._wanted.clear()  # else a dict from which many were taken is gone through as if they were there

    def _ask(self, trial: int, step: int) -> None:
        more = trial + 1 - len(self._asked)
        if more > 0:
            self._asked.extend([0] * more)
        self._asked[trial] = step

    def observed(self, trial: int, step: int, values: Values | None, model: int) -> None:
        """Nothing follows."""

    def ended(self, trial: int) -> None:
        """Wants nothing of it any more."""
        self._ended.add(trial)
        self._wanted.pop(trial, None)

    def decide(self) -> list[Verdict]:
        """All that is wanted, in the order of the trials' coming."""
        return [Extend(trial, step, "to its end") for trial, step in self._wanted.items()]


@dataclass(frozen=True, slots=True)
class FullSpec(PolicySpec):
    """Every trial to its end."""

    counts_trials: ClassVar[bool] = False
    several_objectives: ClassVar[bool] = True
    constrained: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """``full``."""
        return "full"

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study."""
        return Full()

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """It fits any study."""
        return []

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "full"}``."""
        return {"policy": "full"}


@worded("policies.full")
def full() -> FullSpec:
    """Every trial is trained to its last step."""
    return FullSpec()
