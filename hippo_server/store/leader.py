"""Which server leads: a row with a term that grows with each take-over.

The term is what keeps two servers apart: each transaction checks it last, so whoever has been replaced cannot
write. How long a new server waits before it takes over is therefore a matter of courtesy, not of safety: it waits for
the row to stand still for the leader's lease, or for the leader's session to be gone from PostgreSQL, whichever is
first. A server that was killed is replaced at once, one that hangs or is cut off after its lease.

A database that has failed over to a replica may lack what was committed last. Two things tell: the count of renewals is
lower than one that this server knows, which proves it; or PostgreSQL's timeline is another than the last leader's, and
this server was not that leader, so that it cannot know. Then nobody leads until an administrator says that it is to be
so, and numbers that may have been given out in the history that is lost are passed over.

No wall clock takes part, of no machine: the leader counts its renewals in the row, and whoever stands by measures on
its own monotonic clock for how long the count has not changed. The session is looked at only where it is the leader's
own: behind a pooler (PgBouncer) it is another's by the next transaction, and the lease alone counts.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from hippo_core.errors import InvariantViolated, Stale, Standby, Unavailable
from hippo_server.store.database import SESSION, Database, beginning
from hippo_server.store.sql import Script

#: So many terms and fences are passed over where what was committed last is lost: more than any replica lags behind.
SKIPPED_TERMS = 1_000_000
SKIPPED_FENCES = 1_000_000_000

_LOOK = """
    SELECT term, beat, holder, address, since, lease_seconds, timeline, session IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE pid = session AND (backend_start IS NULL OR backend_start = session_began_at)
    ) FROM leader WHERE id = 1
"""

_TAKE = """
    INSERT INTO leader
        (id, term, beat, batch, holder, address, since, lease_seconds, timeline, session, session_began_at)
    VALUES (1, 1, 0, 0, %(holder)s, %(address)s, now(), %(lease)s, %(timeline)s, %(session)s, %(began)s)
    ON CONFLICT (id) DO UPDATE
    SET term = leader.term + 1 + %(skipped)s, beat = leader.beat + 1, batch = 0, holder = excluded.holder,
        address = excluded.address, since = excluded.since, lease_seconds = excluded.lease_seconds,
        timeline = CASE WHEN %(skipped)s = 0 THEN excluded.timeline ELSE leader.timeline END,
        session = excluded.session, session_began_at = excluded.session_began_at
    WHERE leader.term = %(seen_term)s AND leader.beat = %(seen_beat)s
    RETURNING term
"""

_RENEW = """
    UPDATE leader SET beat = beat + 1, session = %(session)s, session_began_at = %(began)s
    WHERE id = 1 AND term = %(term)s
    RETURNING beat
"""

_CHECK = """
    UPDATE leader SET batch = {0}, beat = beat + 1, session = {1}, session_began_at = {2}
    WHERE id = 1 AND term = {3}
    RETURNING beat
