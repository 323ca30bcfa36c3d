"""What is needed of a node of a plan, cut into ranges of steps: what a stage tree keeps of each."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from hippo_core.plan import Node

Users = tuple[str, ...]
"""In order, each once."""

NOBODY: Users = ()

_BASE = attrgetter("base")


class Range(NamedTuple):
    """Needed states of one node that lie above one base. It does not name the node: many nodes have the same.

    Lengths are in steps of the mean duration: so they hold whatever that comes to be, but where a node's own is known.
    """

    base: int
    remaining: float  #: the longest way from the base down to a leaf
    ahead: float  #: what is sure to be asked for beyond that way's end
    priority: int
    #: How many paths begin one after the other on the longest way at the worst: see ``starts_below``.
    starts: int
    users: Users  #: who needs any of the states that it leads to
    points: tuple[int, ...]

    @property
    def steps(self) -> int:
        """How many steps it has in the node itself."""
        return self.points[-1] - self.base


class Start(NamedTuple):
    """What a node sees of a range that begins where a child does. Their order is that in which a node looks at them."""

    base: int
    remaining: float
    ahead: float
    priority: int
    starts: int
    users: Users
    node: int  #: the child

    @classmethod
    def of(cls, found: Range, node: int) -> Start:
        """That of a range of a node."""
        return cls(*found[:-1], node)


def _kind(start: Start) -> tuple[object, ...]:
    return start[:-1]


class Outlook(NamedTuple):
    """What is needed of a node and not on its way; many nodes have the same."""

    ranges: tuple[Range, ...] = ()
    offers: tuple[tuple[int, int], ...] = ()  #: (fence, step): states that a lease in flight ought to save
    wanted: tuple[int, ...] = ()  #: all states needed of it, those on their way too, in order
    work: float = 0.0  #: what the ranges' steps take, in steps of the mean duration

    def from_start(self, node: Node) -> Range | None:
        """The range that begins at the node's start."""
        if self.ranges and self.ranges[0].base == node.start:
            return self.ranges[0]
        return None


def note(starts: list[Start], node: int, before: Range | None, now: Range | None) -> None:
    """The range in which a child begins has changed; None: it needs the state that it starts from no more."""
    if before is not None:
        del starts[bisect_left(starts, Start.of(before, node))]
    if now is not None:
        insort(starts, Start.of(now, node))


def bases(starts: Sequence[Start]) -> set[int]:
    """The states that children need."""
    found: set[int] = set()
    at = 0
    while at < len(starts):
        found.add(starts[at].base)
        at = bisect_right(starts, starts[at].base, at + 1, key=_BASE)
    return found


def starts_at(starts: Sequence[Start], step: int) -> Sequence[Start]:
    """Those of the children that need the state at a step, those of one kind by number."""
    first = bisect_left(starts, step, key=_BASE)
    return starts[first : bisect_right(starts, step, first, key=_BASE)]


def count_at(starts: Sequence[Start], step: int) -> int:
    """How many of the children need the state at a step."""
    first = bisect_left(starts, step, key=_BASE)
    return bisect_right(starts, step, first, key=_BASE) - first


def kinds_at(starts: Sequence[Start], step: int) -> Iterator[tuple[Start, int]]:
    """The first of each kind among those at a step, and how many there are: few, however many begin."""
    at = bisect_left(starts, step, key=_BASE)
    while at < len(starts) and starts[at].base == step:
        first, after = starts[at], at + 1
        if after < len(starts) and _kind(starts[after]) == _kind(first):
            after = bisect_right(starts, _kind(first), after, key=_kind)
        yield first, after - at
        at = after


@dataclass(frozen=True, slots=True)
class Candidate:
    """A range that may be leased, as the scheduler compares it; in estimated seconds."""

    priority: int
    remaining: float
    ahead: float
    node: int
    base: int

    @property
    def length(self) -> float:
        """The seconds by which it is compared with others."""
        return self.remaining + self.ahead


Way = tuple[float, int]
"""A way down: its length, and how many paths begin one after the other on it."""


def starts_below(ways: Sequence[Way]) -> int:
    """How many paths begin one after the other below a state, on the longest ways on from it.

    A slot goes on along one of them, that with the most; whoever trains another begins a path there, and has to be made
    ready and to load. So it is the greatest number, or the next one and one more (as A. N. Strahler counts streams,
    Eos 38(6), 1957).
    """
    if len(ways) < 2:  # nearly always
        return ways[0][1] if ways else 0
    longest = max(length for length, _ in ways)
    most = sorted((starts for length, starts in ways if length == longest), reverse=True)
    return max([most[0], *(starts + 1 for starts in most[1:2])])
