"""What happens next in virtual time, in an order that depends on nothing else."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from enum import IntEnum


class Turn(IntEnum):
    """What comes first of what happens at one time."""

    COMES = 0  #: studies and workers
    SAVES = 1
    ENDS = 2
    PREPARES = 3  #: slots that nothing has come to


class Agenda:
    """Actions by time, by turn, and by when they were entered.

    Attributes:
        now: Virtual time, ticks: that of the latest action.
    """

    def __init__(self) -> None:
        self.now = 0
        self._heap: list[tuple[int, int, int, Callable[[], None]]] = []
        self._entered = 0

    def at(self, time: int, turn: Turn, action: Callable[[], None]) -> None:
        """Enters an action, not earlier than now."""
        self._entered += 1
        heapq.heappush(self._heap, (time, turn, self._entered, action))

    def next(self) -> Callable[[], None] | None:
        """Goes on to the next action; None: there is none."""
        if not self._heap:
            return None
        self.now, _, _, action = heapq.heappop(self._heap)
        return action
