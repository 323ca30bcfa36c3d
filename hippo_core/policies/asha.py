"""ASHA: asynchronous successive halving, with promotion.

After L. Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020, arXiv 1810.05934),
section 3, algorithm 2. Their symbols: r is ``min_steps``, R is ``max_steps``, eta is ``reduction_factor``, s
(the early-stopping rate, their brackets) is 0; rung k is at step r * eta**k.

Where it departs from the paper:

- A trial is promoted as soon as it is in the top 1/eta of its rung. The paper does so when a worker asks for a
  job; here the scheduler chooses among what is requested, so that a promotion is known as early as possible.
- Trials differ in ``max_steps``: each competes in the rungs below its own, which is its end and no rung of others.
- Where nobody would reach the last rung, the best one in the deepest rung is promoted when nothing is open any
  more, so that a study of few trials has a trained winner too.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.policies.policy import Decision, Extend, Policy, PolicySpec, round_up

Rank = tuple[bool, float, int]
"""What is smaller is better: (has no value, value with its sign, trial). A trial that diverged is the last."""


@dataclass(slots=True)
class _Trial:
    """What the policy knows of a trial."""

    ladder: tuple[int, ...]  #: its rungs, as steps
    asked: int = 0  #: the furthest step requested
    ranks: dict[int, Rank] = field(default_factory=dict)  #: where it stands, by rung
    ended: bool = False

    def next_above(self, step: int) -> int | None:
        """Its first rung above a step."""
        return next((rung for rung in self.ladder if rung > step), None)


class Asha(Policy):
    """Promotes the best 1/``reduction_factor`` of each rung, as soon as they are known; others wait where
    they are.

    Args:
        min_steps: The first rung.
        reduction_factor: By how much longer, and by how many fewer, from rung to rung.
        maximize: Whether a larger value is better.
        evaluate_every: Rungs are rounded up to its multiples.
    """

    def __init__(self, min_steps: int, reduction_factor: int, maximize: bool, evaluate_every: int) -> None:
        self._min_steps = min_steps
        self._reduction_factor = reduction_factor
        self._sign = -1.0 if maximize else 1.0
        self._evaluate_every = evaluate_every
        self._trials: dict[int, _Trial] = {}
        self._rungs: dict[int, list[Rank]] = {}  # by step, best first
        self._wanted: dict[int, int] = {}
        self._promoted: dict[int, int] = {}  # from which rung, for those of the wanted that were promoted

    def added(self, trial: int, max_steps: int) -> None:
        """Wants the first rung of a new trial; a raised limit may let one that waits at its end go on."""
        ladder = rungs(self._min_steps, self._reduction_factor, max_steps, self._evaluate_every)
        known = self._trials.setdefault(trial, _Trial(ladder))
        known.ladder = ladder
        deepest = max(known.ranks, default=0)
        above = known.next_above(deepest)
        if not known.asked or (known.ended and known.asked > deepest):
            # New, or to be tried again: then what it had been promoted to still stands.
            known.asked = deepest
            if above is not None:
                self._wanted[trial] = above
        known.ended = False
        for step in known.ranks:
            self._compete(trial, step)

    def requested(self, trial: int, step: int) -> None:
        """Waits for it; a trial that had ended is being tried again."""
        self._trials[trial].asked = step
        self._trials[trial].ended = False
        if step >= self._wanted.get(trial, step):
            self._forget(trial)

    def observed(self, trial: int, step: int, value: float | None) -> None:
        """Ranks the trial in its rung; it, or the one that the larger rung lets in, may be promoted."""
        known = self._trials[trial]
        if step in known.ranks:
            return
        rank = (value is None, 0.0 if value is None else self._sign * value, trial)
        known.ranks[step] = rank
        self._compete(trial, step)

    def ended(self, trial: int) -> None:
        """Wants nothing of it any more; it keeps its place in the rungs."""
        self._trials[trial].ended = True
        self._forget(trial)

    def decide(self) -> list[Decision]:
        """All that is wanted, in the order in which it came to be."""
        for trial in [
            trial for trial in self._promoted if not self._among_best(trial, self._promoted[trial])
        ]:
            # Better ones came in the same breath. Should the rung grow, it is looked at again.
            del self._promoted[trial]
            del self._wanted[trial]
        return [Extend(trial, step) for trial, step in self._wanted.items()]

    def finish(self) -> list[Decision]:
        """Where no trial has come to its end, the best in the deepest rung goes on."""
        candidates = []
        for number, trial in self._trials.items():
            deepest = max(trial.ranks, default=0)
            if deepest >= trial.ladder[-1] and not trial.ranks[deepest][0]:
                return []
            above = trial.next_above(max(deepest, trial.asked))
            if deepest and above is not None and not trial.ended and not trial.ranks[deepest][0]:
                candidates.append((-deepest, trial.ranks[deepest], Extend(number, above)))
        return [min(candidates, key=lambda each: each[:2])[2]] if candidates else []

    def _forget(self, trial: int) -> None:
        self._wanted.pop(trial, None)
        self._promoted.pop(trial, None)

    def _compete(self, trial: int, rung: int) -> None:
        """Enters a trial into a rung that is not its end; it, or the one that this lets in, may be promoted."""
        known = self._trials[trial]
        if rung >= known.ladder[-1]:
            return
        ranks = self._rungs.setdefault(rung, [])
        place = bisect_left(ranks, known.ranks[rung])
        if place == len(ranks) or ranks[place] != known.ranks[rung]:
            ranks.insert(place, known.ranks[rung])
        self._consider(trial, rung)
        last_in = len(ranks) // self._reduction_factor - 1
        if last_in >= 0:
            self._consider(ranks[last_in][2], rung)

    def _consider(self, trial: int, rung: int) -> None:
        """Wants the trial's next rung if it is among the best of this one, and was not promoted before."""
        known = self._trials[trial]
        above = known.next_above(rung)
        if above is None or known.asked >= above or known.ended or known.ranks[rung][0]:
            return
        if self._among_best(trial, rung):
            self._wanted[trial] = above
            self._promoted[trial] = rung

    def _among_best(self, trial: int, rung: int) -> bool:
        ranks = self._rungs[rung]
        place = bisect_left(ranks, self._trials[trial].ranks[rung])
        return place < len(ranks) // self._reduction_factor


