"""SHA: synchronous successive halving.

After K. Jamieson and A. Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization" (AISTATS
2016), in the form of L. Li et al. (arXiv 1810.05934), section 3, algorithm 1. Their symbols: r is ``min_steps``, R is
``max_steps``, eta is ``reduction_factor``, n is the study's trials, s is 0; rung i is at step r * eta**i.

A rung decides when all the study's trials are there, and all that can come to it have, or have ended: what is promoted
does not depend on the order of arrival. Where it departs from the paper:

- Of each rung at least one goes on, so that a study of few trials has a trained winner too. Should all that went on
  diverge or fail, the best in the deepest rung goes on in their stead.
- A rung that has decided decides again when trials are added or limits are raised; what was promoted stays.
- Trials differ in ``max_steps``: each competes in the rungs below its own, which is its end and no rung of others.
"""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.policies.asha import Asha
from hippo_core.policies.halving import PEERS, Compared, HalvingSpec, Rules, RungKey, compared
from hippo_core.policies.policy import Policy, Values


class Sha(Asha):
    """Promotes the best 1/``reduction_factor`` of each rung, when the whole rung is known.

    Args:
        rules: How trials are compared.
        max_trials: How many trials there will be in all; before they have come, nobody is promoted.
    """

    hurries = False

    def __init__(self, rules: Rules, max_trials: int) -> None:
        super().__init__(rules)
        self._max_trials = max_trials
        self._heading: dict[int, RungKey] = {}  # by trial: the rung that it is on its way to
        self._awaited: dict[int, dict[int, int]] = {}  # by bracket, then step: how many are on their way

    def quota(self, key: RungKey) -> int:
        """At least one goes on."""
        return max(1, super().quota(key))

    def is_open(self, key: RungKey) -> bool:
        """Whether nobody is to come, or on the way to the rung or to one below, or promoted from below."""
        bracket, step = key
        if len(self.climbers) < self._max_trials:
            return False
        if any(each <= step for each in self._awaited.get(bracket, {})):
            return False
        return not any(
            chosen and other[0] == bracket and other[1] < step for other, chosen in self._chosen.items()
        )

    def added(self, trial: int, max_steps: int) -> None:
        """As ASHA; its rungs wait for it."""
        super().added(trial, max_steps)
        self._note(trial)

    def requested(self, trial: int, step: int) -> None:
        """As ASHA; its rungs wait for it."""
        super().requested(trial, step)
        self._note(trial)

    def observed(self, trial: int, step: int, values: Values | None, model: int) -> None:
        """As ASHA; its rung waits for it no longer."""
        super().observed(trial, step, values, model)
        self._note(trial)

    def ended(self, trial: int) -> None:
        """As ASHA; its rung waits for it no longer."""
        super().ended(trial)
        self._note(trial)

    def _note(self, trial: int) -> None:
        """Counts the trial where it is heading to now."""
        before = self._heading.pop(trial, None)
        if before is not None:
            steps = self._awaited[before[0]]
            steps[before[1]] -= 1
            if not steps[before[1]]:
                del steps[before[1]]
        known = self.climbers[trial]
        step = known.rung_above(known.deepest) if trial in self.starting else known.asked
        if not known.ended and known.deepest < step < known.end:
            self._heading[trial] = (known.bracket, step)
            steps = self._awaited.setdefault(known.bracket, {})
            steps[step] = steps.get(step, 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ShaSpec(HalvingSpec):
    """Synchronous successive halving."""

    @property
    def name(self) -> str:
        """``sha``."""
        return "sha"

    @property
    def waits(self) -> bool:
        """It does."""
        return True

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study."""
        return Sha(self.rules(maximize, evaluate_every), max_trials)


@worded("policies.sha", PEERS)
def sha(min_steps: int = 1, reduction_factor: int = 3, compare: Compared = "trials") -> ShaSpec:
    """Synchronous successive halving: a rung promotes its best when all its trials are known.

    Args:
        min_steps: The first rung. Others are at min_steps * reduction_factor**k, the last one at max_steps.
        reduction_factor: The best 1/reduction_factor of a rung are promoted.
        compare: "models": trials that are one and the same up to a rung count once there.
    """
    return ShaSpec(
        min_steps=arguments.integer(min_steps, "policies.sha.min_steps", 1),
        reduction_factor=arguments.integer(reduction_factor, "policies.sha.reduction_factor", 2),
        compare=compared(compare, "policies.sha.compare"),
    )
