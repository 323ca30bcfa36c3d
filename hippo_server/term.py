"""A term: what lives between two rebuilds of the engine, and what is decided in it.

The engine lives in the event loop. A command is decided at once; its events go to the writer's thread
(``commits.py``), and whoever asked waits for their commit. Reads and streams compute what they say from the engine as
it is, and then wait for the commit of everything that they could have seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hippo_core.engine import events as ev
from hippo_core.engine.alone import neighbours
from hippo_core.engine.commands import Command, CreateProject, Reports, Tick
from hippo_core.engine.engine import Engine, Result
from hippo_core.engine.orders import RemoveCheckpoint
from hippo_core.errors import HippoError, InvariantViolated, Unavailable
from hippo_server import garbage
from hippo_server.answers import Answers, Asked
from hippo_server.changes import Changes
from hippo_server.commits import GroupCommit, lost
from hippo_server.metrics import Metrics
from hippo_server.news import News
from hippo_server.policies.consultants import Consultants
from hippo_server.reporting import Reporting
from hippo_server.store import Record, RequestAnswer

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Ticks follow each other no closer: where paths take milliseconds, each report brings another moment at which one
#: might have to yield its slot, and what comes of it is decided with the next report anyway.
TICKS_APART_SECONDS = 0.05
SOONEST_SECONDS = 0.001

#: After these a worker may have to be told something.
_ORDERS = frozenset(
    {
        ev.LeaseGranted,
        ev.LeaseStateChanged,
        ev.LeaseStopped,
        ev.SavePointOffered,
        ev.SavePointAnswered,
        ev.WorkerRegistered,
        ev.WorkerStateChanged,
    }
)
#: After these a study may want a point or a judgement, or want it no more.
_PROPOSALS = frozenset(
    {
        ev.ProposalWanted,
        ev.ProposalFailed,
        ev.JudgementWanted,
        ev.StudyChanged,
        ev.StudyStateChanged,
        ev.StudyDeleted,
        ev.EndingLifted,
    }
)
#: After these trials may have to be created.
_CREATIONS = frozenset({ev.StudySubmitted, ev.StudyChanged})
#: After these files may have to go.
_REMOVALS = frozenset({ev.CheckpointDropped, ev.CheckpointLost})
#: After these much that lived is garbage.
_DELETIONS = frozenset({ev.StudyDeleted, ev.ProjectDeleted})
#: After these what the database alone knows of a study or a worker has changed.
_TIMES = frozenset(
    {
        ev.StudySubmitted,
        ev.StudyChanged,
        ev.StudyStateChanged,
        ev.PointsWanted,
        ev.StudyDeleted,
        ev.WorkerRegistered,
    }
)


@dataclass(slots=True, kw_only=True, eq=False)
class Term:
    """An engine, the writer of its events, and what was answered.

    Attributes:
        number: The leader's term, which every transaction checks.
        silence_seconds: How long the database may not be heard of before nothing is said any more: another server
            may take the lead then.
        heard: When the database last confirmed the lead, monotonic seconds.
        metrics: Counts what happens.
        news: Told of anything that happens, and of whom.
        orders: Told of what workers ought to know.
        give_up: Ends the term, and says why.
        over: What its engine says counts no more.
        retimed: Position of the last record that changed a study's or a worker's times; 0: none waits.
        removals: Set when files of checkpoints may have to go.
        creations: Set when studies may have trials to be created.
        proposals: Set when studies may want points or judgements, or want them no more.
        consultations: Set when studies may want their own policies asked, or want it no more.
        consultants: The workers that can be asked.
        importing: The fences under which imports that are under way write.
        reporting: Decides what workers report.
    """

    number: int
    engine: Engine
    commits: GroupCommit
    answers: Answers
    silence_seconds: float
    heard: float
    metrics: Metrics
    news: News
    orders: Changes
    give_up: Callable[[Term, Exception], None]
    over: bool = False
    retimed: int = 0
    removals: asyncio.Event = field(default_factory=asyncio.Event)
    creations: asyncio.Event = field(default_factory=asyncio.Event)
    proposals: asyncio.Event = field(default_factory=asyncio.Event)
    consultations: asyncio.Event = field(default_factory=asyncio.Event)
    consultants: Consultants = field(default_factory=Consultants)
    importing: set[int] = field(default_factory=set)
    reporting: Reporting = field(init=False)
    _timer: asyncio.TimerHandle | None = None
    _due: float = 0.0  # when the timer's tick is
    _ticked: float = -math.inf  # when the last one was
    _holders: dict[int, str] = field(default_factory=dict)  # by fence: who holds it, until it has ended

    def __post_init__(self) -> None:
        self.reporting = Reporting(self.engine, self._decide_reports, self.put)
        state = self.engine.state
        self._holders.update((lease.fence, lease.worker) for lease in state.leases.values())
        self._holders.update((lease.fence, lease.worker) for lease in state.orphans.values())

    def decide(self, command: Command, actor: str, cause: str) -> tuple[Result, Record]:
        """Decides one command; the record is to be put by the caller, in order, before the loop goes on.

        Raises:
            HippoError: The command is refused, and nothing has changed. Not to be told before ``settled()``.
        """
        try:
            with garbage.left():
                outcome = self.engine.handle(command, time.monotonic())
                if len(outcome.events) >= garbage.MANY_EVENTS:
                    garbage.spare()
        except InvariantViolated as error:
            self.give_up(self, error)
            raise
        except HippoError:
            raise
        except Exception as error:
            log.exception("engine_failed", extra={"cause": cause})
            self.give_up(self, error)
            raise InvariantViolated(f"the engine failed at {cause}: {error!r}") from error
        many = len(command.reports) if isinstance(command, Reports) else 1
        self.metrics.engine.command(type(command).__name__, many)
        self.metrics.engine.granted(outcome.waits)
        return outcome.result, Record(
            cause=cause, events=outcome.events, answer=None, actor=actor, submissions=many
        )

    def _decide_reports(self, reports: Reports, actor: str, cause: str) -> tuple[Result, Record]:
        if self.over:
            raise lost()
        return self.decide(reports, actor, cause)

    def put(self, records: Sequence[Record]) -> None:
        """Hands decided records to the writer, and lets streams look again."""
        kept = [record for record in records if record.events or record.answer is not None]
        if kept and not self.over:
            self.commits.put(kept)
            events = [event for record in kept for event in record.events]
            self.metrics.engine.happened(events)
            self._tell(events)
        self._set_timer()

    async def change(
        self,
        command: Command,
        actor: str,
        asked: Asked,
        render: Callable[[Engine, Result], bytes],
    ) -> bytes:
        """One change that a user asked for: decided once, answered alike however often it is asked.

        Args:
            command: What is asked.
            actor: Who asks.
            asked: The request's id, method and digest.
            render: Makes the answer, from the engine as it is after the command.

        Raises:
            HippoError: The command is refused.
            InvariantViolated: The answer cannot be made; the term is over, and the command has not happened.
        """
        known = self.answers.find(asked)
        if known is not None:
            await self.settled()
            return known
        try:
            result, record = self.decide(command, actor, f"{type(command).__name__} {asked.request_id}")
        except HippoError:
            await self.settled()
            raise
        try:
            rendered = render(self.engine, result)
        except Exception as error:
            # The engine has changed, and what it did would never be written.
            log.exception("answer_failed", extra={"cause": record.cause})
            self.give_up(self, error)
            raise InvariantViolated(f"the server failed to answer {record.cause}: {error!r}") from error
        answer = RequestAnswer(
            request_id=asked.request_id, method=asked.method, digest=asked.digest, answer=rendered
        )
        self.answers.keep(answer)
        self.put([replace(record, answer=answer)])
        await self.settled()
        return answer.answer

    async def open_project(self, project: str, actor: str) -> None:
        """Makes sure that a project is there."""
        self.carry_out(CreateProject(project=project), actor)
        await self.settled()

    def carry_out(self, command: Command, actor: str) -> Result:
        """Decides a command that no request id is about; its result is not to be told before ``settled()``.

        Raises:
            HippoError: The command is refused.
        """
        result, record = self.decide(command, actor, type(command).__name__)
        self.put([record])
        return result

    async def read(self, look: Callable[[Engine], T]) -> T:
        """What ``look`` sees, once all of it is committed.

        Args:
            look: Reads the engine and returns what no later change alters, e.g. a message.
        """
        try:
            seen = look(self.engine)
        except HippoError:
            await self.settled()
            raise
        await self.settled()
        return seen

    def is_held(self, fence: int) -> bool:
        """Whether a lease stands, be it for a worker that is not heard of."""
        state = self.engine.state
        return fence in state.leases or fence in state.orphans

    async def settled(self) -> None:
        """Waits for the commit of all that was decided so far: what was computed before may be told after.

        Raises:
            Unavailable: It is not committed, or nobody knows.
        """
        await self.commits.committed()
        if self.over:
            raise lost()
        self.require_lead()

    def require_lead(self) -> None:
        """Makes sure that no other server can lead by now; also after a pause of the whole process.

        Raises:
            Unavailable: Nobody knows; the next renewal tells.
        """
        if time.monotonic() - self.heard > self.silence_seconds:
            raise Unavailable(
                "the server has not heard from its database for too long.", "Try again in a moment."
            )

    def tick(self, *, last: bool = False) -> None:
        """Decides what is due by now; ``last``: the server ends."""
        self._cancel_timer()
        if self.over:
            return
        self._ticked = time.monotonic()
        with contextlib.suppress(InvariantViolated):  # the term is over then, and a new one begins
            _, record = self.decide(Tick(last=last), "server", "Tick")
            self.put([record])

    def removed(self, done: Iterable[RemoveCheckpoint]) -> None:
        """The files of checkpoints are gone, and their rows are forgotten."""
        self.engine.removed(done)
        self._set_timer()

    async def end(self) -> None:
        """Writes what was decided, and decides nothing more."""
        self.over = True
        self._cancel_timer()
        await self.commits.close()

    def _set_timer(self) -> None:
        deadline = None if self.over else self.engine.next_deadline()
        if deadline is None:
            self._cancel_timer()
            return
        due, now = max(deadline, self._ticked + TICKS_APART_SECONDS), time.monotonic()
        at = max(due, now + SOONEST_SECONDS)
        # What is overdue is not put off again and again.
        if self._timer is not None and due <= self._due <= at:
            return
        self._cancel_timer()
        self._due = at
        self._timer = asyncio.get_running_loop().call_later(at - now, self.tick)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self, events: Sequence[ev.Event]) -> None:
        if not events:
            return
        self.news.happened(self.engine.state, events)
        self.consultations.set()
        kinds = {type(event) for event in events}
        if reordered := self.engine.reordered():
            self.orders.notify_of(set(reordered))
        if not kinds.isdisjoint(_ORDERS):
            self.orders.notify_of(self._told(events))
        if not kinds.isdisjoint(_TIMES):
            self.retimed = self.commits.position
        if not kinds.isdisjoint(_DELETIONS):
            garbage.look_again()
        if not kinds.isdisjoint(_REMOVALS):
            self.removals.set()
        if not kinds.isdisjoint(_CREATIONS):
            self.creations.set()
        if not kinds.isdisjoint(_PROPOSALS):
            self.proposals.set()

    def _told(self, events: Iterable[ev.Event]) -> set[str]:
        """The workers that may have to be told something."""
        found = set[str]()
        for event in events:
            match event:
                case ev.WorkerRegistered() | ev.WorkerStateChanged():
                    found.add(event.worker)
                case ev.LeaseGranted():
                    self._holders[event.fence] = event.worker
                    found.add(event.worker)
                    if self.engine.state.cramped:  # it may be to train alone on its host
                        found.update(neighbours(self.engine.state, event.worker))
                case ev.LeaseStateChanged():
                    found.add(self._holder(event.fence))
                    if not self.is_held(event.fence):
                        self._holders.pop(event.fence, None)
                case ev.LeaseStopped() | ev.SavePointOffered() | ev.SavePointAnswered():
                    found.add(self._holder(event.fence))
        return found

    def _holder(self, fence: int) -> str:
        """The worker that holds a lease, or held it when it ended."""
        state = self.engine.state
        lease = state.leases.get(fence) or state.orphans.get(fence)
        return self._holders.get(fence, "") if lease is None else lease.worker
