"""The state machine that makes all decisions.

``handle`` decides: it turns a command into events, and applies each as it is decided, so that the state is always the
fold of the events. It raises before the first event or not at all. It reads no clock: ``now`` is the driver's
monotonic time in seconds, and ``next_deadline`` says when a ``Tick`` is due. After an error of the database the driver
drops the engine and rebuilds it from rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self, get_args

from hippo_core.engine import (
    accounts,
    changes,
    consultations,
    cordons,
    enqueueing,
    fold,
    fold_known,
    forks,
    growing,
    importing,
    orders,
    outside,
    pins,
    policy_answers,
    preparing,
    programs,
    proposals,
    reports,
    retention,
    running_time,
    studies,
    terminators,
    workers,
)
from hippo_core.engine.commands import (
    AnswerPolicy,
    AskAhead,
    ChangeAccount,
    CollectCheckpoints,
    Command,
    CordonSlots,
    CreateProject,
    CreateTrials,
    DeleteProject,
    DeleteStudy,
    DrainWorker,
    EditStudy,
    EnqueueTrial,
    ExhaustSpace,
    ExtendStudy,
    ExtendTrial,
    FailJudgement,
    FailPolicy,
    FailProposal,
    ForgetProgram,
    ForkTrial,
    GiveJudgement,
    Heartbeat,
    ImportStudy,
    PauseStudy,
    PinCheckpoint,
    PlaceArchive,
    ProposeTrial,
    RegisterWorker,
    Report,
    ReportHealth,
    Reports,
    ReportStorage,
    ResumeStudy,
    RetryTrials,
    StopStudy,
    StopTrial,
    SubmitStudy,
    Tick,
    UncordonSlots,
    UnpinCheckpoints,
    UnusableReport,
    WorkerLeaves,
)
from hippo_core.engine.commands.archives import Place
from hippo_core.engine.courses import note_start
from hippo_core.engine.decision import Decision, EngineSettings, Volatile
from hippo_core.engine.evaluations import tell_judged
from hippo_core.engine.events import Event
from hippo_core.engine.granting import schedule
from hippo_core.engine.holdings import Holding
from hippo_core.engine.known import Known
from hippo_core.engine.promoting import promote
from hippo_core.engine.quotas import pause_what_is_used_up
from hippo_core.engine.settling import settle
from hippo_core.engine.snapshot import snapshot
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import FailureClass, WorkerState
from hippo_core.engine.trial_paths import CheckpointRef
from hippo_core.engine.turns import present
from hippo_core.series import Series

LOOK_WORK = 10
SLICE_WORK = 50_000
"""Of packing metrics, in characters that are read: looking at a node is the work of so many, and a slice that of a
millisecond or two."""

Result = (
    studies.Submitted
    | Place
    | importing.Imported
    | changes.Edited
    | studies.TrialExtended
    | studies.TrialsRetried
    | workers.Registered
    | reports.Accepted
    | reports.Reported
    | CheckpointRef
    | tuple[Holding, ...]
    | int
    | None
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command came to.

    Attributes:
        events: What happened.
        result: The answer.
        waits: Of each path that was granted, for how many seconds something of the node that it begins in had been
            ready, as far as this engine knows; 0 where the state that it begins at is only promised.
    """

    events: tuple[Event, ...]
    result: Result
    waits: tuple[float, ...]


