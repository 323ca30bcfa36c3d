"""The stages of a path as spans, made of what its runner reports."""

from __future__ import annotations

import time

from hippo_wire.observing import tracing


class StageSpans:
    """The spans of one path's stages: children of the span that is current where this is made.

    A stage begins where the one before ends, the first one where the path begins, and ends with its last report.
    """

    def __init__(self) -> None:
        self._parent = tracing.context()
        self._began = self._reported = time.time_ns()
        self._node: int | None = None
        self._steps = (0, 0)

    def begin(self) -> None:
        """The path begins."""
        self._began = self._reported = time.time_ns()

    def trained(self, node: int, start: int, stop: int) -> None:
        """Steps of a stage were trained."""
        if self._node not in {None, node}:
            self.ended("")
        if self._node is None:
            self._node, self._steps = node, (start, stop)
        self._steps = self._steps[0], stop
        self._reported = time.time_ns()

    def ended(self, failed: str) -> None:
        """The stage has ended that steps were reported of.

        Args:
            failed: What went wrong; empty: nothing.
        """
        if self._node is not None:
            tracing.record(
                "stage",
                {"hippo.node": self._node, "hippo.start": self._steps[0], "hippo.stop": self._steps[1]},
                self._parent,
                self._began,
                self._reported,
                failed,
            )
        self._began, self._node = self._reported, None
