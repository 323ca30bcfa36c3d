"""PostgreSQL dies, hangs or refuses: the store says so, and goes on when it can."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors

from hippo_core.engine.events import Event, StudyStateChanged
from hippo_core.engine.states import StudyState
from hippo_core.errors import Unavailable
from hippo_server.postgres import EmbeddedPostgres
from hippo_server.store import Store, database
from hippo_server.store.database import Database
from tests.integration.store.stored_cluster import StoredCluster
from tests.integration.store.test_schema import execute
from tests.integration.store.test_store import record, submission
from tests.unit.engine.test_cluster import PIECES, spec, submit
from tests.waiting import process_end, until


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of the test's own, to be killed."""
    postgres = EmbeddedPostgres(tmp_path / "home")
    postgres.start()
    yield postgres
    postgres.stop()


@pytest.fixture
def own_store(postgres: EmbeddedPostgres) -> Iterator[Store]:
    store = Store(postgres.start())
    store.migrate()
    yield store
    store.close()


def kill(postgres: EmbeddedPostgres) -> None:
    pid = postgres.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    process_end(pid)


def test_a_killed_postgresql_is_unavailable_and_then_there_again(
    postgres: EmbeddedPostgres, own_store: Store
) -> None:
    """1. A batch commits. 2. PostgreSQL is killed. 3. Every call says so. 4. It is back, and with it all that was."""
    term = own_store.lead("one", 60.0)
    own_store.write([record(submission())], term, 1)
    written = list(own_store.journal())
    kill(postgres)
    calls: list[Callable[[], Any]] = [
        lambda: own_store.write([record(submission("other"))], term, 2),
        lambda: own_store.renew(term),
        lambda: list(own_store.load()),
        lambda: list(own_store.answers()),
        own_store.find_tokens,
        own_store.study_times,
        own_store.migrate,
        lambda: own_store.lead("one", 0.1),
    ]
    for call in calls:
        with pytest.raises(Unavailable, match=r"cannot answer now.*goes on by itself"):
            call()
    postgres.start()
    assert list(own_store.journal()) == written
    assert own_store.lead("one", 60.0) == term + 1


@pytest.mark.parametrize("seed", range(5))
def test_a_kill_at_any_moment_loses_nothing_that_was_committed(
    postgres: EmbeddedPostgres, own_store: Store, seed: int
) -> None:
    """1. Batches are written as fast as they go. 2. PostgreSQL is killed meanwhile. 3. What ``write`` said holds; of
    the batch that it could not speak for, the rows have all or nothing.
    """
    cluster = StoredCluster(seed, {"a": 2}, own_store)
    killer = threading.Timer(0.05 + 0.03 * seed, kill, [postgres])
    killer.start()
    try:
        with pytest.raises(Unavailable):
            act_for_ever(cluster)
    finally:
        killer.join()
    [(committed,)] = execute(postgres.start(), f"SELECT batch FROM leader WHERE term = {cluster.term}")
    assert committed in {cluster.batch - 1, cluster.batch}
    kept = len(list(own_store.journal()))
    unknown = len(cluster.waiting[0].events)
    assert kept == len(cluster.journal) - (unknown if committed < cluster.batch else 0)


def act_for_ever(cluster: StoredCluster) -> None:
    """Something of one study or the next goes on until the store fails."""
    for number in range(10_000):
        submit(cluster, spec(f"study-{number}", PIECES[:2], checkpoint_every=1, seed=number))
        cluster.run()


def test_a_connection_cut_while_idle_is_replaced_unnoticed(store: Store, database_url: str) -> None:
    term = store.lead("one", 60.0)
    store.write([record(submission())], term, 1)
    cut(database_url)
    store.write([record(change())], term, 2)
    store.renew(term)
    assert execute(database_url, "SELECT batch FROM leader") == [(2,)]


def change() -> tuple[Event, ...]:
    return (StudyStateChanged(study=1, state=StudyState.PAUSED, reason="by a test"),)


