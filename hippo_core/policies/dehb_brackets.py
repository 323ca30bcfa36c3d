"""The brackets of DEHB: how many points are evaluated at which step.

After N. Awad, N. Mallik, F. Hutter, "DEHB: Evolutionary Hyperband for Scalable, Robust and Efficient Hyperparameter
Optimization" (IJCAI 2021, arXiv 2105.09821), section 4.1. Their symbols: the budgets b are the rungs of a ladder, eta
is ``reduction_factor``. A level is the place of a budget on the ladder, from 0. Brackets come in turns: the first of
each turn begins at level 0, the next at level 1, and the last has the last level only. A bracket that begins with s
levels above it evaluates n = floor((s_max + 1) / (s + 1)) * eta**s points there, and n / eta**i at i levels above.
"""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.policies.ladder import rungs


@dataclass(frozen=True, slots=True)
class Job:
    """One of the evaluations of a bracket's rung."""

    bracket: int  #: from 0, counted on from turn to turn
    rung: int  #: from 0, within its bracket


class DehbBrackets:
    """The brackets on one ladder.

    Args:
        min_steps: The first rung of the ladder.
        reduction_factor: The ratio from one to the next.
        max_steps: The last of them.
        evaluate_every: They are rounded up to its multiples.
    """

    def __init__(self, min_steps: int, reduction_factor: int, max_steps: int, evaluate_every: int) -> None:
        self.ladder = rungs(min_steps, reduction_factor, max_steps, evaluate_every)
        self._reduction_factor = reduction_factor

    def sizes(self, bracket: int) -> tuple[int, ...]:
        """How many points a bracket evaluates at each of its rungs."""
        count = len(self.ladder)
        above = count - 1 - bracket % count
        first = count // (above + 1) * self._reduction_factor**above
        return tuple(max(1, first // self._reduction_factor**rung) for rung in range(above + 1))

    def level(self, job: Job) -> int:
        """On which rung of the ladder a job is."""
        return job.bracket % len(self.ladder) + job.rung

    def population(self, level: int) -> int:
        """The most points that any bracket evaluates on a rung of the ladder."""
        return max(self.sizes(bracket)[level - bracket] for bracket in range(level + 1))

    @property
    def first_bracket(self) -> int:
        """How many evaluations the first bracket has in all."""
        return sum(self.sizes(0))
