"""What is needed of a node of a plan, cut into ranges of steps: what a stage tree keeps of each."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from hippo_core.plan import Node

Users = tuple[str, ...]
"""In order, each once."""

NOBODY: Users = ()

_BASE = attrgetter("base")


class Range(NamedTuple):
    """Needed states of one node that lie above one base; a tuple, as many are made and compared.

    Lengths are in steps of the mean duration: so they hold whatever that comes to be, but where a node's own is known.
    """

    node: int
    base: int
    points: tuple[int, ...]
    priority: int
    remaining: float  #: the longest way from the base down to a leaf
    ahead: float  #: what is sure to be asked for beyond that way's end
    users: Users  #: who needs any of the states that it leads to
    #: How many paths begin one after the other on the longest way at the worst: see ``starts_below``.
    starts: int

    @property
    def steps(self) -> int:
        """How many steps it has in the node itself."""
        return self.points[-1] - self.base


def _kind(found: Range) -> tuple[object, ...]:
    """What a node sees of a range that begins where a child does; those of one kind are next to each other."""
    return found.base, found.remaining, found.ahead, found.priority, found.starts, found.users


def _place(found: Range) -> tuple[object, ...]:
    return *_kind(found), found.node


@dataclass(slots=True)
class Outlook:
    """What is needed of a node and not on its way."""

    ranges: tuple[Range, ...] = ()
    offers: tuple[tuple[int, int], ...] = ()  #: (fence, step): states that a lease in flight ought to save
    wanted: tuple[int, ...] = ()  #: all states needed of it, those on their way too, in order
    needy: list[Range] | None = field(default=None, compare=False)  #: see ``note``; None: there are none
    cost: float = field(default=1.0, compare=False)  #: of one of its steps, when the ranges were computed
    version: int = field(default=0, compare=False)  #: of its ready ranges in their order

    def from_start(self, node: Node) -> Range | None:
        """The range that begins at the node's start."""
        if self.ranges and self.ranges[0].base == node.start:
            return self.ranges[0]
        return None

    def note(self, before: Range | None, now: Range | None) -> None:
        """The range in which a child begins has changed; None: it needs the state that it starts from no more."""
        if self.needy is None:
            self.needy = []
        if before is not None:
            del self.needy[bisect_left(self.needy, _place(before), key=_place)]
        if now is not None:
            self.needy.insert(bisect_left(self.needy, _place(now), key=_place), now)

    def starts(self) -> set[int]:
        """The states that children need."""
        needy = self.needy
        if not needy:
            return set()
        found: set[int] = set()
        at = 0
        while at < len(needy):
            found.add(needy[at].base)
            at = bisect_right(needy, needy[at].base, at + 1, key=_BASE)
        return found

    def needs(self, step: int) -> int:
        """How many children need the state at a step."""
        if not self.needy:
            return 0
        first = bisect_left(self.needy, step, key=_BASE)
        return bisect_right(self.needy, step, first, key=_BASE) - first

    def needy_at(self, step: int) -> Sequence[Range]:
        """The ranges in which the children begin that need the state at a step, those of one kind by number."""
        if not self.needy:
            return ()
        first = bisect_left(self.needy, step, key=_BASE)
        return self.needy[first : bisect_right(self.needy, step, first, key=_BASE)]

    def kinds_at(self, step: int) -> Iterator[tuple[Range, int]]:
        """The first range of each kind among those in ``needy_at``, and how many there are: few, however many begin."""
        needy = self.needy
        if not needy:
            return
        at = bisect_left(needy, step, key=_BASE)
        while at < len(needy) and needy[at].base == step:
            first, after = needy[at], at + 1
            if after < len(needy) and _kind(needy[after]) == _kind(first):
                after = bisect_right(needy, _kind(first), after, key=_kind)
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
