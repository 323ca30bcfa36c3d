"""How long stages wait and take: what the engine, which has no clock, cannot tell.

What is ready is looked at now and then, so that a wait is known to within the time between two looks, and what is
granted sooner has waited 0 seconds. What was noted of a term that is over is of no harm: fences are never used again,
and what is no longer ready is forgotten at the next look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat

NODES_AT_ONCE = 500
"""So many are looked at before others have their turn."""


@dataclass(slots=True)
class _Running:
    """What the stage has come to that a lease is in."""

    node: int
    seconds: float


class StageClock:
    """Notes when stages become ready, and what they took."""

    def __init__(self) -> None:
        self._ready: dict[int, float] = {}  #: by node: since when something of it is ready
        #: Nodes of which something was, since the look began that is under way.
        self._granted: set[int] = set()
        self._running: dict[int, _Running] = {}  #: by fence

    def look(self, ready: Iterable[int], now: float) -> Iterator[None]:
        """Notes which nodes have something ready: piece by piece, as there may be very many."""
        self._granted.clear()
        nodes, found = list(ready), dict[int, float]()
        for start in range(0, len(nodes), NODES_AT_ONCE):
            piece = nodes[start : start + NODES_AT_ONCE]
            found.update(zip(piece, map(self._ready.get, piece, repeat(now)), strict=True))
            yield
        for node in self._granted:
            found.pop(node, None)
        self._ready = found

    def granted(self, node: int, now: float) -> float:
        """A path that begins at a node was granted; gives how many seconds it was seen to be ready."""
        self._granted.add(node)
        return now - self._ready.pop(node, now)

    def trained(self, fence: int, node: int, seconds: float) -> float | None:
        """Steps were reported; gives the seconds of the stage before, where that is over by this."""
        running = self._running.setdefault(fence, _Running(node, 0.0))
        before = None
        if running.node != node:
            before = running.seconds
            running.node, running.seconds = node, 0.0
        running.seconds += seconds
        return before

    def ended(self, fence: int) -> float | None:
        """A lease trains no more; gives the seconds of its last stage. None: it had begun none, or that was known."""
        running = self._running.pop(fence, None)
        return None if running is None else running.seconds
