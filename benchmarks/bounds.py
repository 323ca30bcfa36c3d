"""The shortest time in which slots can train a stage tree, on unit steps.

Hu, T. C. (1961), *Parallel sequencing and assembly line problems*: for unit tasks whose precedence is a forest, running
the tasks with the longest remaining path first is optimal. The length of that schedule is the bound.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence


def makespan_steps(paths: Iterable[Sequence[object]], slots: int) -> int:
    """The least number of rounds in which ``slots`` train all distinct prefixes of the given value paths.

    Args:
        paths: For each trial its values, one hashable entry a step.
        slots: How many steps can be trained at a time.
    """
    children: dict[int, dict[object, int]] = {0: {}}
    for path in paths:
        at = 0
        for values in path:
            following = children[at].get(values)
            if following is None:
                following = len(children)
                children[at][values] = following
                children[following] = {}
            at = following
    height = dict.fromkeys(children, 0)
    for task in sorted(children, reverse=True):
        height[task] = max((height[each] + 1 for each in children[task].values()), default=0)
    ready = [(-height[task], task) for task in children[0].values()]
    heapq.heapify(ready)
    rounds = 0
    while ready:
        rounds += 1
        for _, task in [heapq.heappop(ready) for _ in range(min(slots, len(ready)))]:
            for following in children[task].values():
                heapq.heappush(ready, (-height[following], following))
    return rounds