def rungs(min_steps: int, reduction_factor: int, max_steps: int, evaluate_every: int) -> tuple[int, ...]:
    """The steps at which trials are compared: min_steps * reduction_factor**k below max_steps, and max_steps.

    Args:
        min_steps: The first of them.
        reduction_factor: The ratio from one to the next.
        max_steps: The last of them, a multiple of ``evaluate_every``.
        evaluate_every: They are rounded up to its multiples.
    """
    found: list[int] = []
    step = min_steps
    while round_up(step, evaluate_every) < max_steps:
        rounded = round_up(step, evaluate_every)
        if not found or rounded > found[-1]:
            found.append(rounded)
        step *= reduction_factor
    return (*found, max_steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class AshaSpec(PolicySpec):
    """ASHA with promotion.

    Attributes:
        min_steps: The first rung.
        reduction_factor: By how much longer, and by how many fewer, from rung to rung.
    """

    min_steps: int
    reduction_factor: int

    def build(self, maximize: bool, evaluate_every: int) -> Policy:
        """The policy at the beginning of a study."""
        return Asha(self.min_steps, self.reduction_factor, maximize, evaluate_every)

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """There must be a rung below the last one."""
        if max_steps is None:
            return self._rounding(self.min_steps + 1, evaluate_every)
        if round_up(self.min_steps, evaluate_every) >= max_steps:
            raise InvalidStudy(
                "policy.min_steps",
                f"the first rung, step {round_up(self.min_steps, evaluate_every)}, must lie below max_steps, "
                f"{max_steps}",
                "Lower min_steps, raise max_steps, or use policies.full().",
            )
        return self._rounding(max_steps, evaluate_every)

    def _rounding(self, below: int, every: int) -> list[str]:
        moved = []
        step = self.min_steps
        while step < below:
            if step % every:
                moved.append(f"{step} -> {round_up(step, every)}")
            step *= self.reduction_factor
        if not moved:
            return []
        return [f"asha's rungs are rounded up to multiples of evaluate_every={every}: {', '.join(moved)}"]

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "asha", ...}``."""
        return {
            "policy": "asha",
            "min_steps": self.min_steps,
            "reduction_factor": self.reduction_factor,
        }


@worded(
    "policies.asha",
    {
        "grace_period": "min_steps",
        "min_resource": "min_steps",
        "min_t": "min_steps",
        "min_iter": "min_steps",
        "eta": "reduction_factor",
        "factor": "reduction_factor",
        "max_t": "max_steps, which is the study's",
        "max_resource": "max_steps, which is the study's",
        "max_iter": "max_steps, which is the study's",
        "max_steps": "max_steps, which is the study's",
        "metric": "minimize or maximize, which are the study's",
        "mode": "minimize or maximize, which are the study's",
    },
)
def asha(min_steps: int = 1, reduction_factor: int = 3) -> AshaSpec:
    """Asynchronous successive halving: compares trials at rungs, and promotes the best of each.

    Args:
        min_steps: The first rung. Others are at min_steps * reduction_factor**k, the last one at max_steps.
        reduction_factor: The best 1/reduction_factor of a rung are promoted.
    """
    return AshaSpec(
        min_steps=arguments.integer(min_steps, "policies.asha.min_steps", 1),
        reduction_factor=arguments.integer(reduction_factor, "policies.asha.reduction_factor", 2),
    )
