"""Ranking by several objectives: non-dominated fronts, and within a front by an epsilon-net.

After R. Schmucker et al., "Multi-objective Asynchronous Successive Halving" (arXiv 2106.12639, 2021), section 4: the
candidates of a rung are sorted into fronts F_1, F_2, ..., of which none dominates another within its front, and within
a front by the greedy epsilon-net: next comes who is farthest from all that came before.

Where it departs: the net begins at the best of the front by the first objective, so that nothing is random, and
distances are measured in each objective's range over the front, so that its unit does not matter.

Where the study has constraints, domination is the constrained one: a point of a smaller violation dominates
(``hippo_core.metric_constraints``).

The fronts are kept by change: a newcomer enters the first front where nobody dominates it, and whom it dominates there
moves a front down, and so on (K. Li et al., "Efficient Nondomination Level Update", IEEE Transactions on Cybernetics
47(9), 2017).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

from hippo_core.policies.policy import Worth

Point = tuple[Worth, int]
"""What is compared, and the trial."""


class Fronts:
    """Points in fronts, the best front first."""

    def __init__(self) -> None:
        self._fronts: list[dict[int, Worth]] = []  # by trial
        self._orders: list[list[int] | None] = []  # of each front, where it has not changed since

    def add(self, values: Worth, trial: int) -> None:
        """Enters a point."""
        level = 0
        while level < len(self._fronts) and any(
            dominates(other, values) for other in self._fronts[level].values()
        ):
            level += 1
        moving = {trial: values}
        while moving:
            if level == len(self._fronts):
                self._fronts.append({})
                self._orders.append(None)
            front = self._fronts[level]
            below = {
                other: theirs
                for other, theirs in front.items()
                if any(dominates(ours, theirs) for ours in moving.values())
            }
            for other in below:
                del front[other]
            front.update(moving)
            self._orders[level] = None
            moving = below
            level += 1

    def place(self, trial: int) -> int:
        """How many come before a trial."""
        before = 0
        for level, front in enumerate(self._fronts):
            if trial in front:
                return before + self._order(level).index(trial)
            before += len(front)
        raise KeyError(trial)

    def first(self, count: int) -> list[int]:
        """The first so many trials, best first."""
        return list(islice(self.ranked(), count))

    def ranked(self) -> Iterable[int]:
        """All trials, best first."""
        return chain.from_iterable(self._order(level) for level in range(len(self._fronts)))

    def _order(self, level: int) -> list[int]:
        order = self._orders[level]
        if order is None:
            order = epsilon_net([(values, trial) for trial, values in self._fronts[level].items()])
            self._orders[level] = order
        return order


def dominates(one: Worth, other: Worth) -> bool:
    """Whether one violates constraints less; or as much, and is nowhere worse, and somewhere better."""
    if one[0] != other[0]:
        return one[0] < other[0]
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def epsilon_net(front: list[Point]) -> list[int]:
    """The trials of a front: first the best by the first objective, then ever who is farthest from all before."""
    points = [(values[1:], trial) for values, trial in sorted(front)]  # all violate constraints by as much
    columns = list(zip(*(values for values, _ in points), strict=True))
    lows = [min(column) for column in columns]
    ranges = [(max(column) - min(column)) or 1.0 for column in columns]
    scaled = [
        tuple((value - low) / width for value, low, width in zip(values, lows, ranges, strict=True))
        for values, _ in points
    ]
    order = [0]
    left = list(range(1, len(points)))
    distances = dict.fromkeys(left, float("inf"))
    while left:
        latest = scaled[order[-1]]
        for index in left:
            away = sum((a - b) ** 2 for a, b in zip(scaled[index], latest, strict=True))
            distances[index] = min(distances[index], away)
        farthest = max(left, key=lambda index: (distances[index], -index))
        order.append(farthest)
        left.remove(farthest)
    return [points[index][1] for index in order]
