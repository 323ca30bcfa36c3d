"""Outlooks of nodes, and their ranges, worked out of what they follow from; most nodes look like one of a few others.

What many nodes have alike is one object for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

from hippo_core.plan import Node
from hippo_core.stage_ranges import NOBODY, Outlook, Range, Start, Users, Way, bases, kinds_at, starts_below

T = TypeVar("T", Outlook, tuple[int, ...])

EMPTY = Outlook()
"""Of a node of which nothing is needed."""

Asked = Sequence[tuple[int, str, int]]
"""Requests of running studies: priority, user, and how many steps are sure to be asked for beyond."""


@lru_cache(maxsize=4096)
def once(value: T) -> T:
    """A value as one object for all nodes that have it, as most have one of few."""
    return value


@lru_cache(maxsize=4096)
def outlook_of_one(start: int, step: int, beyond: int, priority: int, user: str) -> Outlook:
    """That of a node where nothing is there, comes or is known, and which one request alone asks for; kept."""
    found = range_up_to((), start, (step,), 1.0, {step: [(priority, user, beyond)]})
    return Outlook((found,), (), (step,), float(found.steps))


def outlook_of_few(start: int, children: Sequence[Node]) -> Outlook:
    """That of a node where nothing is there, comes or is known, and of which its few children alone want something."""
    begun = []
    for child in children:
        outlook = child.outlook
        found = None if outlook is None else outlook.from_start(child)
        if found is not None:
            begun.append(found)
    if not begun:
        return EMPTY
    begun.sort()
    same: Outlook = _of_begun(start, tuple(begun))
    return same


@lru_cache(maxsize=4096)
def _of_begun(start: int, begun: tuple[Range, ...]) -> Outlook:
    """See ``outlook_of_few``: of the ranges in which children begin."""
    starts = sorted(Start.of(found, 0) for found in begun)
    points = tuple(sorted(bases(starts)))
    found = range_up_to(starts, start, points, 1.0, {})
    return Outlook((found,), (), points, float(found.steps))


def range_up_to(
    starts: Sequence[Start], base: int, points: tuple[int, ...], cost: float, asked: Mapping[int, Asked]
) -> Range:
    """The range up to some needed states of a node.

    Args:
        starts: The ranges in which children begin.
        base: Where it begins.
        points: The states.
        cost: One step of the node, in steps of the mean duration.
        asked: By state, whoever asks for it.
    """
    length = remaining = ahead = 0.0
    below = 0
    priorities, users = [], NOBODY
    for point in reversed(points):
        own = (point - base) * cost
        way = beyond = 0.0
        ways: list[Way] = [] if point == points[-1] else [(length, below)]
        for priority, user, steps in asked.get(point, ()):
            priorities.append(priority)
            users = _union(users, (user,))
            beyond = max(beyond, steps * cost)
        for found, count in kinds_at(starts, point) if starts else ():
            if found.remaining + found.ahead > way + beyond:
                way, beyond = found.remaining, found.ahead
            ways += [(own + found.remaining + found.ahead, found.starts)] * min(count, 2)
            priorities.append(found.priority)
            users = _union(users, found.users)
        here = own + way
        if here + beyond >= length:
            length, remaining, ahead = here + beyond, here, beyond
        below = starts_below(ways)
    return Range(base, remaining, ahead, max(priorities, default=0), below, users, points)


@lru_cache(maxsize=4096)
def _union(users: Users, others: Users) -> Users:
    """All of both, as one object as a rule for all ranges that have the same."""
    return users if others == users else tuple(sorted({*users, *others}))
