"""Patience: a trial that has ceased to improve is done.

After Y. Bengio, "Practical Recommendations for Gradient-Based Training of Deep Architectures" (arXiv 1206.5533, 2012),
section 3.1.1, early stopping with a patience that is constant: a trial is done when its best value has not improved
over its last ``evaluations`` evaluations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.policies.curves import Curve, Curves
from hippo_core.policies.percentile_stopping import check_on_the_way
from hippo_core.policies.policy import Policy, PolicySpec

PEERS: Mapping[str, str] = {
    "patience": "evaluations",
    "min_delta": "min_change",
    "num_results": "evaluations",
    "grace_period": "min_steps",
    "metric": "minimize or maximize, which are the study's",
    "mode": "minimize or maximize, which are the study's",
}
"""For argument names that other systems use, ours."""


class Patience(Curves):
    """Ends a trial that has ceased to improve.

    Args:
        evaluations: How many evaluations without improvement it is given.
        min_change: By how much more than that a value must be better to be an improvement.
        min_steps: The first step at which a trial may be done.
        maximize: Whether the larger value of the objective is the better one.
    """

    completes = True

    def __init__(self, evaluations: int, min_change: float, min_steps: int, maximize: bool) -> None:
        super().__init__(maximize)
        self._evaluations = evaluations
        self._min_change = min_change
        self._min_steps = min_steps

    def judge(self, curve: Curve) -> str | None:
        """Looks for the latest improvement."""
        best, when = curve.values[0], 0
        for index, value in enumerate(curve.values):
            if value < best - self._min_change:
                best, when = value, index
        without = len(curve.values) - 1 - when
        if without < self._evaluations or curve.steps[-1] < self._min_steps:
            return None
        return f"no improvement on {self.shown(best)}, at step {curve.steps[when]}, in {without} evaluations"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatienceSpec(PolicySpec):
    """Patience.

    Attributes:
        evaluations: How many evaluations without improvement a trial is given.
        min_change: By how much more than that a value must be better to be an improvement.
        min_steps: The first step at which a trial may be done.
    """

    evaluations: int
    min_change: float
    min_steps: int

    @property
    def name(self) -> str:
        """``patience``."""
        return "patience"

    def build(self, maximize: tuple[bool, ...], evaluate_every: int) -> Policy:
        """The policy at the beginning of a study."""
        return Patience(self.evaluations, self.min_change, self.min_steps, maximize[0])

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """Patience must be able to run out before a trial's end."""
        least = max(self.min_steps, (self.evaluations + 1) * evaluate_every)
        return check_on_the_way(least, max_steps, evaluate_every)

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "patience", ...}``."""
        return {
            "policy": self.name,
            "evaluations": self.evaluations,
            "min_change": self.min_change,
            "min_steps": self.min_steps,
        }


@worded("policies.patience", PEERS)
def patience(evaluations: int, min_change: float = 0.0, min_steps: int = 1) -> PatienceSpec:
    """A trial is done, and completed, when it has not improved for so many evaluations.

    Args:
        evaluations: How many evaluations without improvement it is given.
        min_change: A value is an improvement if it is better by more than this.
        min_steps: The first step at which a trial may be done.
    """
    change = arguments.number(min_change, "policies.patience.min_change")
    if change < 0:
        raise InvalidStudy("policies.patience.min_change", f"must be at least 0, not {min_change!r}")
    return PatienceSpec(
        evaluations=arguments.integer(evaluations, "policies.patience.evaluations", 1),
        min_change=change,
        min_steps=arguments.integer(min_steps, "policies.patience.min_steps", 1),
    )
