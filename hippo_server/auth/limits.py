"""How much one caller may ask: calls a second, and streams at once. Who asks for more is told when to ask again.

Each caller has a bucket of calls that fills at a steady rate (a token bucket): a burst passes, a flood does not.
Callers are people's tokens, and for calls without a valid token the host that they come from. Workers are not limited:
they are the administrator's own, and what they say is bounded by the leases that they were granted.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hippo_core.errors import InvalidStudy, TooManyCalls

MOST_CALLERS = 10_000
"""So many buckets are kept; the one that was used longest ago goes, and is full when it comes again."""

STREAM_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """What one caller may ask of a server.

    Attributes:
        calls_per_second: Calls, in the long run.
        burst: Calls at once, after a pause.
        streams: Streams that are open at once: watched studies, downloads, uploads.
    """

    calls_per_second: float = 50.0
    burst: int = 200
    streams: int = 100

    def __post_init__(self) -> None:
        """Refuses limits that would let nobody in."""
        for name in ("calls_per_second", "burst", "streams"):
            if not getattr(self, name) >= 1:
                raise InvalidStudy(name, f"must be at least 1, not {getattr(self, name)}")


@dataclass(slots=True)
class _Bucket:
    calls: float
    at: float


class Door:
    """Counts who asks how much. To be used in one event loop.

    Args:
        limits: What one caller may ask.
        clock: Seconds that only grow.
    """

    def __init__(self, limits: CallLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._streams: Counter[str] = Counter()

    def call(self, caller: str) -> None:
        """Lets one call in.

        Raises:
            TooManyCalls: The caller has asked too often; says when one more is let in.
        """
        limits, now = self._limits, self._clock()
        bucket = self._buckets.setdefault(caller, _Bucket(limits.burst, now))
        self._buckets.move_to_end(caller)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        bucket.calls = min(limits.burst, bucket.calls + (now - bucket.at) * limits.calls_per_second)
        bucket.at = now
        if bucket.calls < 1.0:
            raise TooManyCalls(
                f"more than {limits.calls_per_second:g} calls a second.",
                (1.0 - bucket.calls) / limits.calls_per_second,
                "Ask again after a moment; hippo-server --calls-per-second sets the limit.",
            )
        bucket.calls -= 1.0

    @contextlib.contextmanager
    def stream(self, caller: str) -> Iterator[None]:
        """Counts a stream for as long as it is open.

        Raises:
            TooManyCalls: The caller has as many open as are allowed.
        """
        if self._streams[caller] >= self._limits.streams:
            raise TooManyCalls(
                f"more than {self._limits.streams} streams at once.",
                STREAM_PAUSE_SECONDS,
                "End some; hippo-server --streams-per-user sets the limit.",
            )
        self._streams[caller] += 1
        try:
            yield
        finally:
            self._streams[caller] -= 1
            if not self._streams[caller]:
                del self._streams[caller]


def stranger(peer: str) -> str:
    """Who calls without a valid token: the host, of an address as ``ipv4:127.0.0.1:4711`` or ``ipv6:[::1]:4711``."""
    return f"host {peer.rpartition(':')[0]}"