def cut(database_url: str) -> None:
    """Ends all other sessions, and waits until they have gone."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    execute(database_url, f"SELECT pg_terminate_backend(pid) {others}")
    until(
        lambda: execute(database_url, f"SELECT count(*) {others}") == [(0,)], "the end of all other sessions"
    )


def test_a_connection_cut_within_a_transaction_is_unavailable(store: Store, database_url: str) -> None:
    database = Database(database_url)

    def cut_within() -> None:
        with database.transaction() as cursor:
            cursor.execute("SELECT 1")
            cut(database_url)
            cursor.execute("SELECT 1")

    with pytest.raises(Unavailable, match="cannot answer now"):
        cut_within()
    with database.transaction() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    database.close()


@pytest.fixture
def lock(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Callable[[], None]]]:
    """Takes a lock on all that a leader writes, in a session of somebody else's, and gives what lets it go. Locks are
    waited for shortly but in the leader's session; how long that takes counts for nothing.
    """
    other = psycopg2.connect(database_url.replace("+psycopg2", ""))

    def take() -> Callable[[], None]:
        monkeypatch.setattr(database, "RETRIED_SECONDS", 60.0)
        monkeypatch.setattr(database, "PREAMBLE", f"{database.PREAMBLE}; SET LOCAL lock_timeout = '50ms'")
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE studies, leader, request_answers IN ACCESS EXCLUSIVE MODE")
        return other.rollback

    yield take
    other.close()


@pytest.mark.parametrize("what", ["a batch", "its lead"])
def test_what_meets_a_lock_of_anothers_is_tried_again(
    store: Store, database_url: str, lock: Callable[[], Callable[[], None]], what: str
) -> None:
    """1. Somebody holds a lock when the leader writes, or renews. 2. It waits in vain. 3. The lock goes. 4. The same
    transaction succeeds, in the same term, and once.
    """
    term = store.lead("one", 60.0)
    let_go = lock()
    told: list[None] = []

    def undone() -> None:
        told.append(None)
        let_go()

    store.on_undone(undone)
    if what == "a batch":
        store.write([record(submission())], term, 1)
        assert execute(database_url, "SELECT name FROM studies") == [("study",)]
    else:
        store.renew(term)
    assert len(told) == 1
    assert execute(database_url, "SELECT term, batch FROM leader") == [(term, 1 if what == "a batch" else 0)]


def test_a_lock_that_stays_is_told_of(
    store: Store, database_url: str, lock: Callable[[], Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leader steps down then: what it said is lost to nobody, since it was acknowledged to nobody."""
    term = store.lead("one", 60.0)
    monkeypatch.setattr(database, "ATTEMPTS", 2)
    let_go = lock()
    told: list[None] = []
    store.on_undone(lambda: told.append(None))
    with pytest.raises(Unavailable, match="lock timeout"):
        store.write([record(submission())], term, 1)
    assert told == [None]
    let_go()
    assert execute(database_url, "SELECT name FROM studies") == []
    store.write([record(submission())], term, 1)


def test_a_session_that_was_ended_is_not_gone_on_with(store: Store, database_url: str) -> None:
    """An administrator ends the leader's session within its transaction: nobody knows of a COMMIT then, so nothing is
    tried again in that term.
    """
    told: list[None] = []
    store.on_undone(lambda: told.append(None))

    def write() -> None:
        with store._leadership.transaction() as cursor:
            cursor.execute("SELECT 1")
            cut(database_url)
            cursor.execute("SELECT 1")

    store.lead("one", 60.0)
    with pytest.raises(Unavailable, match="cannot answer now"):
        store._database.retried(write)
    assert not told


class Undone(Store):
    """A store whose transactions PostgreSQL undoes for another's sake, so many times."""

    undone = 0

    def _write(self, *arguments: Any) -> None:
        if self.undone:
            self.undone -= 1
            with self._database.translated():
                raise errors.DeadlockDetected("deadlock detected")
        super()._write(*arguments)


def test_a_transaction_undone_for_anothers_sake_is_tried_again(database_url: str) -> None:
    store = Undone(database_url)
    told: list[None] = []
    store.on_undone(lambda: told.append(None))
    term = store.lead("one", 60.0)
    store.undone = 4
    store.write([record(submission())], term, 1)
    assert len(told) == 4
    assert execute(database_url, "SELECT batch FROM leader") == [(1,)]
    store.undone = 5
    with pytest.raises(Unavailable, match="deadlock detected"):
        store.write([record(change())], term, 2)
    assert execute(database_url, "SELECT batch FROM leader") == [(1,)]
    store.close()


@pytest.mark.parametrize("error", [errors.DeadlockDetected, errors.SerializationFailure])
def test_a_change_of_tokens_undone_for_anothers_sake_is_tried_again(
    store: Store, database_url: str, error: type[psycopg2.Error]
) -> None:
    """As PostgreSQL tells it: by the SQLSTATE, which a trigger raises until it was met twice."""
    code = {errors.DeadlockDetected: "40P01", errors.SerializationFailure: "40001"}[error]
    execute(
        database_url,
        f"""
        CREATE SEQUENCE met;
        CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('met') <= 2 THEN RAISE EXCEPTION 'undone' USING ERRCODE = '{code}'; END IF;
            RETURN NEW;
        END
        $$;
        CREATE TRIGGER undo BEFORE INSERT ON tokens FOR EACH ROW EXECUTE FUNCTION undo();
        """,
    )
    told: list[None] = []
    store.on_undone(lambda: told.append(None))
    assert store.create_token("ada", "editor", "default", "aa").name == "ada"
    assert len(told) == 2


def test_a_read_only_database_is_unavailable_until_it_is_writable(store: Store, database_url: str) -> None:
    name = database_url.rpartition("/")[2].partition("?")[0]
    term = store.lead("one", 60.0)
    execute(database_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    cut(database_url)
    with pytest.raises(Unavailable, match="read-only"):
        store.write([record(submission())], term, 1)
    reset = psycopg2.connect(database_url.replace("+psycopg2", ""))
    reset.set_session(readonly=False, autocommit=True)
    with reset.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    reset.close()
    cut(database_url)
    store.write([record(submission())], term, 1)
    assert execute(database_url, "SELECT batch FROM leader") == [(1,)]


@pytest.mark.parametrize(
    "error",
    [
        psycopg2.OperationalError("server closed the connection unexpectedly"),
        psycopg2.DatabaseError("server closed the connection unexpectedly"),  # while an answer was being read
        psycopg2.InterfaceError("connection already closed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_lost_connection_is_passing_however_it_is_told(database_url: str, error: psycopg2.Error) -> None:
    with pytest.raises(Unavailable, match="connection"), Database(database_url).translated():
        raise error
