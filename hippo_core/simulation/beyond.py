"""What is made up where a record ends: its curves are continued by power laws.

The distance of a metric to a limit, which lies a little beyond the best value recorded, falls by a power of the step:
``d(t) = d(t0) * ((1 + t0) / (1 + t)) ** alpha``, from the last value recorded before, else from the worst one recorded.
The exponent alpha is that of the values in force in a synthetic family (``hippo_core.simulation.power_law``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from hippo_core.objective import Objective
from hippo_core.simulation.power_law import PowerLaw

Metrics = Mapping[str, float | None]
Gaps = tuple[float, ...]
"""For each objective its distance to the limit."""

MARGIN = 0.05
"""How far the limit lies beyond the best value, as a share of the range of values."""


class Continuation:
    """Continues the curves of a record.

    Args:
        objectives: The metrics to continue; others end with the record.
        recorded: All metrics that are recorded; they say where the limits lie.
        seed: Decides the exponents.
    """

    def __init__(self, objectives: Sequence[Objective], recorded: Iterable[Metrics], seed: int = 0) -> None:
        self._objectives = tuple(objectives)
        self._family = PowerLaw(self._objectives, seed, noise=0.0)
        values: list[list[float]] = [[] for _ in self._objectives]
        for metrics in recorded:
            for found, objective in zip(values, self._objectives, strict=True):
                value = _cost(objective, metrics)
                if value is not None:
                    found.append(value)
        self._limits = tuple(_limit(found) for found in values)
        self._widest = tuple(
            max(found, default=1.0) - limit for found, limit in zip(values, self._limits, strict=True)
        )

    def leave(self, metrics: Metrics) -> Gaps:
        """Where the curves begin that go on from a recorded state; without metrics, from the worst one recorded."""
        gaps = []
        for objective, limit, widest in zip(self._objectives, self._limits, self._widest, strict=True):
            value = _cost(objective, metrics)
            gaps.append(widest if value is None else value - limit)
        return tuple(gaps)

    def train(self, gaps: Gaps, step: int, values: Mapping[str, object]) -> Gaps:
        """The distances a step later."""
        left = (step + 1) / (step + 2)
        exponents = self._family.exponents(values)  # type: ignore[arg-type]
        return tuple(gap * left**exponent for gap, exponent in zip(gaps, exponents, strict=True))

    def evaluate(self, gaps: Gaps) -> dict[str, float]:
        """The objectives."""
        return {
            objective.metric: -(limit + gap) if objective.maximize else limit + gap
            for objective, limit, gap in zip(self._objectives, self._limits, gaps, strict=True)
        }


def _cost(objective: Objective, metrics: Metrics) -> float | None:
    """The metric such that less is better; None: there is none that is finite."""
    value = metrics.get(objective.metric)
    if value is None or not math.isfinite(value):
        return None
    return -value if objective.maximize else value


def _limit(values: Sequence[float]) -> float:
    if not values:
        return 0.0
    best, worst = min(values), max(values)
    return best - MARGIN * ((worst - best) or abs(best) or 1.0)
