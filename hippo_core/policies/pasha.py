"""PASHA: ASHA whose last rung moves up only while the ranking of trials still changes.

After O. Bohdal et al., "PASHA: Efficient HPO and NAS with Progressive Resource Allocation" (ICLR 2023, arXiv
2207.06940), section 4, algorithm 1. Their symbols: r is ``min_steps``, R is ``max_steps``, eta is ``reduction_factor``,
K_t is the rung that is the last one for the time being (``_top``), at first the second.

When a trial comes to rung K_t, the trials there are ranked by what they were worth at K_t and at K_t - 1. The ranking
is stable if each has, at K_t, a place that belonged at K_t - 1 to one worth the same as it, give or take epsilon; else
K_t grows by one. Epsilon (section 4.2) is what noise does: of the pairs of trials at K_t that have changed places and
changed back again, the 90th percentile of how far they are apart at K_t.

Where it departs from the paper: pairs are those of trials that have come to K_t, so that decisions do not depend on how
far others are on their way; and at last the best trial at K_t goes on to its end, where the paper trains it anew. Where
the study has constraints, ranks are by the constrained order, and noise is told from what violates them by as much.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from typing import ClassVar

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.policies.asha import Asha
from hippo_core.policies.curves import quantile
from hippo_core.policies.halving import PEERS, Compared, HalvingSpec, Rules, RungKey, compared
from hippo_core.policies.ladder import rungs
from hippo_core.policies.policy import Extend, Policy, Values, Verdict, Worth, worth

NOISE_QUANTILE = 0.9


class Pasha(Asha):
    """Promotes as ASHA does, below a last rung that moves up.

    Args:
        rules: How trials are compared.
    """

    watches = True

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self._furthest = 0  # the largest max_steps
        self._top = 1  # the number of the rung that is the last one for the time being
        self._epsilon = 0.0
        self._distances: list[Worth] = []  # of the pairs at the top that changed places for nothing, sorted
        self._there: list[int] = []  # trials with a value at the top rung
        self._curves: dict[int, dict[int, Worth]] = {}  # by trial, then step

    def added(self, trial: int, max_steps: int) -> None:
        """As ASHA; a raised limit may raise the last rung."""
        self._furthest = max(self._furthest, max_steps)
        super().added(trial, max_steps)

    def reported(self, trial: int, step: int, values: Values | None) -> None:
        """Notes it, to tell noise from a change of places."""
        if values is not None:
            self._curves.setdefault(trial, {})[step] = worth(values, self.rules.maximize)

    def observed(self, trial: int, step: int, values: Values | None, model: int) -> None:
        """As ASHA; at the last rung, the ranking may prove unstable."""
        is_new = step not in self.climbers[trial].seen
        super().observed(trial, step, values, model)
        if is_new and values is not None and step == self.last_rung:
            self._compare(trial, step)

    def is_open(self, key: RungKey) -> bool:
        """Whether the rung lies below the last one."""
        return key[1] < self.last_rung

    def finish(self) -> list[Verdict]:
        """The best at the last rung goes on to its end."""
        ranked = []
        for trial in self._there:
            known = self.climbers[trial]
            if not known.ended and known.end > self.last_rung:
                ranked.append((self.rungs[known.bracket, self.last_rung].place(trial), trial))
        if not ranked:
            return super().finish()[:1]
        best = min(ranked)[1]
        known = self.climbers[best]
        return [] if known.asked >= known.end else [self.last_promotion(best)]

    def last_promotion(self, trial: int) -> Extend:
        """To its end at once."""
        known = self.climbers[trial]
        place = self.ranked(trial, (known.bracket, known.deepest))
        return Extend(trial, known.end, f"{place}; the best where the ranking is stable: to its end")

    @property
    def last_rung(self) -> int:
        """The step beyond which nothing is promoted for the time being."""
        ladder = self._ladder()
        return ladder[min(self._top, len(ladder) - 1)]

    def _ladder(self) -> tuple[int, ...]:
        rules = self.rules
        return rungs(rules.min_steps, rules.reduction_factor, self._furthest, rules.evaluate_every)

    def _compare(self, trial: int, top: int) -> None:
        """Takes a trial that has come to the top rung into account."""
        ladder = self._ladder()
        if top == ladder[-1]:
            return
        for other in self._there:
            if self._changed_twice(trial, other, top):
                insort(self._distances, (abs(self._curves[trial][top][1] - self._curves[other][top][1]),))
        self._there.append(trial)
        if self._distances:
            self._epsilon = quantile(self._distances, NOISE_QUANTILE)[0]
        if not self._is_stable(top, ladder[self._top - 1]):
            self._top += 1
            self._distances, self._there = [], []

    def _changed_twice(self, one: int, other: int, top: int) -> bool:
        """Whether two trials, read back from the top rung, are the other way round somewhere, and then again not."""
        ours, theirs = self._curves[one], self._curves[other]
        if ours[top][0] != theirs[top][0] or ours[top] == theirs[top]:
            return False
        is_ahead = ours[top] < theirs[top]
        turned = False
        for step in reversed(ours):  # they were told in order
            if step < top and step in theirs:
                if ours[step] == theirs[step]:
                    continue
                if (ours[step] < theirs[step]) is not is_ahead:
                    turned = True
                elif turned:
                    return True
        return False

    def _is_stable(self, top: int, below: int) -> bool:
        """Whether the places at the top rung are those at the rung below, give or take epsilon."""
        at_top = sorted((self._curves[trial][top], trial) for trial in self._there)
        at_below = sorted((self._curves[trial][below], trial) for trial in self._there)
        return all(
            _are_alike(self._curves[trial][below], there, self._epsilon)
            for (_, trial), (there, _) in zip(at_top, at_below, strict=True)
        )


def _are_alike(one: Worth, other: Worth, epsilon: float) -> bool:
    """Whether two are worth the same, give or take epsilon."""
    return one[0] == other[0] and abs(one[1] - other[1]) <= epsilon


@dataclass(frozen=True, slots=True, kw_only=True)
class PashaSpec(HalvingSpec):
    """PASHA."""

    counts_trials: ClassVar[bool] = False
    several_objectives: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """``pasha``."""
        return "pasha"

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study."""
        return Pasha(self.rules(maximize, evaluate_every))


@worded("policies.pasha", PEERS)
def pasha(min_steps: int = 1, reduction_factor: int = 3, compare: Compared = "trials") -> PashaSpec:
    """ASHA up to a rung that moves up, towards max_steps, only while the ranking of trials still changes.

    Args:
        min_steps: The first rung. Others are at min_steps * reduction_factor**k, the last one at max_steps.
        reduction_factor: The best 1/reduction_factor of a rung are promoted.
        compare: "models": trials that are one and the same up to a rung count once there.
    """
    return PashaSpec(
        min_steps=arguments.integer(min_steps, "policies.pasha.min_steps", 1),
        reduction_factor=arguments.integer(reduction_factor, "policies.pasha.reduction_factor", 2),
        compare=compared(compare, "policies.pasha.compare"),
    )
