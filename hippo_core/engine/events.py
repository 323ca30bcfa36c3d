"""What happened: facts in the past tense. The engine's state is the fold of its events.

Each event maps to rows of the database one to one, and a database's rows can be read back as events in an order
that ``apply`` accepts: this is how an engine is rebuilt. Identifiers are integers given by the engine, in order.
A lease is identified by its fence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hippo_core.engine.states import (
    FailureClass,
    LeaseState,
    RequestState,
    StudyState,
    TrialState,
    WorkerState,
)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOpened:
    """A project came to be; or somebody of a project first submitted something. Of a project, ``user`` is empty."""

    project: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChanged:
    """A project or a user was given another weight or other limits; ``allowance`` is all of them."""

    project: str
    user: str
    allowance: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnsBegun:
    """Somebody who had nothing to train has: the turns of the user and of its project move on to those of the others.

    By ``passed`` and ``project_passed``, which are counted as in ``StudyCredited``.
    """

    project: str
    user: str
    passed: int
    project_passed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectDeleted:
    """A project without studies was forgotten, with its users."""

    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySubmitted:
    """A study was created; its program is part of the specification."""

    study: int
    project: str
    user: str
    name: str
    program_key: str
    spec: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyChanged:
    """A study was extended or edited: ``spec`` is the whole new specification.

    ``differences`` are lines for people, as ``StudySpec.differences`` gives them.
    """

    study: int
    spec: Json
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStateChanged:
    """A study went into another state."""

    study: int
    state: StudyState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRan:
    """So many more seconds of a running study have passed; written now and then, and when it ceases to run."""

    study: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingHeld:
    """An ending of a study holds: its policy and its sampler are asked no more. ``ending`` is its word."""

    study: int
    ending: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingLifted:
    """The ending that held was changed: the study is taken up again."""

    study: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgementWanted:
    """A study's terminator is to judge. What it may see is told as for ``ProposalWanted``.

    ``trials`` is how many had completed by then, ``failures`` how often in a row it has failed before.
    """

    study: int
    terminator: Json
    sequence: int
    pending: tuple[int, ...]
    max_steps: int | None
    trials: int
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgementGiven:
    """A terminator has judged: whether the study ends, and why."""

    study: int
    ends: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgementFailed:
    """A terminator could not judge; ``failures`` is how often in a row."""

    study: int
    failures: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDeleted:
    """A study was forgotten, with its trials and requests."""

    study: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCreated:
    """A search plan was made; ``environment`` is empty until the first lease binds it."""

    plan: int
    project: str
    program_key: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanBound:
    """The plan's environment was settled by its first lease."""

    plan: int
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlanned:
    """A study's trials belong to this plan; ``bound`` from the first lease on."""

    study: int
    plan: int
    bound: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCreated:
    """A node was added below ``parent``, or as a root."""

    node: int
    plan: int
    parent: int | None
    start: int
    laws: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalWanted:
    """A sampler that learns is to propose the point of a trial, and may see so much. Again: it is to be tried anew.

    It may see the requests of the study that were closed up to ``sequence``, and that ``pending`` trials had open ones
    then; ``max_steps`` is how far trials were to be trained then, None where their schedules say it.
    """

    study: int
    trial: int
    sequence: int
    pending: tuple[int, ...]
    max_steps: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalFailed:
    """A sampler could not propose a point; ``failures`` is how often, for this trial."""

    study: int
    trial: int
    failures: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceExhausted:
    """All ``points`` of the study's space are trials, and none is to be proposed; 0: there are others."""

    study: int
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAnswered:
    """A user's own policy has decided; what follows from it comes with this.

    It had given ``number`` answers before, was told of the first ``mark`` calls of the study's history, of which there
    are no two versions, and that the study has ``max_trials`` in all. ``finish``: nothing was open or to come.
    """

    study: int
    number: int
    mark: int
    max_trials: int
    finish: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFailed:
    """A user's own policy could not give its answer ``number``; ``failures`` is how often."""

    study: int
    number: int
    failures: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyForgiven:
    """A user wants a policy asked again, whose failures to give its answer ``number`` count no more."""

    study: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsWanted:
    """A study began, or ceased, to want points from outside."""

    study: int
    wanted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCreated:
    """A trial was proposed; ``assignment`` holds a value for each domain drawn.

    ``notes`` is what a sampler that learns wants to find again with the trial, or the "ask" that its point answers.
    ``fork`` of a fork has its parent as "trial", the step that it forks "at", and its "hyperparameters". Of one that a
    user made nothing is drawn. One that its policy made has the draws in force from that step on, and in ``fork`` the
    trial that it takes the place of, as "instead_of", and the "reason". The point of one that was ``enqueued`` is a
    user's, not the sampler's. A probe, as its number says it is one, has a ``fork``, too: with the "factors" by which
    values are multiplied, by name, and the "reason".
    """

    study: int
    trial: int
    assignment: Json
    max_steps: int
    notes: Json = field(default_factory=dict)
    fork: Json | None = None
    enqueued: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLimited:
    """A trial may be trained further than before, or is to be tried again after it had failed."""

    study: int
    trial: int
    max_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStopped:
    """A user took a trial from its policy, which decides on it no more, and stops it or trains it further.

    Unless it is trained further, no extension of its study takes it up again.
    """

    study: int
    trial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialWanted:
    """A user wants a trial trained up to a step, whenever its policy wants nothing of it; 0: no more."""

    study: int
    trial: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStateChanged:
    """A trial went into another state."""

    study: int
    trial: int
    state: TrialState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOpened:
    """A trial needs its path's state at ``step``, which ``node`` trains. Opened again: it moved to another plan.

    The trial's policy hears nothing of one that is a user's word, nor of what it comes to. ``reason``
    and how much of the path was ``trained`` by then are for people, and kept in the journal only.
    """

    study: int
    trial: int
    step: int
    node: int
    by_user: bool = False
    reason: str = ""
    trained: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestClosed:
    """A request came to its end. ``sequence`` grows by one with each, over all studies: the order of arrival.

    ``reached`` is the trial's step then: ``step`` where it was reached, the diverged state's step, else what was
    committed of its path. ``value`` is the first objective at ``reached``; None where there is none or it is not
    finite.
    """

    sequence: int
    study: int
    trial: int
    step: int
    state: RequestState
    reached: int
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRegistered:
    """A worker came, or came back."""

    worker: str
    incarnation: str
    host: str
    slots: tuple[Json, ...]
    environment: Json
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStateChanged:
    """A worker went into another state."""

    worker: str
    state: WorkerState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotCordoned:
    """A slot is granted nothing more, by a user's word or since its device failed its health check."""

    worker: str
    slot: int
    reason: str
    by_user: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotUncordoned:
    """A slot may be granted paths again."""

    worker: str
    slot: int


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
class StudyCredited:
    """Trained steps were counted for a study that had a request open on them, and its part of them was billed.

    What is billed is in microseconds: ``billed`` of a slot, ``billed_gpus`` of its GPUs. By ``passed`` and
    ``project_passed`` the turns of its user and its project move on: see ``hippo_core.engine.turns``. Of a study that
    has been deleted meanwhile only the bill counts.
    """

    study: int
    project: str
    user: str
    steps_trained: int
    steps_retrained: int
    seconds: float
    billed: int
    billed_gpus: int
    passed: int
    project_passed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsRecorded:
    """The metrics of a state; a non-finite value is None. Without an evaluation ``metrics`` is None."""

    fence: int
    node: int
    step: int
    metrics: Mapping[str, float | None] | None
    training: Mapping[str, float | None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeNotReproducible:
    """A step trained again gave other metrics; the first ones stand."""

    fence: int
    node: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointPublished:
    """A checkpoint is durable."""

    fence: int
    node: int
    step: int
    size_bytes: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointLost:
    """A checkpoint is corrupt or missing and no longer counts."""

    node: int
    step: int
    fence: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointDropped:
    """A checkpoint is let go, and why; its files are to be removed."""

    node: int
    step: int
    fence: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointPinned:
    """A user wants a state of a study kept, whatever the budgets say."""

    study: int
    node: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointUnpinned:
    """The user wants it no more."""

    study: int
    node: int
    step: int


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


@dataclass(frozen=True, slots=True, kw_only=True)
class FailuresForgotten:
    """A node's failures no longer count: it made progress, or a user asked to try again."""

    node: int


Event = (
    AccountOpened
    | AccountChanged
    | TurnsBegun
    | ProjectDeleted
    | StudySubmitted
    | StudyChanged
    | StudyStateChanged
    | StudyRan
    | EndingHeld
    | EndingLifted
    | JudgementWanted
    | JudgementGiven
    | JudgementFailed
    | StudyDeleted
    | PlanCreated
    | PlanBound
    | StudyPlanned
    | NodeCreated
    | ProposalWanted
    | ProposalFailed
    | SpaceExhausted
    | PolicyAnswered
    | PolicyFailed
    | PolicyForgiven
    | PointsWanted
    | TrialCreated
    | TrialLimited
    | TrialStopped
    | TrialWanted
    | TrialStateChanged
    | RequestOpened
    | RequestClosed
    | WorkerRegistered
    | WorkerStateChanged
    | SlotCordoned
    | SlotUncordoned
    | LeaseGranted
    | SavePointOffered
    | SavePointAnswered
    | ReportAccepted
    | StepsTrained
    | StudyCredited
    | MetricsRecorded
    | NodeNotReproducible
    | CheckpointPublished
    | CheckpointLost
    | CheckpointDropped
    | CheckpointPinned
    | CheckpointUnpinned
    | LeaseStateChanged
    | LeaseBlocked
    | LeaseStopped
    | PathFailed
    | FailuresForgotten
    | FencesSkipped
)
