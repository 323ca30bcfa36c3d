"""What is told at once where an engine is rebuilt, in the place of events that came one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hippo_core.engine.events import Event, RequestOpened
from hippo_core.sequence import Laws
from hippo_core.series import Series


@dataclass(frozen=True, slots=True)
class Nodes:
    """Nodes that were added before there is any trial.

    Attributes:
        rows: Of each its number, its plan, its parent, if any, its first step and its laws; a parent comes before.
    """

    rows: Sequence[tuple[int, int, int | None, int, Laws]]


@dataclass(frozen=True, slots=True)
class Results:
    """What was trained of a node by leases that have ended, and all that was measured of it.

    Attributes:
        node: The node; of which no metrics are told elsewhere.
        metrics: Its evaluations.
        training: What its training steps returned.
        trained: The furthest state that was reached; 0: none.
        steps: How many steps were completed.
        seconds: What these took of slots.
    """

    node: int
    metrics: Series
    training: Series
    trained: int = 0
    steps: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint of a lease that has ended; where it is not ``kept``, its files are still to be removed."""

    node: int
    step: int
    fence: int
    size_bytes: int
    digest: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that was opened, and whose end is told further on."""

    opened: RequestOpened


Known = Event | Nodes | Results | Saved | Passed