class Engine:
    """Commands in, events out.

    Args:
        settings: Its times.
    """

    def __init__(self, settings: EngineSettings | None = None) -> None:
        self.settings = settings or EngineSettings()
        self.state = EngineState()
        self.volatile = Volatile()

    @classmethod
    def restore(cls, known: Iterable[Known], settings: EngineSettings, now: float) -> Self:
        """Rebuilds an engine from events, whether a journal or a database's rows; deadlines start anew."""
        engine = cls(settings)
        for each in known:
            fold_known.apply_known(engine.state, each)
        engine._begin(now)
        return engine

    def _begin(self, now: float) -> None:
        state = self.state
        state.touched_requests.clear()  # each was looked at when it was opened
        state.touched_studies.clear()
        state.touched_nodes.clear()  # each request tells what is known when it is opened
        for study in state.studies.values():
            if study.policy.watches:
                tell_judged(state, study)
        state.touched_studies.update(dict.fromkeys(state.studies))
        state.touched_plans.update(dict.fromkeys(state.plans))
        self.volatile.reopened.update(dict.fromkeys(state.studies))
        running_time.begin(state, self.volatile, now)
        self.volatile.present = present(state)
        for worker in state.workers.values():
            if worker.state in {WorkerState.LIVE, WorkerState.DRAINING}:
                self.volatile.worker_deadlines[worker.name] = now + self.settings.lease_seconds
        starting = Decision(state, self.settings, self.volatile, now)
        state.begun.clear()
        if any(len(slot.queue) > 1 for worker in state.workers.values() for slot in worker.slots.values()):
            self.volatile.next_return = now
        for lease in state.leases.values():
            if state.is_first(lease):
                note_start(starting, lease)
        for node in state.nodes.values():
            if node.failures is not None and FailureClass.INFRASTRUCTURE.value in node.failures.counts:
                self.volatile.unblock[node.id] = now + self.settings.backoff_seconds
                state.tree_of(node).blocked.add(node.id)
            if node.failures is not None and FailureClass.STORAGE.value in node.failures.counts:
                self.volatile.full[node.plan] = 1
                self.volatile.held[node.plan] = now + self.settings.full_seconds
        for plan in state.plans.values():
            plan.tree.refresh(now)  # here, and not before the first answer
        growing.forget_grown(state)

    def handle(self, command: Command, now: float) -> Outcome:
        """Decides what a command means.

        Args:
            command: What is asked, or has happened.
            now: The driver's monotonic time, seconds; never earlier than before.

        Returns:
            The events, already applied, and the answer.

        Raises:
            HippoError: The command is refused; nothing has changed.
        """
        decision = Decision(self.state, self.settings, self.volatile, now)
        result: Result = _DECIDERS[type(command)](decision, command)
        self._follow(decision)
        if retention.keep_within_budgets(decision):
            self._follow(decision)
        preparing.prepare(decision)
        running_time.count(decision, last=isinstance(command, Tick) and command.last)
        growing.forget_grown(self.state)
        return Outcome(events=tuple(decision.events), result=result, waits=tuple(decision.waits))

    def _follow(self, decision: Decision) -> None:
        """Lets all that follows from what was decided happen."""
        state = self.state
        while True:
            settle(decision)
            pause_what_is_used_up(decision)
            promoted = promote(decision)
            if promoted:
                settle(decision)
            schedule(decision)
            proposals.want(decision)
            outside.note_wants(decision)
            terminators.want(decision)
            if not (promoted or state.touched_requests or state.touched_studies or state.touched_plans):
                return

    def apply(self, event: Event) -> None:
        """Changes the state by one event, and decides nothing."""
        fold.apply(self.state, event)

    def next_deadline(self) -> float | None:
        """When a ``Tick`` is due; None: never, as things are."""
        volatile = self.volatile
        deadlines = [*volatile.worker_deadlines.values(), *volatile.unblock.values(), *volatile.held.values()]
        times = (
            volatile.next_cut,
            volatile.next_return,
            self.next_timeout(),
            running_time.next_count(volatile, self.settings),
        )
        return min([*deadlines, *(time for time in times if time is not None)], default=None)

    def next_timeout(self) -> float | None:
        """When the next timeout of a study is due; None: none is."""
        return running_time.next_timeout(self.state, self.volatile)

    def directives(self, worker: str, known: Container[int] = ()) -> orders.Directives:
        """What a worker ought to know now, without the orders of leases that are ``known`` to it."""
        found = orders.directives(self.state, worker, self.settings.stall_seconds, known)
        prepared = self.volatile.prepared.get(worker)
        return replace(found, preparations=tuple(prepared.values())) if prepared else found

    def reordered(self) -> list[str]:
        """The workers whose slots are to be made ready for something else than when this was asked last."""
        found = list(self.volatile.reordered)
        self.volatile.reordered.clear()
        return found

    def wanted(self) -> tuple[orders.Wanted, ...]:
        """Work for the driver, until it says that it is done."""
        return orders.wanted(self.state)

    def wanted_of(self, kind: type[orders.W]) -> tuple[orders.W, ...]:
        """Of ``wanted()`` what is of one kind."""
        return orders.wanted_of(self.state, kind)

    def proposal_task(self, wanted: proposals.MakeProposal) -> proposals.ProposalTask:
        """All that a proposal is a function of."""
        return proposals.task(self.state.studies[wanted.study])

    def policy_question(
        self, wanted: consultations.ConsultPolicy, known: int
    ) -> consultations.PolicyQuestion:
        """All that an answer of a user's own policy is a function of, without the rounds that are ``known`` there."""
        return consultations.question(self.state, self.state.studies[wanted.study], known)

    def judgement_task(self, wanted: terminators.MakeJudgement) -> terminators.JudgementTask:
        """All that a judgement is a function of."""
        return terminators.task(self.state.studies[wanted.study])

    def points_wanted(self, study: int) -> int:
        """How many points a study wants from outside now."""
        return outside.points_wanted(self.state, self.state.studies[study], self.volatile.full)

    def removed(self, done: Iterable[orders.RemoveCheckpoint]) -> None:
        """The files of checkpoints are gone. What waits for space in the storage is due to try again then.

        What a running path lets go makes none: it has saved as much in its place.
        """
        for each in done:
            self.state.dropped.pop((each.node, each.step, each.fence), None)
            if each.fence not in self.state.leases:
                self.volatile.held = dict.fromkeys(self.volatile.held, -math.inf)

    def pack_metrics(self) -> Iterator[None]:
        """Packs metrics that were restored as text, where that takes less memory; with a pause now and then."""
        work = 0
        for node in list(self.state.nodes.values()):  # others may come in a pause
            for found in (node.metrics, node.training):
                if type(found) is Series:  # isinstance takes long of a Mapping
                    work += found.pack()
            work += LOOK_WORK
            if work > SLICE_WORK:
                yield
                work = 0

    def snapshot(self) -> dict[str, object]:
        """The durable state in canonical form: equal for an engine that lived and one rebuilt from its rows."""
        return snapshot(self.state)


