"""Faults that strike all at once, or what a user asks for: all workers preempted, a stop in the midst of a commit, a
database that takes no change while paths are trained."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.conftest import until
from tests.acceptance.nemesis import Arena
from tests.acceptance.test_faults import (
    arena,
    expect_as_alone,
    expect_clean,
    in_the_middle_of_a_path,
    study,
)

__all__ = ["arena"]

WORKERS = ("one", "two", "three")
LIVE = "SELECT 1 FROM leases WHERE ended_at IS NULL"


@pytest.mark.soak
def test_all_workers_are_preempted_at_once_and_the_server_dies(arena: Arena) -> None:
    """1. Three workers train. 2. All are told to leave, the server is killed and started again. 3. Each leaves in
    order, and those that come in their place go on from what was saved: nothing is trained again, nor charged to a
    trial."""
    arena.end("server")
    arena.work_lease_seconds = 20.0  # they wait for a server for so long
    arena.start_server()
    handle = arena.client().submit(study(arena))
    for name in WORKERS:
        arena.start_worker(name)
    until(lambda: arena.rows("SELECT count(*) FROM leases WHERE ended_at IS NULL") == [(3,)], "three at work")
    arena.happens("StepsTrained", after=0)
    leaving = [arena.processes[name] for name in WORKERS]
    for each in leaving:
        each.send_signal(signal.SIGTERM)
    arena.end("server", signal.SIGKILL)
    arena.to_workers.cut()
    arena.to_clients.cut()
    arena.start_server()
    assert [each.wait(60) for each in leaving] == [0, 0, 0]
    for name in WORKERS:
        arena.start_worker(name)
    handle.wait(progress=False, timeout=120)
    expect_as_alone(arena.rows, handle)
    expect_clean(arena.rows)
    assert arena.rows("SELECT count(*) FROM failures") == [(0,)]
    assert {state for (state,) in arena.rows("SELECT state FROM leases")} <= {"completed", "released"}
    assert handle.savings()["steps_retrained"] == 0


@pytest.mark.soak
def test_a_stop_in_the_midst_of_a_commit_and_a_hundred_more(arena: Arena) -> None:
    """1. Two studies of one program wait for the same steps. 2. While steps of theirs are being committed, one is
    stopped a hundred times. 3. All calls are answered alike, and it is stopped once. 4. The other ends as alone, of
    what was trained before the stop nothing is trained again; nothing is trained any more once it has ended."""
    stopped = arena.client().submit(study(arena, "stopped"))
    other = arena.client().submit(study(arena, "grid"))
    arena.start_worker("one")
    in_the_middle_of_a_path(arena)
    with ThreadPoolExecutor(10) as threads:
        with arena.commit_held():
            calls = [threads.submit(stopped.stop) for _ in range(100)]
            until(lambda: any(each.running() for each in calls), "a call under way")
        states = {each.result(60).state for each in calls}
    assert states == {"stopped"}
    ended = "SELECT count(*) FROM journal WHERE event = 'StudyStateChanged' AND body->>'state' = 'stopped'"
    assert arena.rows(ended) == [(1,)]
    other.wait(progress=False, timeout=120)
    expect_as_alone(arena.rows, other)
    expect_clean(arena.rows)
    assert other.savings()["steps_retrained"] == 0
    stopped.refresh()
    assert stopped.state == "stopped"


def test_a_stop_of_the_only_study_ends_its_trainers_path(arena: Arena) -> None:
    """Its path is given back, nothing is trained for it any more, and an equal study ends as trained alone."""
    stopped = arena.client().submit(study(arena, "stopped"))
    arena.start_worker("one")
    in_the_middle_of_a_path(arena)
    with ThreadPoolExecutor(1) as threads:
        with arena.commit_held():
            call = threads.submit(stopped.stop)
        assert call.result(60).state == "stopped"
    until(lambda: not arena.rows(LIVE), "the end of its path")
    assert {state for (state,) in arena.rows("SELECT state FROM leases")} <= {"completed", "released"}
    handle = arena.client().submit(study(arena))
    handle.wait(progress=False, timeout=120)
    expect_as_alone(arena.rows, handle)
    expect_clean(arena.rows)


@pytest.mark.soak
def test_a_database_that_takes_no_change_stops_no_training(arena: Arena) -> None:
    """1. A path is trained. 2. The database becomes read-only, until its lease would long be over. 3. It takes changes
    again: what was trained meanwhile is told under the same lease, and nothing is trained again."""
    handle = arena.client().submit(study(arena))
    arena.start_worker("one")
    in_the_middle_of_a_path(arena)
    runner = arena.runner()
    set_read_only(arena, True)
    mark = arena.now()
    fence = arena.rows("SELECT max(fence) FROM leases WHERE ended_at IS NULL")[0][0]
    # The runner trains to the end of its path, and saves, without anything having been taken in.
    until(lambda: arena.ledger.written(fence), "a state that was written meanwhile")
    assert arena.now() == mark, "nothing is taken in meanwhile"
    set_read_only(arena, False)
    handle.wait(progress=False, timeout=120)
    assert arena.runner() == runner
    expect_as_alone(arena.rows, handle)
    expect_clean(arena.rows)
    assert handle.savings()["steps_retrained"] == 0


def set_read_only(arena: Arena, on: bool) -> None:
    """All transactions from here on take no change, or take changes again."""
    connection = arena.rows.connect()
    name = connection.info.dbname
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {'on' if on else 'off'}")
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    connection.close()
