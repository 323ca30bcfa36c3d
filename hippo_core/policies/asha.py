"""ASHA: asynchronous successive halving, with promotion.

After L. Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020, arXiv 1810.05934),
section 3, algorithm 2. Their symbols: r is ``min_steps``, R is ``max_steps``, eta is ``reduction_factor``, s
(the early-stopping rate) is the bracket; rung k is at step r * eta**k. With several brackets it is their asynchronous
Hyperband: trials are dealt out as ``ladder`` says, and each bracket is an ASHA of its own. Several objectives are
compared as ``pareto`` says.

Where it departs from the paper:

- A promotion stands as soon as a trial is in the top 1/eta of its rung, until it is displaced. As in the paper it is
  carried out when a slot would take it; those of the lowest rung come first, as most may follow from them.
- Trials differ in ``max_steps``: each competes in the rungs below its own, which is its end and no rung of others.
- Where nobody of a bracket would reach the last rung, the best one in its deepest rung is promoted when nothing is
  open any more, so that a study of few trials has a trained winner too, whichever bracket the best was dealt to.
- Models can be compared instead of trials: a rung's n is then that of the models, and a model's trials, which differ
  only in what is still to come, are promoted together.
- All brackets are filled side by side, where the paper fills one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.policies.halving import PEERS, Compared, Halving, HalvingSpec, Rules, RungKey, compared
from hippo_core.policies.policy import Extend, Policy, Promote, Verdict
from hippo_core.policies.stopping_asha import StoppingAsha


class Asha(Halving):
    """Promotes the best 1/``reduction_factor`` of each rung, as soon as they are known; others wait where they are.

    Args:
        rules: How trials are compared.
    """

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self._chosen: dict[RungKey, dict[int, None]] = {}  # by rung: whom it promotes
        self._rung_of: dict[int, RungKey] = {}  # from which rung a chosen trial is promoted

    def entered(self, trial: int, key: RungKey) -> None:
        """The trial, or the one that the larger rung lets in, may be promoted."""
        for each in self.rungs[key].newly_among(self.quota(key), trial):
            self._consider(each, key)

    def settled(self, trial: int) -> None:
        """It is not promoted, or has been."""
        key = self._rung_of.pop(trial, None)
        if key is not None:
            del self._chosen[key][trial]

    def decide(self) -> list[Verdict]:
        """First those that begin, then the promotions, rung by rung, the best first."""
        found: list[Verdict] = list(self.starts())
        for key in sorted(self._chosen):
            if not self._chosen[key] or not self.is_open(key):
                continue
            for trial in sorted(self._chosen[key], key=self.rungs[key].place):
                if self.among_best(trial, key):
                    above = self.climbers[trial].rung_above(key[1])
                    promotion = Promote if self.hurries else Extend
                    found.append(promotion(trial, above, self.told(trial, key)))
                else:
                    # Better ones came in the same breath. Should the rung grow, it is looked at again.
                    self.settled(trial)
        return found

    def is_open(self, key: RungKey) -> bool:
        """Whether a rung may promote now."""
        return True

    def finish(self) -> list[Verdict]:
        """In a bracket where no trial has come to its end, the best in the deepest rung goes on; of a model, all."""
        complete: set[int] = set()
        waiting: dict[int, list[tuple[tuple[int, int], int]]] = {}  # by bracket
        for trial, known in self.climbers.items():
            deepest = known.deepest
            if not deepest or known.seen[deepest].values is None:
                continue
            if deepest >= known.end:
                complete.add(known.bracket)
            elif not known.ended and known.next_above(max(deepest, known.asked)) is not None:
                place = self.rungs[known.bracket, deepest].place(trial)
                waiting.setdefault(known.bracket, []).append(((-deepest, place), trial))
        found: list[Verdict] = []
        for bracket in sorted(set(waiting) - complete):
            best = min(rank for rank, _ in waiting[bracket])
            found += [self.last_promotion(trial) for rank, trial in waiting[bracket] if rank == best]
        return found

    def last_promotion(self, trial: int) -> Extend:
        """How the best in the deepest rung goes on where nobody else has come to an end."""
        known = self.climbers[trial]
        above = known.rung_above(max(known.deepest, known.asked))
        place = self.ranked(trial, (known.bracket, known.deepest))
        return Extend(trial, above, f"{place}; the best at the furthest step that any trial has come to")

    def standing(self, trial: int) -> str:
        """Its place in the rung where it rests."""
        known = self.climbers[trial]
        key = (known.bracket, known.deepest)
        return self.told(trial, key) if key in self.rungs and trial in self.rungs[key] else ""

    def _consider(self, trial: int, key: RungKey) -> None:
        """Chooses the trial if it is among the best of the rung, and was not promoted before."""
        known = self.climbers[trial]
        if known.asked > key[1] or known.ended or trial in self.starting:
            return
        if known.seen[key[1]].values is not None and self.among_best(trial, key):
            self._chosen.setdefault(key, {})[trial] = None
            self._rung_of[trial] = key


@dataclass(frozen=True, slots=True, kw_only=True)
class AshaSpec(HalvingSpec):
    """ASHA.

    Attributes:
        brackets: How many brackets trials are dealt to.
        stopping: Whether a trial that is not among the best is stopped, rather than kept for a promotion.
    """

    counts_trials: ClassVar[bool] = False

    brackets: int = 1
    stopping: bool = False

    @property
    def name(self) -> str:
        """``asha``."""
        return "asha"

    @property
    def most_brackets(self) -> int | None:
        """As many as are asked for."""
        return self.brackets

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study."""
        rules = self.rules(maximize, evaluate_every)
        return StoppingAsha(rules) if self.stopping else Asha(rules)

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "asha", ...}``."""
        return {**HalvingSpec.to_json(self), "brackets": self.brackets, "stopping": self.stopping}


@worded("policies.asha", PEERS)
def asha(
    min_steps: int = 1,
    reduction_factor: int = 3,
    brackets: int = 1,
    stopping: bool = False,
    compare: Compared = "trials",
) -> AshaSpec:
    """Asynchronous successive halving: compares trials at rungs, and promotes the best of each.

    Args:
        min_steps: The first rung. Others are at min_steps * reduction_factor**k, the last one at max_steps.
        reduction_factor: The best 1/reduction_factor of a rung are promoted.
        brackets: Trials are dealt out to so many brackets; those of bracket b begin at rung b.
        stopping: Stops at once what is not among the best of its rung so far, and never takes it up again.
        compare: "models": trials that are one and the same up to a rung count once there.
    """
    if not isinstance(stopping, bool):
        raise InvalidStudy("policies.asha.stopping", f"must be True or False, not {stopping!r}")
    return AshaSpec(
        min_steps=arguments.integer(min_steps, "policies.asha.min_steps", 1),
        reduction_factor=arguments.integer(reduction_factor, "policies.asha.reduction_factor", 2),
        brackets=arguments.integer(brackets, "policies.asha.brackets", 1),
        stopping=stopping,
        compare=compared(compare, "policies.asha.compare"),
    )
