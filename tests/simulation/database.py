"""PostgreSQL as the server's shell sees it: transactions that are whole or not at all, and a row that says who leads.

``MemoryDatabase`` is what is durable; ``MemoryStore`` is one server's way to it, with the interface of
``hippo_server.store.Store``. Both keep the contract that ``test_store_contract.py`` proves on them and on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hippo_core.engine import fold
from hippo_core.engine.events import Event
from hippo_core.engine.fold_training import CheckpointEvent
from hippo_core.engine.state import EngineState
from hippo_core.errors import Stale, Standby, Unavailable
from hippo_server.store import Record, RequestAnswer, StandbyServer, StudyTimes, Token
from hippo_server.store.needed import NeededCheckpoints
from tests.archived import study_events

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event as the journal has it, with the term that decided it and the command that it followed from."""

    term: int
    cause: str
    event: Event


@dataclass(slots=True, eq=False)
class Session:
    """A connection, as PostgreSQL sees it."""

    alive: bool = True


@dataclass(slots=True)
class Leader:
    """The leader's row; see ``hippo_server.store.leader``."""

    term: int
    beat: int
    holder: str
    address: str
    lease_seconds: float
    session: Session
    took_at: float


@dataclass(slots=True)
class MemoryDatabase:
    """What is durable.

    Attributes:
        now: The database's clock, seconds.
        forgotten: Checkpoints that were dropped or lost, and whose files are gone.
        standbys: Servers that stand by.
        down: Whether nobody reaches it.
        checks_term: Whether a transaction checks the leader's term; a test of the simulation turns it off.
        watchers: Told of each event as it is committed, before the state follows.
    """

    now: Callable[[], float]
    leader: Leader | None = None
    journal: list[Entry] = field(default_factory=list)
    answers: dict[str, RequestAnswer] = field(default_factory=dict)
    state: EngineState = field(default_factory=EngineState)
    forgotten: set[tuple[int, int, int]] = field(default_factory=set)
    standbys: dict[str, StandbyServer] = field(default_factory=dict)
    down: bool = False
    checks_term: bool = True
    watchers: list[Callable[[Entry], None]] = field(default_factory=list)

    def beat(self, term: int, session: Session) -> None:
        """The leader is heard of.

        Raises:
            Stale: Another server leads.
        """
        if self.leader is None or (self.checks_term and self.leader.term != term):
            raise Stale(f"this server's term {term} is over: another server leads.")
        self.leader.beat += 1
        self.leader.session = session

    def commit(self, records: Sequence[Record], term: int, session: Session) -> None:
        """One transaction.

        Raises:
            Stale: Another server leads; nothing was written.
        """
        self.beat(term, session)
        for record in records:
            for event in record.events:
                entry = Entry(term=term, cause=record.cause, event=event)
                for watch in self.watchers:
                    watch(entry)
                fold.apply(self.state, event)
                self.journal.append(entry)
            if record.answer is not None:
                self.answers[record.answer.request_id] = record.answer


