"""What happened: facts in the past tense. The engine's state is the fold of its events.

Each event maps to rows of the database one to one, and a database's rows can be read back as events in an order
that ``apply`` accepts: this is how an engine is rebuilt. Identifiers are integers given by the engine, in order.
A lease is identified by its fence.
"""

from __future__ import annotations

from hippo_core.engine.events.accounts import (
    AccountChanged,
    AccountEvent,
    AccountOpened,
    ProjectDeleted,
    StudyCredited,
    TurnsBegun,
)
from hippo_core.engine.events.checkpoints import (
    CheckpointDropped,
    CheckpointEvent,
    CheckpointLost,
    CheckpointPinned,
    CheckpointPublished,
    CheckpointUnpinned,
)
from hippo_core.engine.events.leases import (
    FencesSkipped,
    LeaseBlocked,
    LeaseEvent,
    LeaseGranted,
    LeaseStateChanged,
    LeaseStopped,
    PathFailed,
    ReportAccepted,
    SavePointAnswered,
    SavePointOffered,
    StepsTrained,
)
from hippo_core.engine.events.plans import (
    FailuresForgotten,
    MetricsRecorded,
    NodeCreated,
    NodeNotReproducible,
    PlanBound,
    PlanCreated,
    PlanEvent,
    StudyPlanned,
)
from hippo_core.engine.events.proposals import (
    PointsWanted,
    PolicyAnswered,
    PolicyFailed,
    PolicyForgiven,
    ProposalEvent,
    ProposalFailed,
    ProposalWanted,
    SpaceExhausted,
)
from hippo_core.engine.events.studies import (
    EndingHeld,
    EndingLifted,
    JudgementFailed,
    JudgementGiven,
    JudgementWanted,
    StudyChanged,
    StudyDeleted,
    StudyEvent,
    StudyRan,
    StudyStateChanged,
    StudySubmitted,
)
from hippo_core.engine.events.trials import (
    RequestClosed,
    RequestOpened,
    TrialCreated,
    TrialEvent,
    TrialLimited,
    TrialStateChanged,
    TrialStopped,
    TrialWanted,
)
from hippo_core.engine.events.workers import (
    SlotCordoned,
    SlotUncordoned,
    WorkerBlocked,
    WorkerEvent,
    WorkerRegistered,
    WorkerStateChanged,
)

Event = (
    AccountEvent
    | StudyEvent
    | PlanEvent
    | ProposalEvent
    | TrialEvent
    | WorkerEvent
    | LeaseEvent
    | CheckpointEvent
)

__all__ = [
    "AccountChanged",
    "AccountOpened",
    "CheckpointDropped",
    "CheckpointLost",
    "CheckpointPinned",
    "CheckpointPublished",
    "CheckpointUnpinned",
    "EndingHeld",
    "EndingLifted",
    "Event",
    "FailuresForgotten",
    "FencesSkipped",
    "JudgementFailed",
    "JudgementGiven",
    "JudgementWanted",
    "LeaseBlocked",
    "LeaseGranted",
    "LeaseStateChanged",
    "LeaseStopped",
    "MetricsRecorded",
    "NodeCreated",
    "NodeNotReproducible",
    "PathFailed",
    "PlanBound",
    "PlanCreated",
    "PointsWanted",
    "PolicyAnswered",
    "PolicyFailed",
    "PolicyForgiven",
    "ProjectDeleted",
    "ProposalFailed",
    "ProposalWanted",
    "ReportAccepted",
    "RequestClosed",
    "RequestOpened",
    "SavePointAnswered",
    "SavePointOffered",
    "SlotCordoned",
    "SlotUncordoned",
    "SpaceExhausted",
    "StepsTrained",
    "StudyChanged",
    "StudyCredited",
    "StudyDeleted",
    "StudyPlanned",
    "StudyRan",
    "StudyStateChanged",
    "StudySubmitted",
    "TrialCreated",
    "TrialLimited",
    "TrialStateChanged",
    "TrialStopped",
    "TrialWanted",
    "TurnsBegun",
    "WorkerBlocked",
    "WorkerRegistered",
    "WorkerStateChanged",
]
