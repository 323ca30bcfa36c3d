"""When a worker that may end by itself has had nothing to do for long enough."""

from __future__ import annotations

import math


class Idleness:
    """For how long a worker has had nothing to do; it counts from when a server first knows the worker.

    Args:
        limit_seconds: How long is enough; None: it never is.
    """

    def __init__(self, limit_seconds: float | None) -> None:
        self._limit_seconds = math.inf if limit_seconds is None else limit_seconds
        self._since = math.inf

    def begin(self, now: float) -> None:
        """Something was asked of the worker, or has ended, or a server knows it again: it counts from now on."""
        self._since = now

    def enough(self, now: float, *, leases: int, silent_seconds: float) -> bool:
        """Whether the worker may end.

        Args:
            now: Seconds, of the same clock.
            leases: How many it holds.
            silent_seconds: For how long the server has not been reached, which alone knows whether there is something
                to do.
        """
        if leases or silent_seconds:
            return False
        return now - self._since >= self._limit_seconds
