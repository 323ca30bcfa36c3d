"""Seeing that a path stands still: no step for longer than any takes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from hippo_worker.runner.stack import stacks_in

STALL_STEPS = 10.0  #: a path is stuck no sooner than after so many times its slowest step so far
SECOND_LOOK_SECONDS = 1.0
DUMP_SECONDS = 2.0  #: a runner has so long to write its stacks
DUMP_LOOK_SECONDS = 0.1


class StallWatch:
    """Measures, on the monotonic clock, how long the path in training has made no step."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._has_moved = False
        self._slowest = 0.0

    def begins(self) -> None:
        """A path begins."""
        self._since, self._has_moved, self._slowest = time.monotonic(), False, 0.0

    def moved(self) -> None:
        """Steps were trained."""
        now = time.monotonic()
        if self._has_moved:  # the first steps come after all that a start takes
            self._slowest = max(self._slowest, now - self._since)
        self._since, self._has_moved = now, True

    async def stalled(self, seconds: float) -> float:
        """Waits until there was no step for so long, or for many times what the slowest took; gives that time.

        What is overdue is looked at twice: a worker that was itself stopped has first to hear what was said meanwhile.
        """
        while True:
            patience = max(seconds, STALL_STEPS * self._slowest)
            since = self._since
            left = since + patience - time.monotonic()
            if left > 0:
                await asyncio.sleep(left)
                continue
            await asyncio.sleep(min(SECOND_LOOK_SECONDS, patience / 4))
            if self._since == since:
                return patience


async def dumped(folder: Path) -> str:
    """The stacks that a runner was asked to write, once they are whole, as far as it can still write them."""
    last = ""
    for _ in range(round(DUMP_SECONDS / DUMP_LOOK_SECONDS)):
        await asyncio.sleep(DUMP_LOOK_SECONDS)
        now = stacks_in(folder)
        if now and now == last:
            break
        last = now
    return last
