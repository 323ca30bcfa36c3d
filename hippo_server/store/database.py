"""The connection to PostgreSQL: where it is, how long it may take, and what its errors mean for us."""

from __future__ import annotations

import itertools
import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg2
import sqlalchemy
from psycopg2 import errors
from psycopg2.extensions import ISOLATION_LEVEL_READ_COMMITTED, ISOLATION_LEVEL_REPEATABLE_READ
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from hippo_core.errors import HippoError, InvalidStudy, InvariantViolated, TooManyCalls, Unavailable

if TYPE_CHECKING:
    from psycopg2.extensions import connection, cursor

Rows = Callable[..., Iterator[tuple[Any, ...]]]
T = TypeVar("T")

OLDEST_VERSION = 14
FETCH_ROWS = 5000
#: What does not pass by waiting: the address, or the database's own settings, are wrong.
_REFUSED = re.compile(
    r"authentication failed|no password supplied|does not exist|no pg_hba\.conf entry|could not translate host name"
)

#: A statement of ours takes milliseconds: one that does not has met a lock or a sick disk, and is better cut.
TRANSACTION_SETTINGS = {
    "synchronous_commit": "on",
    "statement_timeout": "10s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "5s",
    "timezone": "UTC",
}
#: Said at the beginning of each transaction: what is said once to a session does not reach the next transaction
#: where a pooler stands between (PgBouncer in transaction mode).
PREAMBLE = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in TRANSACTION_SETTINGS.items())

_WAYS = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
#: Said once to a session that is our own. A plan that is kept must not depend on how large a table was when it was
#: made: rows are always found by their keys.
SESSION = "; ".join(
    f"SET {name} = '{value}'"
    for name, value in {
        **TRANSACTION_SETTINGS,
        "plan_cache_mode": "force_generic_plan",
        **dict.fromkeys(_WAYS, "off"),
        "jit": "off",  # before version 18 a plan that is discouraged costs so much that it would be compiled
    }.items()
)
#: For what goes through many rows in such a session; and for what follows it in its transaction.
ANY_PLAN = "; ".join(f"SET LOCAL {way} = on" for way in _WAYS)
BY_KEYS = "; ".join(f"SET LOCAL {way} = off" for way in _WAYS)

#: How often a transaction that PostgreSQL undid for another's sake is tried in all, and the first pause's bound.
ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.02
#: No try begins later: a caller waits 5 s, and a leader that cannot renew is silent after 10 s.
RETRIED_SECONDS = 3.0

CONNECT_SECONDS = 5

#: A host that has gone without a word is noticed in seconds; of no effect on sockets of this machine.
TCP_SETTINGS = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 11_000,  # milliseconds
}

#: PostgreSQL undid the transaction for another's sake (40P01, 40001, 55P03): nothing of it happened, and the next try
#: may succeed. Not so where a session was ended (57P01 and its like) or lost: that may have met a COMMIT that has
#: happened, so that the leader drops its engine and takes a new term, which settles it. Nor where a statement took too
#: long (57014), which it would again.
UNDONE = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable)

#: Errors that say nothing against what was asked: PostgreSQL could not do it now.
PASSING = (
    psycopg2.OperationalError,  # lost connections, shutdowns, time-outs, no room, deadlocks
    psycopg2.InterfaceError,  # the connection was closed under us
    errors.ReadOnlySqlTransaction,  # a fail-over, or a disk that an administrator has protected
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.IdleInTransactionSessionTimeout,
)


def _passes(error: BaseException | None) -> bool:
    """Whether an error says nothing against what was asked.

    A connection that PostgreSQL's death ended in the middle of an answer is told as a DatabaseError of no class.
    """
    return isinstance(error, PASSING) or type(error) is psycopg2.DatabaseError


def parse_url(text: str) -> URL:
    """Reads a database's address, in SQLAlchemy's form or in libpq's.

    Raises:
        InvalidStudy: It is not an address of PostgreSQL.
    """
    remedy = "Give an address like postgresql://user:password@host/database, or none for the embedded one."
    try:
        url = sqlalchemy.make_url(text)
    except ArgumentError as error:
        raise InvalidStudy("database_url", "it is not the address of a database.", remedy) from error
    if url.drivername not in {"postgres", "postgresql", "postgresql+psycopg2"}:
        raise InvalidStudy(
            "database_url",
            f"'{url.drivername}' is not supported: Hippo keeps its state in PostgreSQL.",
            remedy,
        )
    return url.set(drivername="postgresql+psycopg2")


