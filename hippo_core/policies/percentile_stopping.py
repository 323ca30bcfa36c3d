"""Percentile stopping, and median stopping: what lags behind the others at the same step is stopped.

After D. Golovin et al., "Google Vizier: A Service for Black-Box Optimization" (KDD 2017), section 3.2.2, the median
stopping rule: a trial is stopped at step s if its best value up to s is strictly worse than the median of the running
averages, up to s, of the others. ``percentile`` puts another percentile in the median's place, as does T. Akiba et al.,
"Optuna" (KDD 2019), in its ``PercentilePruner``.

Where it departs: the others are all trials that were evaluated at s when the trial is judged there, not only completed
ones; and nobody is stopped at its last step, where there is nothing to save. Where the study has constraints, all is
by the constrained order, and an average has the mean of the violations, too.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.policies.curves import Curve, Curves, quantile
from hippo_core.policies.policy import Policy, PolicySpec, Values, Worth

MEDIAN = 50.0

PEERS: Mapping[str, str] = {
    "grace_period": "min_steps",
    "grace_time": "min_steps",
    "n_warmup_steps": "min_steps",
    "min_time_slice": "min_steps",
    "min_samples_required": "min_trials",
    "grace_population": "min_trials",
    "n_startup_trials": "min_trials",
    "rank_cutoff": "policies.percentile_stopping(percentile=...)",
    "metric": "minimize or maximize, which are the study's",
    "mode": "minimize or maximize, which are the study's",
}
"""For argument names that other systems use, ours."""


class PercentileStopping(Curves):
    """Stops a trial whose best value is worse than a percentile of the others' running averages.

    Args:
        percentile: The share, in percent, that goes on.
        min_steps: The first step at which trials are judged.
        min_trials: How many others there must be at a step.
        maximize: Whether the larger value of the objective is the better one.
    """

    def __init__(self, percentile: float, min_steps: int, min_trials: int, maximize: bool) -> None:
        super().__init__(maximize)
        self._percentile = percentile
        self._min_steps = min_steps
        self._min_trials = min_trials
        self._averages: dict[int, list[Worth]] = {}  # by step, sorted: each trial's average up to it

    def reported(self, trial: int, step: int, values: Values | None) -> None:
        """Counts the trial at the step."""
        known = self.curves[trial]
        before = len(known.steps)
        super().reported(trial, step, values)
        if len(known.steps) > before:
            known.average = _average(known)
            insort(self._averages.setdefault(step, []), known.average)

    def verdict(self, curve: Curve) -> str | None:
        """Compares it with the others that were evaluated at that step by then."""
        step = curve.steps[-1]
        if not self._min_steps <= step < curve.asked:
            return None
        averages = self._averages[step]
        others = len(averages) - 1
        if others < self._min_trials:
            return None
        ours = bisect_left(averages, curve.average)
        best, cut_off = curve.best, quantile(averages, self._percentile / 100, without=ours)
        if best <= cut_off:
            return None
        what = "median" if self._percentile == MEDIAN else f"best {self._percentile:g} percent"
        return (
            f"its best up to step {step}, {self.shown(best)}, is worse than {self.shown(cut_off)}, "
            f"the {what} of the averages of {others} others"
        )


def _average(curve: Curve) -> Worth:
    """The mean of its values; added up plainly, so that any Python gives the same double."""
    violated, total, count = 0.0, 0.0, len(curve.values)
    for violation, value in curve.values:
        violated += violation / count
        total += value / count
    return violated, total


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentileStoppingSpec(PolicySpec):
    """Percentile stopping, or median stopping.

    Attributes:
        percentile: The share, in percent, that goes on; None: the median.
        min_steps: The first step at which trials are judged.
        min_trials: How many others there must be at a step.
    """

    counts_trials: ClassVar[bool] = False

    constrained: ClassVar[bool] = True

    percentile: float | None
    min_steps: int
    min_trials: int

    @property
    def name(self) -> str:
        """``median_stopping`` or ``percentile_stopping``."""
        return "median_stopping" if self.percentile is None else "percentile_stopping"

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study."""
        percentile = MEDIAN if self.percentile is None else self.percentile
        return PercentileStopping(percentile, self.min_steps, self.min_trials, maximize[0])

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """There must be an evaluation on the way at which trials are judged."""
        return check_on_the_way(self.min_steps, max_steps, evaluate_every)

    def to_json(self) -> dict[str, Any]:
        """``{"policy": name, ...}``."""
        share = {} if self.percentile is None else {"percentile": self.percentile}
        return {"policy": self.name, **share, "min_steps": self.min_steps, "min_trials": self.min_trials}


def check_on_the_way(min_steps: int, max_steps: int | None, evaluate_every: int) -> list[str]:
    """Checks that a trial is evaluated before its end, from ``min_steps`` on.

    Raises:
        InvalidStudy: It is not.
    """
    first = max(1, -(-min_steps // evaluate_every)) * evaluate_every
    if max_steps is not None and first >= max_steps:
        raise InvalidStudy(
            "policy",
            f"the first evaluation at which it judges a trial, step {first}, must lie below max_steps, "
            f"{max_steps}",
            "Lower min_steps or evaluate_every, raise max_steps, or use policies.full().",
        )
    return []


@worded("policies.percentile_stopping", PEERS)
def percentile_stopping(
    percentile: float = 25.0, min_steps: int = 1, min_trials: int = 5
) -> PercentileStoppingSpec:
    """Stops a trial whose best value is worse than those of the best ``percentile`` percent at the same step.

    Args:
        percentile: The share, in percent, that goes on: above 0 and below 100.
        min_steps: The first step at which trials are judged.
        min_trials: How many other trials must have been evaluated at a step.
    """
    share = arguments.number(percentile, "policies.percentile_stopping.percentile")
    if not 0 < share < 100:
        raise InvalidStudy(
            "policies.percentile_stopping.percentile", f"must lie between 0 and 100, not {percentile!r}"
        )
    return PercentileStoppingSpec(
        percentile=share,
        min_steps=arguments.integer(min_steps, "policies.percentile_stopping.min_steps", 1),
        min_trials=arguments.integer(min_trials, "policies.percentile_stopping.min_trials", 1),
    )
