"""What workers report of their leases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hippo_core.engine.states import FailureClass

Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsReport:
    """Steps ``start..stop-1`` of ``node`` were trained."""

    node: int
    start: int
    stop: int
    train_seconds: float
    evaluate_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsReport:
    """The metrics of state ``step``; ``evaluated`` tells an evaluation from training metrics alone."""

    node: int
    step: int
    metrics: Metrics
    training: Metrics
    evaluated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedReport:
    """The checkpoint of state ``step`` is durable in the shared storage."""

    node: int
    step: int
    size_bytes: int
    digest: str
    blocked_seconds: float
    total_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusableReport:
    """A checkpoint could not be loaded: in a worker's report; by itself where it is the server that found so."""

    node: int
    step: int
    fence: int
    missing: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveFailedReport:
    """A save will not come; ``full``: since no space is left."""

    node: int
    step: int
    reason: str
    full: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveBlockedReport:
    """A save is held up, for a while already, and is still tried.

    Attributes:
        node: The node that trained the step before it.
        step: The state's step.
        reason: What the storage says, in words.
    """

    node: int
    step: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredReport:
    """An offered save point will be saved, or was passed."""

    node: int
    step: int
    will: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedReport:
    """All steps of the path are trained; the slot is free and holds the end state in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedReport:
    """The path could not be trained further.

    Attributes:
        failure: Whose fault.
        message: One line for people, with the remedy.
        traceback: Trace of the user's code; may be empty.
        node: The node that trains the step.
        step: The step that was being trained. Where a state could not be evaluated or saved: the step whose
            training led to it, one before the state's, so that it is always a step of the node. Where the path
            could not begin: its first step.
    """

    failure: FailureClass
    message: str
    traceback: str
    node: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedReport:
    """The path was given back unfinished."""

    reason: str


ReportItem = (
    StepsReport
    | MetricsReport
    | PublishedReport
    | UnusableReport
    | SaveFailedReport
    | SaveBlockedReport
    | AnsweredReport
    | TrainedReport
    | FailedReport
    | ReleasedReport
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened during a lease; numbered within it from 1. A number seen before changes nothing."""

    worker: str
    incarnation: str
    fence: int
    number: int
    items: tuple[ReportItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Reports that came together: each is taken in by itself, and what follows from all of them is decided once."""

    reports: tuple[Report, ...]


ReportCommand = Report | Reports