def _tick(decision: Decision, command: Tick) -> None:
    workers.expire(decision)
    running_time.count_due(decision)


_DECIDERS: dict[type, Callable[[Decision, Any], Any]] = {
    CreateProject: accounts.create_project,
    DeleteProject: accounts.delete_project,
    ChangeAccount: accounts.change_account,
    SubmitStudy: studies.submit,
    PauseStudy: studies.pause,
    ResumeStudy: studies.resume,
    StopStudy: studies.stop,
    ExtendStudy: changes.extend,
    EditStudy: changes.edit,
    RetryTrials: studies.retry,
    StopTrial: studies.stop_trial,
    ExtendTrial: studies.extend_trial,
    ForkTrial: forks.fork_trial,
    EnqueueTrial: enqueueing.enqueue,
    PinCheckpoint: pins.pin,
    UnpinCheckpoints: pins.unpin,
    UnusableReport: reports.take_unusable,
    CollectCheckpoints: retention.collect,
    DeleteStudy: studies.delete,
    PlaceArchive: importing.place_archive,
    ImportStudy: importing.import_study,
    ForgetProgram: programs.forget_program,
    CreateTrials: growing.create_more,
    ProposeTrial: proposals.propose,
    FailProposal: proposals.fail,
    ExhaustSpace: proposals.exhaust,
    AnswerPolicy: policy_answers.answer,
    FailPolicy: policy_answers.fail,
    GiveJudgement: terminators.give,
    FailJudgement: terminators.fail,
    RegisterWorker: workers.register,
    Heartbeat: workers.heartbeat,
    DrainWorker: workers.drain,
    CordonSlots: cordons.cordon,
    UncordonSlots: cordons.uncordon,
    ReportHealth: cordons.report_health,
    ReportStorage: workers.report_storage,
    AskAhead: workers.ask_ahead,
    WorkerLeaves: workers.leave,
    Report: reports.report,
    Reports: reports.report_all,
    Tick: _tick,
}
"""What decides a command, by its kind."""
assert _DECIDERS.keys() == set(get_args(Command)), "every kind of command is decided"
