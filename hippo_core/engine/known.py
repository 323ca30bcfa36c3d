"""What is told where an engine is rebuilt, in the place of events: at once, or of what there is most, made sooner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hippo_core.engine.events import Event
from hippo_core.sequence import Laws
from hippo_core.series import Series


class Nodes(NamedTuple):
    """Nodes that were added before there is any trial.

    Attributes:
        rows: Of each, by number: that, its plan, its parent, if any, its first step and its laws.
    """

    rows: Sequence[tuple[int, int, int | None, int, Laws]]


class Results(NamedTuple):
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


class Saved(NamedTuple):
    """A checkpoint of a lease that has ended; where it is not ``kept``, its files are still to be removed."""

    node: int
    step: int
    fence: int
    size_bytes: int
    digest: str
    kept: bool


class Created(NamedTuple):
    """A trial that was proposed, as in ``TrialCreated``."""

    study: int
    trial: int
    assignment: Mapping[str, Any]
    max_steps: int
    notes: Mapping[str, Any]
    fork: Mapping[str, Any] | None
    enqueued: bool


class Opened(NamedTuple):
    """A request that was opened, as in ``RequestOpened``; where it ``waits`` no more, its end is told further on."""

    study: int
    trial: int
    step: int
    node: int
    by_user: bool
    waits: bool


Known = Event | Nodes | Results | Saved | Created | Opened
