"""How many leases a slot is to hold beside the one that trains, so that it never waits for the next."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from hippo_core.engine.commands import StepsReport
from hippo_worker.lease import Lease

AHEAD_SECONDS = 0.1  #: of paths that wait in a slot: longer than a lease takes to come
MOST_AHEAD = 8
LONG_SECONDS = 0.5  #: nothing is decided sooner before it is needed: to decide early may be wrong
RECENT = 0.25  #: weight of the latest path among those before


class LeasesAhead:
    """The number for one slot, which follows from how long its paths take.

    Behind short paths leases always wait. Behind a longer one the next is asked for as its end comes near, so that it
    is there by then, and the state that it starts from is read.

    Args:
        tell: Called with the number when it is another one, and with the lease behind which alone, or 0: behind each.

    Attributes:
        count: The number behind each.
    """

    def __init__(self, tell: Callable[[int, int], None]) -> None:
        self.count = 0
        self._tell = tell
        self._path_seconds: float | None = None
        self._near_end: asyncio.TimerHandle | None = None
        self._asked_behind = 0  # the lease whose end was said to be near

    def trained(self, lease: Lease, report: StepsReport) -> None:
        """The path in training has come so far."""
        self._forget_end()
        steps_left = lease.steps_after((report.node, report.stop))
        if self.count == 0 and steps_left > 0 and self._asked_behind != lease.fence:
            step_seconds = (report.train_seconds + report.evaluate_seconds) / (report.stop - report.start)
            seconds_left = steps_left * step_seconds - LONG_SECONDS
            loop = asyncio.get_running_loop()
            self._near_end = loop.call_later(max(0.0, seconds_left), self._ask_behind, lease.fence)

    def took(self, seconds: float) -> None:
        """A path took so long."""
        self._forget_end()
        known = self._path_seconds
        self._path_seconds = seconds if known is None else known + RECENT * (seconds - known)
        count = _count(self._path_seconds)
        # Between two numbers it would change with every path: fewer are asked for only where half of them would do.
        if count > self.count or 2 * count <= self.count > 0:
            self.count = count
            self._tell(count, 0)

    def _ask_behind(self, fence: int) -> None:
        self._asked_behind = fence
        self._tell(1, fence)

    def _forget_end(self) -> None:
        if self._near_end is not None:
            self._near_end.cancel()
            self._near_end = None


def _count(path_seconds: float) -> int:
    if path_seconds > LONG_SECONDS:
        return 0
    return min(MOST_AHEAD, math.ceil(AHEAD_SECONDS / max(path_seconds, 1e-6)))
