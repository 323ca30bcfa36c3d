"""What the engine is told: imperatives, each validated as a value before the engine sees it.

``handle`` answers a command with events or raises one error of ``hippo_core.errors`` before anything has changed.
A repeated or late worker report is not an error: it changes nothing and is acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hippo_core.endings import Ending
from hippo_core.engine.states import FailureClass
from hippo_core.own_policy import Decided
from hippo_core.study import StudySpec

Json = Mapping[str, Any]
Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateProject:
    """Open a project, unless it is there."""

    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteProject:
    """Forget a project that has no studies."""

    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAccount:
    """Give a project, or a user of it, another weight or other limits.

    Attributes:
        project: The project.
        user: The user; empty: the project itself.
        changes: Fields of an ``Allowance`` and their values; what is not named stays.
    """

    project: str
    user: str
    changes: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitStudy:
    """Create the study, find the equal one, or extend it."""

    project: str
    user: str
    spec: StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseStudy:
    """Grant no further leases; what runs for nobody else is saved and released."""

    project: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeStudy:
    """Take a paused study up again."""

    project: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopStudy:
    """End the study; its open trials end as stopped."""

    project: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendStudy:
    """Raise or change what is given; all are absolute."""

    project: str
    name: str
    max_trials: int | None = None
    max_steps: int | None = None
    priority: int | None = None
    endings: tuple[Ending, ...] = ()  #: each in place of the one of its kind
    horizons: tuple[int, ...] = ()  #: in all; those that are there already need not be among them


@dataclass(frozen=True, slots=True, kw_only=True)
class EditStudy:
    """Change what trials are drawn from, the policy, or how the study is carried out; what is trained stays.

    Attributes:
        project: The project.
        name: The study.
        spec: The whole study as it is to be.
        changes: How often it had been changed when that was written; None: however often.
    """

    project: str
    name: str
    spec: StudySpec
    changes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryTrials:
    """Open one failed trial again, or all of them."""

    project: str
    name: str
    trial: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTrial:
    """End one trial, whether it is being trained or rests. One that has ended stays as it is."""

    project: str
    name: str
    trial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendTrial:
    """Train one trial up to a step, rounded up to one with an evaluation, whatever its limit and its policy say."""

    project: str
    name: str
    trial: int
    to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkTrial:
    """Make a trial that goes as another up to step ``at``, and has other hyper-parameters from there on.

    Attributes:
        project: The project.
        name: The study.
        trial: The other trial.
        at: The first step at which they may differ.
        hyperparameters: By name, a value or a schedule as JSON; a schedule counts from ``at``.
    """

    project: str
    name: str
    trial: int
    at: int
    hyperparameters: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class PinCheckpoint:
    """Keep a checkpoint of a trial, whatever the budgets say.

    Attributes:
        project: The project.
        name: The study.
        trial: The trial; None: the best one.
        step: The state's step; None: that of a completed trial's end, else the last that is kept.
    """

    project: str
    name: str
    trial: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpinCheckpoints:
    """Let pins of a study go: all; those on the path of a trial; of these, that at a step."""

    project: str
    name: str
    trial: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectCheckpoints:
    """Let checkpoints go that nothing waits for, what is worth least for its bytes first.

    Attributes:
        project: The project.
        name: The study; None: the whole project.
        to_bytes: Until what counts holds no more than so many bytes; None: all that no trial of a study that has not
            ended may go on from.
    """

    project: str
    name: str | None = None
    to_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueTrial:
    """Make a trial of a point that a user gives.

    Attributes:
        project: The project.
        name: The study.
        point: By hyper-parameter: its value, as a trial of the study has it.
        ask: Which ask of the study's it answers; empty: none. One that was answered makes no further trial.
    """

    project: str
    name: str
    point: Json
    ask: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteStudy:
    """Forget a study that has ended or is paused; what was trained stays for others."""

    project: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetProgram:
    """Forget a program whose studies have all ended: those studies, and all that was trained of it.

    Attributes:
        project: The project.
        key: The program's key, or as much of its beginning as no other has.
    """

    project: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposeTrial:
    """Create the trial whose point was wanted. One that is not wanted, or no more, changes nothing.

    Attributes:
        study: The study's number.
        trial: The trial's.
        sequence: The mark of the history that its sampler saw.
        assignment: A value for each domain drawn.
        notes: What the sampler wants to find again with the trial.
        spaces: How often what trials are drawn from had been edited.
    """

    study: int
    trial: int
    sequence: int
    assignment: Json
    notes: Json = field(default_factory=dict)
    spaces: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailProposal:
    """A point that was wanted does not come, for this reason in words; the rest is as for ``ProposeTrial``."""

    study: int
    trial: int
    sequence: int
    reason: str
    spaces: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExhaustSpace:
    """No point is left that is no trial yet, of so many ``points``; the rest is as for ``ProposeTrial``."""

    study: int
    trial: int
    sequence: int
    points: int
    spaces: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPolicy:
    """Carry out what a user's own policy has decided. An answer that is not waited for changes nothing.

    Attributes:
        study: The study's number.
        number: How many answers it had given before.
        mark: Of how many calls of the study's history it was told.
        max_trials: How many trials it was told that there will be.
        finish: Whether it was told that nothing is open or to come.
        verdicts: What it decided.
    """

    study: int
    number: int
    mark: int
    max_trials: int
    finish: bool
    verdicts: tuple[Decided, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailPolicy:
    """Count a failure of a user's own policy to answer, if the answer is still waited for."""

    study: int
    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveJudgement:
    """What a terminator says that was asked. An answer to what is not asked, or no more, changes nothing.

    Attributes:
        study: The study's number.
        sequence: The mark of the history that it saw.
        gain: What could still be gained, as it estimates.
        threshold: The least gain that is worth going on.
    """

    study: int
    sequence: int
    gain: float
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FailJudgement:
    """A terminator that was asked has no answer, for this reason in words."""

    study: int
    sequence: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSpec:
    """A place that trains one path at a time."""

    index: int
    device: str  #: "cpu" or "cuda"
    model: str
    cpus: int
    gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLease:
    """A lease that a worker says its slots still train."""

    fence: int
    acknowledged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterWorker:
    """Make a worker known. Leases of an earlier incarnation, and those it does not name, are released."""

    worker: str
    incarnation: str
    host: str
    slots: tuple[SlotSpec, ...]
    environment: Json  #: python, torch, cuda, platform
    labels: Mapping[str, str] = field(default_factory=dict)
    leases: tuple[HeldLease, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Renew all leases of the worker."""

    worker: str
    incarnation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainWorker:
    """Grant the worker no further leases; it saves, releases and leaves."""

    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CordonSlots:
    """Grant a slot of a worker nothing more, or all of its slots; what trains there goes on."""

    worker: str
    slot: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UncordonSlots:
    """Let a slot of a worker be granted paths again, or all of its slots."""

    worker: str
    slot: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportHealth:
    """The worker has checked the device of a slot: it failed, for this reason in words, or is in order."""

    worker: str
    incarnation: str
    slot: int
    failed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLeaves:
    """The worker has ended all leases and goes."""

    worker: str
    incarnation: str


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
    """A checkpoint could not be loaded."""

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
class Tick:
    """Look at the deadlines. To be sent when ``next_deadline()`` has come.

    Attributes:
        last: The driver ends: what is counted now and then is counted up to now.
    """

    last: bool = False


Command = (
    CreateProject
    | DeleteProject
    | ChangeAccount
    | SubmitStudy
    | PauseStudy
    | ResumeStudy
    | StopStudy
    | ExtendStudy
    | EditStudy
    | RetryTrials
    | StopTrial
    | ExtendTrial
    | ForkTrial
    | EnqueueTrial
    | PinCheckpoint
    | UnpinCheckpoints
    | CollectCheckpoints
    | DeleteStudy
    | ForgetProgram
    | ProposeTrial
    | FailProposal
    | ExhaustSpace
    | AnswerPolicy
    | FailPolicy
    | GiveJudgement
    | FailJudgement
    | RegisterWorker
    | Heartbeat
    | DrainWorker
    | CordonSlots
    | UncordonSlots
    | ReportHealth
    | WorkerLeaves
    | Report
    | Tick
)
