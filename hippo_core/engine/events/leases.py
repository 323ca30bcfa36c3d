"""Leases, and what workers report of them."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.engine.states import (
    FailureClass,
    LeaseState,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseGranted:
    """A path was granted to a slot.

    ``stages`` are (node, start, stop), root-most first; ``start`` is the (node, step, fence) of the state to start
    from, None for step 0; ``save_points`` are (node, step). It was the turn of ``user``, who submitted ``study``.
    """

    fence: int
    worker: str
    incarnation: str
    slot: int
    plan: int
    study: int
    user: str
    stages: tuple[tuple[int, int, int], ...]
    start: tuple[int, int, int] | None
    in_memory: bool
    save_points: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavePointOffered:
    """A running path was asked to save at a state that it has yet to reach."""

    fence: int
    node: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SavePointAnswered:
    """The path will save there, or has passed it."""

    fence: int
    node: int
    step: int
    will: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportAccepted:
    """A lease's report of this number was taken in; lower and equal ones are repeats from now on."""

    fence: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsTrained:
    """Steps ``start..stop-1`` of a node were trained; those below the node's trained step were trained again."""

    fence: int
    node: int
    start: int
    stop: int
    train_seconds: float
    evaluate_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseStateChanged:
    """A lease went into another state."""

    fence: int
    state: LeaseState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseBlocked:
    """The storage holds up a lease's saves, which its worker goes on trying; without a reason: no longer."""

    fence: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseStopped:
    """A running path was told to end at the next step, saving there or not."""

    fence: int
    save: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FencesSkipped:
    """Fences up to this one are never granted: they may have been, in a history that the database has lost."""

    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFailed:
    """Training failed at ``step`` of ``node``. ``count`` is how often this class failed there without progress.

    ``died`` is the worker that died while it trained, where that is what happened.
    """

    fence: int
    node: int
    step: int
    failure: FailureClass
    count: int
    message: str
    traceback: str
    died: str = ""


LeaseEvent = (
    LeaseGranted
    | SavePointOffered
    | SavePointAnswered
    | ReportAccepted
    | StepsTrained
    | LeaseStateChanged
    | LeaseBlocked
    | LeaseStopped
    | FencesSkipped
    | PathFailed
)
