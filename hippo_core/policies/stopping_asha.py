"""ASHA by stopping: a trial goes on while it is among the best of its rung so far, and is stopped otherwise.

After A. Klein et al., "Model-based Asynchronous Hyperparameter and Neural Architecture Search" (arXiv 2003.10865),
section 3, which tells the stopping variant of ASHA from that by promotion. r is ``min_steps``, eta is
``reduction_factor``. No trial ever waits for another; a trial that comes early meets few others, and goes on easily.

Where it departs: of fewer than eta in a rung the best one goes on, and not all of them. Every trial that has come to a
step is compared there, also those that end at it.
"""

from __future__ import annotations

from hippo_core.policies.halving import Halving, Rules, RungKey
from hippo_core.policies.policy import Extend, Stop, Verdict


class StoppingAsha(Halving):
    """Judges each trial once at each rung, as it comes to it.

    Args:
        rules: How trials are compared.
    """

    ends_compete = True

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        # What the engine has yet to carry out, by trial: the rung from which it goes on, if it does, and why.
        self._judged: dict[int, int] = {}  # by trial, up to which rung
        self._verdicts: dict[int, tuple[int | None, str]] = {}

    def quota(self, key: RungKey) -> int:
        """At least one goes on."""
        return max(1, super().quota(key))

    def entered(self, trial: int, key: RungKey) -> None:
        """Judges it, unless it was judged there or has gone on already."""
        known = self.climbers[trial]
        is_past = known.asked > key[1] or self._judged.get(trial, 0) >= key[1]
        if is_past or known.ended or known.seen[key[1]].values is None:
            return
        self._judged[trial] = key[1]
        self._verdicts[trial] = (key[1] if self.among_best(trial, key) else None, self.told(trial, key))

    def settled(self, trial: int) -> None:
        """Its verdict was carried out, or it ended."""
        self._verdicts.pop(trial, None)

    def stopped(self, trial: int) -> None:
        """It was told to."""
        if trial in self._verdicts and self._verdicts[trial][0] is None:
            del self._verdicts[trial]

    def decide(self) -> list[Verdict]:
        """First those that begin, then the verdicts, in the order in which they came to be."""
        found: list[Verdict] = list(self.starts())
        for trial, (rung, text) in self._verdicts.items():
            if rung is None:
                found.append(Stop(trial, text))
            else:
                found.append(Extend(trial, self.climbers[trial].rung_above(rung), text))
        return found
