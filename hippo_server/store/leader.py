"""Which server leads: a row with a term that grows with each take-over.

The term is what keeps two servers apart: each transaction checks it last, so whoever has been replaced cannot
write. How long a new server waits before it takes over is therefore a matter of courtesy, not of safety: it waits for
the row to lapse, or for the leader's session to be gone from PostgreSQL, whichever is first. A server that was
killed is replaced at once, one that hangs or is cut off after its lease.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from hippo_core.errors import Conflict, Stale
from hippo_server.store.database import Database

POLL_SECONDS = 0.1

_TAKE = """
    INSERT INTO leader (id, term, batch, holder, expires_at, session, session_began_at)
    SELECT 1, 1, 0, %(holder)s, now() + %(lease)s * interval '1 second', pid, backend_start
    FROM pg_stat_activity WHERE pid = pg_backend_pid()
    ON CONFLICT (id) DO UPDATE
    SET term = leader.term + 1, batch = 0, holder = excluded.holder, expires_at = excluded.expires_at,
        session = excluded.session, session_began_at = excluded.session_began_at
    WHERE leader.expires_at <= now() OR NOT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE pid = leader.session AND (backend_start IS NULL OR backend_start = leader.session_began_at)
          AND pid <> pg_backend_pid()
    )
    RETURNING term
"""

_RENEW = """
    UPDATE leader
    SET expires_at = now() + %(lease)s * interval '1 second', session = activity.pid,
        session_began_at = activity.backend_start
    FROM pg_stat_activity activity
    WHERE leader.id = 1 AND leader.term = %(term)s AND activity.pid = pg_backend_pid()
"""

_CHECK = """
    UPDATE leader SET batch = %(batch)s, expires_at = now() + %(lease)s * interval '1 second'
    WHERE id = 1 AND term = %(term)s
"""


class Leadership:
    """A server's claim to lead. Used from one thread.

    It holds a connection of its own, whose presence tells others that this server lives.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._lease_seconds = 0.0

    def take(self, holder: str, lease_seconds: float) -> int:
        """Takes the lead with a new term, waiting up to ``lease_seconds`` for an earlier leader to be gone.

        Who leads already, and takes it again after an error, need not wait.

        Raises:
            Conflict: Another server leads and renews.
            Unavailable: The database cannot answer now.
        """
        self._lease_seconds = lease_seconds
        deadline = time.monotonic() + lease_seconds
        while True:
            with self._session() as cursor:
                cursor.execute(_TAKE, {"holder": holder, "lease": lease_seconds})
                taken = cursor.fetchone()
                if taken is not None:
                    return int(taken[0])
                cursor.execute("SELECT holder FROM leader")
                found = cursor.fetchone()
            if time.monotonic() > deadline:
                raise Conflict(
                    f"another server leads on this database: {found[0] if found else 'unknown'}.",
                    "Stop it first, or give this one a database of its own.",
                )
            time.sleep(POLL_SECONDS)

    def renew(self, term: int) -> None:
        """Keeps the lead for another lease.

        Raises:
            Stale: Another server has taken it.
            Unavailable: The database cannot answer now.
        """
        with self._session() as cursor:
            cursor.execute(_RENEW, {"term": term, "lease": self._lease_seconds})
            _expect_one(cursor, term)

    def check(self, cursor: Cursor, term: int, batch: int) -> None:
        """Makes sure that this server still leads, as the last statement of a transaction, and notes the batch.

        Raises:
            Stale: Another server has taken the lead.
        """
        cursor.execute(_CHECK, {"term": term, "batch": batch, "lease": self._lease_seconds})
        _expect_one(cursor, term)

    def resign(self, term: int) -> None:
        """Lets the lead go, so that the next server need not wait; nothing happens where it is gone already."""
        with self._session() as cursor:
            cursor.execute("UPDATE leader SET expires_at = now() WHERE id = 1 AND term = %s", (term,))
        self.close()

    def close(self) -> None:
        """Ends the session."""
        if self._connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _session(self) -> Iterator[Cursor]:
        """A cursor of the session, which is opened anew where it is lost."""
        with self._database.translated():
            if self._connection is not None and not _answers(self._connection):
                self.close()
            if self._connection is None:
                self._connection = self._database.connect()
                self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                yield cursor


def _answers(connection: Connection) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.Error:
        return False
    return True


def _expect_one(cursor: Cursor, term: int) -> None:
    if cursor.rowcount != 1:
        raise Stale(
            f"this server's term {term} is over: another server leads.", "Start it again as a standby."
        )
