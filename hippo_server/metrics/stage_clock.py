"""How long stages take, of what paths report.

What was noted of a term that is over is of no harm: fences are never used again.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Running:
    """What the stage has come to that a lease is in."""

    node: int
    seconds: float


class StageClock:
    """Notes what stages took."""

    def __init__(self) -> None:
        self._running: dict[int, _Running] = {}  #: by fence

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
