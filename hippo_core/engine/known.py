"""What is told at once where an engine is rebuilt, in the place of events that came one by one."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.engine.events import Event
from hippo_core.series import Series


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was measured of a node.

    Attributes:
        node: The node; of which nothing else is told.
        metrics: Its evaluations.
        training: What its training steps returned.
    """

    node: int
    metrics: Series
    training: Series


Known = Event | Measured
