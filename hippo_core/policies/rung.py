"""A rung: who has come to a step, best first.

What is compared is trials or models. A model is what several trials have in common at that step: it counts once, and
its trials stand in one place. The lower trial is the better one among equals; what has no finite value is the last.
The order is the constrained one: what violates constraints comes after what does not, the smaller violation first.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from hippo_core.policies.pareto import Fronts
from hippo_core.policies.policy import Worth

Rank = tuple[Worth, int]
"""What is compared, and the first trial that came with it."""


class Rung:
    """Those who have come to one rung.

    Args:
        objectives: How many there are.
    """

    def __init__(self, objectives: int) -> None:
        self._sorted: list[Rank] = []  # of one objective
        self._fronts = Fronts() if objectives > 1 else None
        self._values: dict[int, Worth | None] = {}  # by first trial
        self._firsts: dict[int, int] = {}  # by model
        self._models: dict[int, int] = {}  # by trial
        self._trials: dict[int, list[int]] = {}  # by model

    def __len__(self) -> int:
        """How many are compared."""
        return len(self._firsts)

    def __contains__(self, trial: int) -> bool:
        """Whether a trial has come to it."""
        return trial in self._models

    def enter(self, trial: int, model: int, values: Worth | None) -> None:
        """A trial, or one more trial of a model, comes.

        Args:
            trial: The trial, which has not come before.
            model: What it is compared as.
            values: What it is worth; None: it has no finite values.
        """
        self._models[trial] = model
        self._trials.setdefault(model, []).append(trial)
        if model in self._firsts:
            return
        self._firsts[model] = trial
        self._values[trial] = values
        if values is None:
            return
        if self._fronts is not None:
            self._fronts.add(values, trial)
        else:
            insort(self._sorted, (values, trial))

    def place(self, trial: int) -> int:
        """How many are better than a trial; all, where it has no value."""
        first = self._firsts[self._models[trial]]
        values = self._values[first]
        if values is None:
            return len(self)
        if self._fronts is not None:
            return self._fronts.place(first)
        return bisect_left(self._sorted, (values, first))

    def newly_among(self, quota: int, trial: int) -> list[int]:
        """The trials that can have come among the best ``quota`` as a trial entered; others can only have left."""
        if self._fronts is not None:
            return [each for first in self._fronts.first(quota) for each in self._with(first)]
        found = [trial]
        if 0 < quota <= len(self._sorted):
            found += [each for each in self._with(self._sorted[quota - 1][1]) if each != trial]
        return found

    def cut_off(self, quota: int) -> Worth | None:
        """What the last of the best ``quota`` is worth."""
        if not quota:
            return None
        if self._fronts is not None:
            found = self._fronts.first(quota)
            return self._values[found[-1]] if len(found) == quota else None
        return self._sorted[quota - 1][0] if quota <= len(self._sorted) else None

    def _with(self, first: int) -> list[int]:
        return self._trials[self._models[first]]
