"""Users decide, trial by trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hippo_core.arguments import integer, worded
from hippo_core.errors import InvalidStudy
from hippo_core.policies.full import Full
from hippo_core.policies.policy import Policy, PolicySpec, round_up


class Manual(Full):
    """Asks for every trial's first steps, and for nothing more.

    Args:
        min_steps: How far each trial is trained at first.
    """

    patient = True
    resting = "until a user decides"

    def __init__(self, min_steps: int) -> None:
        super().__init__()
        self._min_steps = min_steps

    def added(self, trial: int, max_steps: int) -> None:
        """Wants the trial's first steps."""
        super().added(trial, min(max_steps, self._min_steps))


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualSpec(PolicySpec):
    """A trial is trained to ``min_steps``, then as far as a user says.

    Attributes:
        min_steps: How far each trial is trained at first.
    """

    counts_trials: ClassVar[bool] = False
    several_objectives: ClassVar[bool] = True
    constrained: ClassVar[bool] = True
    min_steps: int = 1

    @property
    def name(self) -> str:
        """``manual``."""
        return "manual"

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study."""
        return Manual(round_up(self.min_steps, evaluate_every))

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """The first steps are no more than all, and are rounded up to an evaluation."""
        first = round_up(self.min_steps, evaluate_every)
        if max_steps is not None and first > max_steps:
            raise InvalidStudy(
                "policy.min_steps", f"{first} is above max_steps={max_steps}", "Give fewer steps."
            )
        if first == self.min_steps:
            return []
        return [f"min_steps={self.min_steps} is rounded up to {first}, for evaluate_every={evaluate_every}"]

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "manual", "min_steps": 1}``."""
        return {"policy": "manual", "min_steps": self.min_steps}


@worded("policies.manual")
def manual(min_steps: int = 1) -> ManualSpec:
    """Each trial is trained to ``min_steps`` and rests; then ``trial.extend(to=...)`` and ``trial.stop()`` decide.

    The study is complete once it has all its trials and each has ended: trained to ``max_steps``, stopped, diverged or
    failed.

    Args:
        min_steps: How far each trial is trained at first.
    """
    return ManualSpec(min_steps=integer(min_steps, "policies.manual.min_steps", 1))