class Database:
    """A small pool of connections to one PostgreSQL. May be used from several threads.

    Args:
        text: Its address.
    """

    def __init__(self, text: str) -> None:
        self.url = parse_url(text)
        self.on_undone: Callable[[], None] = lambda: None
        """Told of each transaction that is tried again."""
        self.on_error: Callable[[str], None] = lambda sqlstate: None
        """Told of each error: its SQLSTATE; empty where there was no connection."""
        self._arguments = {
            "application_name": "hippo-server",
            "connect_timeout": CONNECT_SECONDS,
            **TCP_SETTINGS,
        }
        self.engine = sqlalchemy.create_engine(
            self.url,
            connect_args=self._arguments,
            pool_size=2,
            max_overflow=2,
            pool_timeout=CONNECT_SECONDS,
            pool_pre_ping=True,  # a connection that died while idle is replaced before anything is asked of it
        )

    @property
    def where(self) -> str:
        """The address without its password, for messages."""
        return self.url.render_as_string(hide_password=True)

    def connect(self) -> connection:
        """A connection of the caller's own, outside the pool."""
        arguments, parameters = self.engine.dialect.create_connect_args(self.engine.url)
        made: connection = psycopg2.connect(*arguments, **{**parameters, **self._arguments})
        return made

    def close(self) -> None:
        """Closes all connections of the pool."""
        self.engine.dispose()

    @contextmanager
    def transaction(self, *, snapshot: bool = False) -> Iterator[cursor]:
        """One transaction: committed at the end, rolled back where the block raises.

        Args:
            snapshot: Read only, and all statements see the database as of the first.

        Raises:
            Unavailable: PostgreSQL could not do it now. Where COMMIT itself failed, nobody can tell here whether
                it has happened; the rows say so under the next leader's term.
            InvariantViolated: PostgreSQL refused what was written: a constraint, or a type.
        """
        with self.translated():
            pooled = self.engine.raw_connection()
            healthy = False
            try:
                driver: connection = pooled.driver_connection  # type: ignore[assignment]
                with begun(driver, snapshot=snapshot) as opened:
                    yield opened
                driver.commit()
                healthy = True
            finally:
                if healthy:
                    pooled.close()
                else:  # closing it rolls back, whatever state it is in
                    pooled.invalidate()

    def change(self, work: Callable[[cursor], T]) -> T:
        """What ``work`` does and gives, in one transaction; see ``transaction`` and ``retried``."""

        def once() -> T:
            with self.transaction() as opened:
                return work(opened)

        return self.retried(once)

    def retried(self, work: Callable[[], T]) -> T:
        """What ``work`` gives, tried again where PostgreSQL undid its transaction for another's sake, for some seconds.

        Args:
            work: One transaction; raises what ``translated`` makes of errors.

        Raises:
            Unavailable: It was undone each time, or PostgreSQL could not do it now.
        """
        began = time.monotonic()
        for attempt in itertools.count(1):
            try:
                return work()
            except Unavailable as error:
                late = attempt == ATTEMPTS or time.monotonic() - began > RETRIED_SECONDS
                if late or not isinstance(error.__cause__, UNDONE):
                    raise
            self.on_undone()
            time.sleep(random.uniform(0.0, FIRST_PAUSE_SECONDS * 2**attempt))
        raise AssertionError("attempts are counted without end")

    @contextmanager
    def reading(self) -> Iterator[Rows]:
        """Reads of any length, all of one moment: a function from a statement and its parameters to rows."""
        with self.transaction(snapshot=True) as opened:
            # The reader works between fetches, and a large table takes a while to sort.
            opened.execute(
                "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = '10min'"
            )
            numbers = itertools.count(1)

            def rows(statement: str, *parameters: Any) -> Iterator[tuple[Any, ...]]:
                with opened.connection.cursor(name=f"rows_{next(numbers)}") as fetching:
                    fetching.execute(statement, parameters or None)
                    yield from _fetched(fetching)

            yield rows

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raises our errors in place of the driver's."""
        try:
            yield
        except sqlalchemy.exc.DBAPIError as error:
            self.on_error(getattr(error.orig, "pgcode", None) or "")
            if _passes(error.orig):
                raise self._unavailable(error.orig) from error
            raise InvariantViolated(f"the database refused a statement: {_first_line(error.orig)}") from error
        except sqlalchemy.exc.TimeoutError as error:
            raise TooManyCalls("all connections to the database are busy.", 1.0, "Try again.") from error
        except psycopg2.Error as error:
            self.on_error(error.pgcode or "")
            if _passes(error):
                raise self._unavailable(error) from error
            raise InvariantViolated(f"the database refused what was written: {_first_line(error)}") from error

    def _unavailable(self, error: BaseException | None) -> HippoError:
        line = _first_line(error)
        return Unavailable(
            f"the database {self.where} cannot answer now: {line}",
            "Correct --database-url, or the database."
            if _REFUSED.search(line)
            else "A server that runs goes on by itself when the database is back.",
        )


def _fetched(fetching: cursor) -> Iterator[tuple[Any, ...]]:
    """The rows of a cursor. Of many the next ones are fetched while those before are worked on."""
    found = fetching.fetchmany(FETCH_ROWS)
    if len(found) < FETCH_ROWS:
        yield from found
        return
    with ThreadPoolExecutor(1, thread_name_prefix="rows") as ahead:
        while found:
            following = ahead.submit(fetching.fetchmany, FETCH_ROWS)
            yield from found
            found = following.result()


def beginning(*, with_settings: bool) -> str:
    """The statements that begin a transaction on a connection that begins none by itself.

    Args:
        with_settings: Whether its session has not heard them.
    """
    begin = "BEGIN ISOLATION LEVEL READ COMMITTED"
    return f"{begin}; {PREAMBLE}" if with_settings else begin


@contextmanager
def begun(driver: connection, *, snapshot: bool = False) -> Iterator[cursor]:
    """A cursor in a new transaction with our settings, to be ended by the caller.

    Args:
        driver: In no transaction.
        snapshot: Read only, and all statements see the database as of the first.
    """
    level = ISOLATION_LEVEL_REPEATABLE_READ if snapshot else ISOLATION_LEVEL_READ_COMMITTED
    # Not False: an administrator's read-only default stands.
    driver.set_session(isolation_level=level, readonly=True if snapshot else "default")
    with driver.cursor() as opened:
        opened.execute(PREAMBLE)
        yield opened


def _first_line(error: BaseException | None) -> str:
    return " ".join(str(error).split())[:500]
