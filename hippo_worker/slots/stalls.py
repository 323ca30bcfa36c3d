"""Seeing that a path stands still: no step for longer than any takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from hippo_worker.runner.stack import stacks_in

STALL_STEPS = 10.0  #: a path is stuck no sooner than after so many times its slowest step so far
SECOND_LOOK_SECONDS = 1.0
DUMP_SECONDS = 2.0  #: a runner has so long to write its stacks
DUMP_LOOK_SECONDS = 0.1


class StallWatch:
    """Measures, on the monotonic clock, how long the path in training has made no step.

    Args:
        on_stall: Called once with the seconds in which there was no step, when these are too many: more than the path
            may take, and many times what its slowest step took. What is overdue is looked at twice: a worker that was
            itself stopped has first to hear what was said meanwhile.
    """

    def __init__(self, on_stall: Callable[[float], None]) -> None:
        self._on_stall = on_stall
        self._seconds = 0.0
        self._since = time.monotonic()
        self._has_moved = False
        self._slowest = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begins(self, seconds: float) -> None:
        """A path begins that may take so long for a step."""
        self.ends()
        self._seconds, self._since = seconds, time.monotonic()
        self._has_moved, self._slowest = False, 0.0
        self._look_after(seconds)

    def ends(self) -> None:
        """No path trains."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def moved(self) -> None:
        """Steps were trained."""
        now = time.monotonic()
        if self._has_moved:  # the first steps come after all that a start takes
            self._slowest = max(self._slowest, now - self._since)
        self._since, self._has_moved = now, True

    def _look_after(self, seconds: float, seen: float | None = None) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look, seen)

    def _look(self, seen: float | None) -> None:
        """Looks whether a step is overdue; ``seen`` is since when there was none when that was first found."""
        patience = max(self._seconds, STALL_STEPS * self._slowest)
        left = self._since + patience - time.monotonic()
        if left > 0:
            self._look_after(left)
        elif seen != self._since:
            self._look_after(min(SECOND_LOOK_SECONDS, patience / 4), self._since)
        else:
            self._timer = None
            self._on_stall(patience)


async def dumped(folder: Path, dump: Callable[[], None]) -> str:
    """The stacks of a runner that is asked for them, once they are whole, as far as it can still write them.

    Args:
        folder: Where it writes them, after those that it was asked for before.
        dump: Asks it.
    """
    before, last = len(stacks_in(folder)), ""
    dump()
    for _ in range(round(DUMP_SECONDS / DUMP_LOOK_SECONDS)):
        await asyncio.sleep(DUMP_LOOK_SECONDS)
        now = stacks_in(folder)[before:]
        if now and now == last:
            break
        last = now
    return last
