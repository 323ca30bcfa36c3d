"""What the engine is told: imperatives, each validated as a value before the engine sees it.

``handle`` answers a command with events or raises one error of ``hippo_core.errors`` before anything has changed.
A repeated or late worker report is not an error: it changes nothing and is acknowledged.

Workers tell some of them and are none of the engine: so nothing is imported here for annotations alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.engine.commands.accounts import AccountCommand, ChangeAccount, CreateProject, DeleteProject
from hippo_core.engine.commands.answers import (
    AnswerCommand,
    AnswerPolicy,
    CreateTrials,
    ExhaustSpace,
    FailJudgement,
    FailPolicy,
    FailProposal,
    GiveJudgement,
    ProposeTrial,
)
from hippo_core.engine.commands.archives import ArchiveCommand, ImportStudy, PlaceArchive
from hippo_core.engine.commands.kept import (
    CollectCheckpoints,
    ForgetProgram,
    KeptCommand,
    PinCheckpoint,
    UnpinCheckpoints,
)
from hippo_core.engine.commands.reports import (
    AnsweredReport,
    FailedReport,
    MetricsReport,
    PublishedReport,
    ReleasedReport,
    Report,
    ReportCommand,
    ReportItem,
    Reports,
    SaveBlockedReport,
    SaveFailedReport,
    StepsReport,
    TrainedReport,
    UnusableReport,
)
from hippo_core.engine.commands.studies import (
    DeleteStudy,
    EditStudy,
    ExtendStudy,
    PauseStudy,
    ResumeStudy,
    RetryTrials,
    StopStudy,
    StudyCommand,
    SubmitStudy,
)
from hippo_core.engine.commands.trials import EnqueueTrial, ExtendTrial, ForkTrial, StopTrial, TrialCommand
from hippo_core.engine.commands.workers import (
    AskAhead,
    CordonSlots,
    DrainWorker,
    Heartbeat,
    HeldLease,
    RegisterWorker,
    ReportHealth,
    ReportStorage,
    SlotSpec,
    UncordonSlots,
    WorkerCommand,
    WorkerLeaves,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Look at the deadlines. To be sent when ``next_deadline()`` has come.

    Attributes:
        last: The driver ends: what is counted now and then is counted up to now.
    """

    last: bool = False


Command = (
    AccountCommand
    | StudyCommand
    | ArchiveCommand
    | TrialCommand
    | KeptCommand
    | AnswerCommand
    | WorkerCommand
    | ReportCommand
    | UnusableReport
    | Tick
)

__all__ = [
    "AnswerPolicy",
    "AnsweredReport",
    "AskAhead",
    "ChangeAccount",
    "CollectCheckpoints",
    "Command",
    "CordonSlots",
    "CreateProject",
    "CreateTrials",
    "DeleteProject",
    "DeleteStudy",
    "DrainWorker",
    "EditStudy",
    "EnqueueTrial",
    "ExhaustSpace",
    "ExtendStudy",
    "ExtendTrial",
    "FailJudgement",
    "FailPolicy",
    "FailProposal",
    "FailedReport",
    "ForgetProgram",
    "ForkTrial",
    "GiveJudgement",
    "Heartbeat",
    "HeldLease",
    "ImportStudy",
    "MetricsReport",
    "PauseStudy",
    "PinCheckpoint",
    "PlaceArchive",
    "ProposeTrial",
    "PublishedReport",
    "RegisterWorker",
    "ReleasedReport",
    "Report",
    "ReportHealth",
    "ReportItem",
    "ReportStorage",
    "Reports",
    "ResumeStudy",
    "RetryTrials",
    "SaveBlockedReport",
    "SaveFailedReport",
    "SlotSpec",
    "StepsReport",
    "StopStudy",
    "StopTrial",
    "SubmitStudy",
    "Tick",
    "TrainedReport",
    "UncordonSlots",
    "UnpinCheckpoints",
    "UnusableReport",
    "WorkerLeaves",
]
