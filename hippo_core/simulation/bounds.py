"""How short a schedule can be: lower bounds of the makespan of a set of steps on some slots.

Steps are tasks, and those of a trial follow one another, so that the steps to train are an out-forest. All bounds here
hold for every schedule, whether it interrupts paths or not, and whatever it costs to save and load.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Work(NamedTuple):
    """A step to train.

    Attributes:
        earliest: When it can begin at the earliest: what all steps above it in the forest take together.
        duration: What it takes.
    """

    earliest: int
    duration: int


def level_bound(work: Sequence[Work], slots: int) -> int:
    """Hu's level bound.

    After T. C. Hu, "Parallel sequencing and assembly line problems" (Operations Research 9(6), 1961), section 3, for
    the forest with its arrows turned round: all that cannot begin before some time x is done after x, so that
    nothing is shorter than x + ceil(work at and below the depth x / slots). For steps of equal length the largest
    of these over x is the length of the best schedule. Work of steps of unequal length is not rounded up to whole
    steps, and the bound is at least that of the longest path.

    Args:
        work: All steps, in any order.
        slots: How many are trained at a time.

    Returns:
        The bound, in the unit of the durations.
    """
    durations = {each.duration for each in work}
    unit = durations.pop() if len(durations) == 1 else 1
    bound, below = path_bound(work, slots), 0
    ordered = sorted(work, key=lambda each: -each.earliest)
    for index, each in enumerate(ordered):
        below += each.duration // unit
        if index + 1 == len(ordered) or ordered[index + 1].earliest < each.earliest:
            bound = max(bound, each.earliest + -(-below // slots) * unit)
    return bound


def path_bound(work: Sequence[Work], slots: int) -> int:
    """The longest path, or all work divided by the slots, whichever is more.

    Args:
        work: All steps, in any order.
        slots: How many are trained at a time.
    """
    longest = max((each.earliest + each.duration for each in work), default=0)
    return max(longest, -(-sum(each.duration for each in work) // slots))
