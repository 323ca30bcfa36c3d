"""How many leases a slot is to hold beside the one that trains, so that it never waits for the next."""

from __future__ import annotations

import math
from collections.abc import Callable

AHEAD_SECONDS = 0.1  #: of paths that wait in a slot: longer than a lease takes to come
MOST_AHEAD = 8
LONG_SECONDS = (
    0.5  #: where paths take longer, waiting for a lease is nothing, and deciding early may be wrong
)
RECENT = 0.25  #: weight of the latest path among those before


class LeasesAhead:
    """The number for one slot, which follows from how long its paths take.

    Args:
        tell: Called with the number when it is another one.

    Attributes:
        count: The number.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.count = 0
        self._tell = tell
        self._path_seconds: float | None = None

    def took(self, seconds: float) -> None:
        """A path took so long."""
        known = self._path_seconds
        self._path_seconds = seconds if known is None else known + RECENT * (seconds - known)
        count = _count(self._path_seconds)
        # Between two numbers it would change with every path: fewer are asked for only where half of them would do.
        if count > self.count or 2 * count <= self.count > 0:
            self.count = count
            self._tell(count)


def _count(path_seconds: float) -> int:
    if path_seconds > LONG_SECONDS:
        return 0
    return min(MOST_AHEAD, math.ceil(AHEAD_SECONDS / max(path_seconds, 1e-6)))
