"""Threshold stopping: a trial that is worse than a threshold is stopped.

After T. Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework" (KDD 2019), in its
``ThresholdPruner``: a value beyond a bound, at any evaluation from a step on, ends the trial. Which side is the bad one
follows from whether the objective is maximised. The last evaluation counts as the others do, so that the verdict is a
function of the trial's own values, whatever its limit: who is completed was never worse than the bound. A state that
violates the study's constraints is worse than any bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.policies.curves import Curve, Curves
from hippo_core.policies.percentile_stopping import check_on_the_way
from hippo_core.policies.policy import Policy, PolicySpec, worth

PEERS: Mapping[str, str] = {
    "lower": "threshold",
    "upper": "threshold",
    "n_warmup_steps": "min_steps",
    "grace_period": "min_steps",
    "metric": "minimize or maximize, which are the study's",
    "mode": "minimize or maximize, which are the study's",
}
"""For argument names that other systems use, ours."""


class ThresholdStopping(Curves):
    """Stops a trial with a value worse than a threshold.

    Args:
        threshold: The worst value that goes on.
        min_steps: The first step at which trials are judged.
        maximize: Whether the larger value of the objective is the better one.
    """

    hurries = False

    def __init__(self, threshold: float, min_steps: int, maximize: bool) -> None:
        super().__init__(maximize)
        self._threshold = worth((threshold,), (maximize,))
        self._min_steps = min_steps

    def verdict(self, curve: Curve) -> str | None:
        """Whether its value is too bad."""
        step, value = curve.steps[-1], curve.values[-1]
        if step < self._min_steps or value <= self._threshold:
            return None
        return f"{self.shown(value)} at step {step} is worse than {self.shown(self._threshold)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdStoppingSpec(PolicySpec):
    """Threshold stopping.

    Attributes:
        threshold: The worst value that goes on.
        min_steps: The first step at which trials are judged.
    """

    counts_trials: ClassVar[bool] = False

    constrained: ClassVar[bool] = True

    threshold: float
    min_steps: int

    @property
    def name(self) -> str:
        """``threshold_stopping``."""
        return "threshold_stopping"

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study."""
        return ThresholdStopping(self.threshold, self.min_steps, maximize[0])

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """There must be an evaluation on the way at which trials are judged."""
        return check_on_the_way(self.min_steps, max_steps, evaluate_every)

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "threshold_stopping", ...}``."""
        return {"policy": self.name, "threshold": self.threshold, "min_steps": self.min_steps}


@worded("policies.threshold_stopping", PEERS)
def threshold_stopping(threshold: float, min_steps: int = 1) -> ThresholdStoppingSpec:
    """Stops a trial at its first evaluation that is worse than a threshold, also where that is its last one.

    An evaluation that violates the study's constraints is worse than any threshold.

    Args:
        threshold: The worst value that goes on: the least where the objective is maximised, else the largest.
        min_steps: The first step at which trials are judged.
    """
    return ThresholdStoppingSpec(
        threshold=arguments.number(threshold, "policies.threshold_stopping.threshold"),
        min_steps=arguments.integer(min_steps, "policies.threshold_stopping.min_steps", 1),
    )