class MemoryStore:
    """One server's way to the database.

    Args:
        database: The database.
        before: Called before whatever is asked is done; may wait, or raise what a broken connection does.
        after: Called with the name of what was done, before its result is told; likewise.
    """

    def __init__(
        self,
        database: MemoryDatabase,
        before: Callable[[str], None] = lambda _: None,
        after: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._before = before
        self._after = after
        self._session: Session | None = None
        self._term = 0
        self._seen = (0, 0)
        self._seen_at = 0.0

    def lose_connection(self) -> None:
        """The connection breaks, or the process ends."""
        if self._session is not None:
            self._session.alive = False
            self._session = None

    close = lose_connection

    def _reach(self, what: str) -> None:
        self._before(what)
        if self._database.down:
            self.lose_connection()
            raise Unavailable("the database cannot be reached.", "It comes back.")

    def _own_session(self) -> Session:
        if self._session is None:
            self._session = Session()
        return self._session

    def migrate(self) -> None:
        self._reach("migrate")

    def identity(self) -> str:
        self._reach("identity")
        return "database"

    def on_undone(self, tell: Callable[[], None]) -> None:
        pass

    def on_error(self, tell: Callable[[str], None]) -> None:
        pass

    def lead(self, holder: str, lease_seconds: float, address: str = "") -> int:
        """As ``Leadership.take``."""
        self._reach("lead")
        leader, now = self._database.leader, self._database.now()
        if leader is not None:
            if (leader.term, leader.beat) != self._seen:
                self._seen, self._seen_at = (leader.term, leader.beat), now
            lapsed = now - self._seen_at >= leader.lease_seconds
            if not (lapsed or not leader.session.alive or leader.term == self._term):
                raise Standby(leader.holder, leader.address)
        self._term, beat = (1, 0) if leader is None else (leader.term + 1, leader.beat + 1)
        session = self._own_session()
        self._database.leader = Leader(self._term, beat, holder, address, lease_seconds, session, now)
        self._after("lead")
        return self._term

    def renew(self, term: int) -> None:
        self._reach("renew")
        self._database.beat(term, self._own_session())
        self._after("renew")

    def resign(self, term: int) -> None:
        self._reach("resign")
        leader = self._database.leader
        if leader is not None and leader.term == term:
            leader.lease_seconds = 0.0
        self._term = 0
        self.lose_connection()

    def draft(self, term: int, batch: int, after: object = None) -> list[Record]:
        return []

    def write(self, records: Sequence[Record], term: int, batch: int) -> None:
        self._reach("write")
        self._database.commit(records, term, self._own_session())
        self._after("write")

    def stand_by(self, server: StandbyServer, valid_seconds: float) -> None:
        self._reach("standbys")
        self._database.standbys[server.holder] = server

    def stand_by_no_more(self, holder: str) -> None:
        self._reach("standbys")
        self._database.standbys.pop(holder, None)

    def standbys(self) -> list[StandbyServer]:
        self._reach("standbys")
        return sorted(self._database.standbys.values(), key=lambda each: each.holder)

    def load(self) -> Generator[Event, None, None]:
        self._reach("load")
        gone = self._database.forgotten
        there = [
            entry.event
            for entry in self._database.journal
            if not (
                isinstance(entry.event, CheckpointEvent)
                and (entry.event.node, entry.event.step, entry.event.fence) in gone
            )
        ]
        return (event for event in there)

    def study_events(self, study: int) -> list[Event]:
        self._reach("study")
        return study_events([entry.event for entry in self._database.journal], study)

    def answers(self) -> Iterator[RequestAnswer]:
        self._reach("answers")
        return iter(list(self._database.answers.values()))

    def find_tokens(self) -> list[Token]:
        self._reach("tokens")
        return []

    def find_tokens_leading(self) -> list[Token]:
        return self.find_tokens()

    def find_sessions(self) -> list[object]:
        self._reach("sessions")
        return []

    def study_times(self) -> dict[int, StudyTimes]:
        self._reach("times")
        return {study: StudyTimes(EPOCH, None, None) for study in self._database.state.studies}

    def study_changes(self) -> dict[int, list[object]]:
        self._reach("times")
        return {}

    def worker_times(self) -> dict[str, datetime]:
        self._reach("times")
        return dict.fromkeys(self._database.state.workers, EPOCH)

    def forget_checkpoints(self, removed: Iterable[tuple[int, int, int]]) -> None:
        self._reach("forget")
        state, leader = self._database.state, self._database.leader
        if self._term and (leader is None or leader.term != self._term):
            raise Stale(f"this server's term {self._term} is over: another server leads.")
        for place in removed:
            # What a lease that stands has published is part of how it stands.
            if place in state.dropped and place[2] not in {**state.leases, **state.orphans}:
                del state.dropped[place]
                self._database.forgotten.add(place)
        self._after("forget")

    def forget_results(self) -> None:
        """Nothing: results that no study can reach take no part in what is decided."""

    def needed_checkpoints(self) -> NeededCheckpoints:
        self._reach("needed")
        state = self._database.state
        kept = {
            (node.id, step, fence)
            for node in state.nodes.values()
            for step, fences in node.checkpoints.items()
            for fence in fences
        }
        standing = {**state.leases, **state.orphans}
        starts = {lease.start for lease in standing.values() if lease.start is not None}
        return NeededCheckpoints(
            named=frozenset({*kept, *state.dropped, *starts}),
            writing=frozenset(standing),
            last_fence=state.last_fence,
        )