"""
_CHECK_TYPES = ("bigint", "integer", "timestamptz", "bigint")

# Of the history that is written now: what pg_control_checkpoint tells is that of the last checkpoint.
_TIMELINE = "SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """The row.

    Attributes:
        term: Grows with each take-over.
        beat: Grows with each renewal.
        holder: The server that leads, for people.
        address: Where callers find it; empty: it has not said.
        since: When it took the lead, for people.
        lease_seconds: For how long the row may stand still; 0: the lead was let go.
        timeline: PostgreSQL's when it took the lead; None: it does not tell.
        gone: Whether its session in PostgreSQL has ended.
    """

    term: int
    beat: int
    holder: str
    address: str
    since: datetime
    lease_seconds: float
    timeline: int | None
    gone: bool


class Leadership:
    """A server's claim to lead. Used from one thread, but for ``guard``.

    It holds a connection of its own, on which the leader writes: no reader can keep it from renewing, and its
    presence tells others that this server lives.

    Args:
        database: Where the row is.
        accepted_timeline: PostgreSQL's timeline in which what was lost is to be lost; None: none.
    """

    def __init__(self, database: Database, accepted_timeline: int | None = None) -> None:
        self._database = database
        self._accepted_timeline = accepted_timeline
        self.skipping = False
        """Whether what was committed last is lost, and fences are to be passed over before any is granted."""
        self._beat = 0  # the highest that is known to be committed
        self._unsure_beat = 0
        self._connection: Connection | None = None
        self._prepared: dict[str, str] | None = None  # in the session, if it is our own
        self._session: tuple[int | None, datetime | None] = (None, None)
        self._term = 0
        self._seen = (0, 0)  # term and beat, as the row last changed
        self._seen_at = 0.0

    def take(self, holder: str, address: str, lease_seconds: float) -> int:
        """Takes the lead with a new term, if nobody else has it. Who leads already takes it again at once.

        To be called again and again: that the leader has fallen silent is seen by comparing what its row says now
        with what it said before.

        Args:
            holder: This server, for people.
            address: Where callers find it.
            lease_seconds: How long others are to wait for it when they do not hear of it.

        Raises:
            Standby: Another server leads.
            Unavailable: The database cannot answer now, or may have lost what was committed last.
        """
        while True:
            timeline = self._timeline()
            with self.transaction() as cursor:
                cursor.execute(_LOOK)
                found = cursor.fetchone()
                self.skipping = False
                if found is not None:
                    self._require_history(_leader(found), timeline)
                    self._require_free(_leader(found))
                session, began = self._session
                cursor.execute(
                    _TAKE,
                    {
                        "holder": holder,
                        "address": address,
                        "lease": lease_seconds,
                        "timeline": timeline,
                        "skipped": SKIPPED_TERMS if self.skipping else 0,
                        "session": session,
                        "began": began,
                        "seen_term": self._seen[0],
                        "seen_beat": self._seen[1],
                    },
                )
                taken = cursor.fetchone()
            if taken is not None:
                if not self.skipping:
                    self._term = int(taken[0])
                return int(taken[0])

    def _timeline(self) -> int | None:
        """PostgreSQL's timeline; None where it does not tell, as some services' do not."""
        with contextlib.suppress(InvariantViolated), self._database.transaction() as cursor:
            cursor.execute(_TIMELINE)
            found = cursor.fetchone()
            return None if found is None else int(found[0])
        return None

    def _require_history(self, leader: Leader, timeline: int | None) -> None:
        """Makes sure that nothing is lost that was committed, or that it is to be so.

        Raises:
            Unavailable: It may be lost.
        """
        lost = leader.beat < self._beat
        known = not lost and leader.term == self._term  # our own term, with all that we have committed
        if not lost and (known or None in (leader.timeline, timeline) or leader.timeline == timeline):
            return
        if timeline is not None and timeline == self._accepted_timeline:
            self.skipping, self._beat = True, 0
            return
        raise Unavailable(
            f"the database {'lacks' if lost else 'may lack'} what was committed last: its history is another one"
            f" now, timeline {timeline}.",
            "Go back to the database that has it; or, where it is lost for good, start one server with"
            f" --accept-timeline {timeline}.",
        )

    def adopt_timeline(self, cursor: Cursor) -> None:
        """Notes the timeline as the leader's own, in the transaction that passes fences over."""
        cursor.execute("UPDATE leader SET timeline = %s WHERE id = 1", (self._accepted_timeline,))

    def have_skipped(self, term: int) -> None:
        """The fences are passed over: the term goes on as any."""
        self._term, self.skipping = term, False

    def _require_free(self, leader: Leader) -> None:
        now = time.monotonic()
        if (leader.term, leader.beat) != self._seen:
            self._seen, self._seen_at = (leader.term, leader.beat), now
            self._beat = max(self._beat, leader.beat)
        lapsed = now - self._seen_at >= leader.lease_seconds
        if not (lapsed or leader.gone or leader.term == self._term):
            raise Standby(leader.holder, leader.address)

    def look(self) -> Leader | None:
        """Who leads, or led last; None: nobody has yet.

        Raises:
            Unavailable: The database cannot answer now.
        """
        with self._database.transaction() as cursor:
            cursor.execute(_LOOK)
            found = cursor.fetchone()
        return None if found is None else _leader(found)

    def renew(self, term: int) -> None:
        """Keeps the lead for another lease.

        Raises:
            Stale: Another server has taken it.
            Unavailable: The database cannot answer now.
        """
        with self.transaction() as cursor:
            session, began = self._session
            cursor.execute(_RENEW, {"term": term, "session": session, "began": began})
            _expect_one(cursor, term)
            self._note_beat(cursor)

    def check(self, script: Script, term: int, batch: int) -> None:
        """Makes sure that this server still leads, as the last statement of a transaction, and notes the batch.

        Raises:
            Stale: Another server has taken the lead.
        """
        session, began = self._session
        values = (str(batch), "NULL", "NULL", str(term))
        if session is not None and began is not None:
            values = (str(batch), str(session), f"'{began.isoformat()}'", str(term))
        script.run(_CHECK, _CHECK_TYPES, values)
        cursor = script.send()
        _expect_one(cursor, term)
        self._note_beat(cursor)

    def _note_beat(self, cursor: Cursor) -> None:
        """Notes the row's new beat, which is beyond all that were committed, unless the database lost some meanwhile.

        Raises:
            Unavailable: It did: it has failed over to a replica that had not heard of them.
        """
        found = cursor.fetchone()
        assert found is not None
        if found[0] <= self._beat:
            raise Unavailable(
                "the database lacks what was committed last: its history is another one now.",
                "The server says what to do when it takes the lead again.",
            )
        self._unsure_beat = found[0]

    def guard(self, cursor: Cursor) -> None:
        """Makes sure that a server that has led still does, as the last statement of a transaction of any thread's.

        Raises:
            Stale: Another server has taken the lead.
        """
        if self._term:
            cursor.execute("SELECT FROM leader WHERE id = 1 AND term = %s FOR SHARE", (self._term,))
            _expect_one(cursor, self._term)

    def resign(self, term: int) -> None:
        """Lets the lead go, so that the next server need not wait; nothing happens where it is gone already."""
        with self.transaction() as cursor:
            cursor.execute("UPDATE leader SET lease_seconds = 0 WHERE id = 1 AND term = %s", (term,))
        self._term = 0
        self.close()

    def close(self) -> None:
        """Ends the session."""
        if self._connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """One transaction on the leader's own connection, which is opened anew where it is lost.

        Raises:
            Unavailable: As ``Database.transaction``.
            InvariantViolated: As ``Database.transaction``.
        """
        with self.script(at_once=True) as script:
            yield script.send()

    @contextlib.contextmanager
    def script(self, *, at_once: bool = False) -> Iterator[Script]:
        """The same, of statements that are gathered, and that begin it together with the first that are sent.

        Args:
            at_once: Whether it begins by itself in any case.

        Raises:
            Unavailable: As ``Database.transaction``.
            InvariantViolated: As ``Database.transaction``.
        """
        with self._database.translated(), contextlib.ExitStack() as stack:
            script = self._begin(stack, at_once=at_once)
            healthy = False
            try:
                yield script
                script.send().execute("COMMIT")
                healthy = True
                self._beat = max(self._beat, self._unsure_beat)
            finally:
                self._unsure_beat = 0
                if not healthy:  # closing it rolls back, whatever state it is in
                    self.close()

    def _begin(self, stack: contextlib.ExitStack, *, at_once: bool) -> Script:
        if self._connection is not None:
            try:
                return self._begun(stack, self._connection, at_once=at_once or _has_heard(self._connection))
            except psycopg2.Error:  # it was lost while idle, and nothing has been asked of it
                self.close()
        self._connection = self._database.connect()
        self._connection.autocommit = True  # it begins and commits in words, together with others
        self._prepared = None
        script = self._begun(stack, self._connection, at_once=True)
        self._session = _own_session(self._connection, script.cursor)
        if self._session == (None, None):
            return script
        script.cursor.execute(f"COMMIT; {SESSION}")
        self._prepared = {}
        return self._begun(stack, self._connection, at_once=True)

    def _begun(self, stack: contextlib.ExitStack, connection: Connection, *, at_once: bool) -> Script:
        """A transaction's statements, the first of which begins it, and is sent ``at_once`` or with what follows."""
        script = Script(stack.enter_context(connection.cursor()), self._prepared)
        script.add(beginning(with_settings=self._prepared is None))
        if at_once:
            script.send()
        return script


def _has_heard(connection: Connection) -> bool:
    """Whether PostgreSQL has said something unasked on an idle connection: that it ends it, as a rule."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _own_session(connection: Connection, cursor: Cursor) -> tuple[int | None, datetime | None]:
    """Process and beginning of the session in PostgreSQL, if it is this connection's for as long as that lasts.

    A pooler tells its clients of processes that are none of PostgreSQL's.
    """
    cursor.execute("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    found = cursor.fetchone()
    return found if found is not None and found[0] == connection.info.backend_pid else (None, None)


def _leader(row: tuple[object, ...]) -> Leader:
    term, beat, holder, address, since, lease_seconds, timeline, gone = row
    assert isinstance(term, int)
    assert isinstance(beat, int)
    assert isinstance(since, datetime)
    assert isinstance(lease_seconds, float)
    assert timeline is None or isinstance(timeline, int)
    return Leader(
        term=term,
        beat=beat,
        holder=str(holder),
        address=str(address),
        since=since,
        lease_seconds=lease_seconds,
        timeline=timeline,
        gone=bool(gone),
    )


def _expect_one(cursor: Cursor, term: int) -> None:
    if cursor.rowcount != 1:
        raise Stale(f"this server's term {term} is over: another server leads.", "Ask that one.")
