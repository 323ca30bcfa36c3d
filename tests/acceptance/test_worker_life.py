"""What a worker's life brings: it is cut off, its runner stalls or is short of memory, a trainer kills it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hippo_client.handles.study import StudyHandle
from hippo_client.study_file import load
from tests.acceptance.conftest import STUDY_FOLDER, Pool, until
from tests.acceptance.nemesis import Arena
from tests.acceptance.test_faults import (
    EVERY,
    STEPS,
    arena,
    between_saves,
    expect_as_alone,
    expect_clean,
    study,
)

__all__ = ["arena"]

MEMORY = Path("/sys/fs/cgroup/memory")
LIMIT_BYTES = 1536 << 20


@pytest.fixture
def impatient_pool(tmp_path: Path, empty_database_url: str) -> Iterator[Pool]:
    """A server that takes a path without a step for 15 seconds to be stuck: a busy machine may start one in 5."""
    folder = tmp_path / "work"
    shutil.copytree(STUDY_FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    made = Pool(tmp_path / "pool", empty_database_url, folder)
    made.start_server("--stall-seconds", "15")
    yield made
    for name in [*(each for each in made.processes if each != "server"), "server"]:
        if name in made.processes:
            made.end(name)


def submit(pool: Pool, trainer: str, batches: str = "16") -> StudyHandle:
    """A study of one trial for each batch size."""
    file = pool.folder / "failing_study.py"
    file.write_text(
        f"""
import hippo_client as hippo
from hippo_client import space

study = hippo.Study(
    "failing:{trainer}",
    {{"batch_size": space.choice([{batches}])}},
    name="failing",
    maximize="accuracy",
    max_steps=4,
    checkpoint_every=1,
    options={{"order": {str(pool.path / "order")!r}}},
)
"""
    )
    return pool.client().submit(load(str(file)))


def failures(pool: Pool) -> list[tuple[str, int]]:
    """Class and count of each failure, in order."""
    return [(each[0], each[1]) for each in pool.query("SELECT failure, count FROM failures ORDER BY id")]


def test_a_worker_that_is_cut_off_goes_on_under_the_same_fence(arena: Arena) -> None:
    """
    1. nothing that the worker says arrives, until its lease is given up by the server; its runner trains on
    2. the connection breaks and comes back: the worker presents its lease, which goes on under its fence
    3. no lease ended early, and no step was trained twice
    """
    handle = arena.client().submit(study(arena))
    arena.start_worker("one")
    fence = arena.happens("StepsTrained", where=f"(body->>'stop')::int < {STEPS - EVERY}")["fence"]
    arena.to_workers.hold("requests")
    state = "SELECT state FROM leases WHERE fence = %s"
    until(lambda: arena.rows(state, fence) == [("orphaned",)], "an orphan")
    mark = arena.now()
    arena.to_workers.cut()
    arena.happens("StepsTrained", after=mark, where=f"(body->>'fence')::int = {fence}")
    handle.wait(progress=False, timeout=120)
    expect_as_alone(arena.rows, handle)
    expect_clean(arena.rows)
    assert {each for (each,) in arena.rows("SELECT DISTINCT state FROM leases")} <= {"completed", "released"}
    assert handle.savings()["steps_retrained"] == 0


@pytest.mark.soak
def test_a_worker_trains_on_while_the_server_is_away_for_longer_than_a_lease(arena: Arena) -> None:
    """
    1. the server dies while a path stands between two saves: its worker trains and saves to the path's end
    2. a lease's time later another server starts: the path is completed under its fence, and nothing was trained again
    """
    handle = arena.client().submit(study(arena))
    arena.start_worker("one")
    with between_saves(arena):
        ((fence,),) = arena.rows("SELECT max(fence) FROM leases WHERE state = 'training'")
        arena.kill("server")
        away = time.monotonic()
    saved = lambda: any(step == STEPS and of == fence for _, step, of in arena.ledger.published())  # noqa: E731
    until(saved, "the save at the path's end")
    until(lambda: time.monotonic() - away > arena.work_lease_seconds, "the end of the lease's time")
    assert arena.rows("SELECT state FROM leases WHERE fence = %s", fence) == [("training",)]
    arena.start_server()
    until(
        lambda: arena.rows("SELECT state FROM leases WHERE fence = %s", fence) == [("completed",)],
        "the end of the path",
    )
    handle.wait(progress=False, timeout=120)
    expect_as_alone(arena.rows, handle)
    expect_clean(arena.rows)
    assert {each for (each,) in arena.rows("SELECT DISTINCT state FROM leases")} == {"completed"}
    assert handle.savings()["steps_retrained"] == 0


def test_a_stalled_path_is_retried_once_and_its_stacks_are_kept(impatient_pool: Pool) -> None:
    impatient_pool.start_worker("one")
    handle = submit(impatient_pool, "Stuck")
    handle.wait(progress=False, timeout=180)
    trial = handle.trial(0)
    assert trial.state == "failed"
    assert trial.reason.startswith("stalled at step 2: no step for 15 s.")
    assert "It failed 2 times" in trial.reason
    assert failures(impatient_pool) == [("stalled", 1), ("stalled", 2)]
    ((stacks,),) = impatient_pool.query("SELECT traceback FROM failures ORDER BY id LIMIT 1")
    assert "failing.py" in stacks
    assert "in fail" in stacks
    assert "in fail" in "".join(trial.logs())
    assert impatient_pool.processes["one"].poll() is None


@pytest.mark.soak
def test_a_step_that_kills_three_workers_is_quarantined(pool: Pool) -> None:
    """
    1. a trainer kills one worker after the other in its step 2
    2. the first is started again, and is not given the step: the trial has failed, with the workers named
    """
    for name in ("one", "two", "three"):
        pool.start_worker(name)
    live = "SELECT count(*) FROM workers WHERE state = 'live'"
    until(lambda: pool.query(live) == [(3,)], "three workers")
    handle, order = submit(pool, "Poison"), pool.path / "order"
    # Each is killed when all before the step is saved: what another had to train again would be progress since.
    saved = "SELECT 1 FROM checkpoints WHERE step = 2 AND state = 'kept'"
    until(lambda: pool.query(saved), "a state before the step")
    granted = "SELECT fence FROM leases WHERE state = 'training' ORDER BY fence DESC LIMIT 1"
    for number in range(3):
        until(lambda number=number: pool.query(granted) == [(number + 1,)], "a lease")
        order.touch()
        until(lambda: not order.exists(), "a trainer that kills its worker")
    until(lambda: pool.query(live) == [(0,)], "the end of all three")
    pool.processes.pop("one").wait(60)
    pool.start_worker("one")
    handle.wait(progress=False, timeout=120)
    trial = handle.trial(0)
    assert trial.state == "failed"
    assert trial.reason.startswith(
        "quarantined: 3 workers died one after the other at step 2 (one, three, two)"
    )
    assert {failure for failure, _ in failures(pool)} == {"infrastructure"}
    assert pool.processes["one"].poll() is None
    for name in ("two", "three"):
        pool.processes.pop(name).wait(60)


def test_a_lack_of_device_memory_fails_the_trial_alone_and_names_the_batch_size(
    pool: Pool,
) -> None:
    pool.start_worker("one", 2)
    handle = submit(pool, "OutOfDeviceMemory", "16, 32")
    handle.wait(progress=False, timeout=120)
    small, large = handle.trials()
    assert small.state == "completed"
    assert large.state == "failed"
    assert "OutOfMemoryError: CUDA out of memory" in large.reason
    assert "It failed 2 times, the last time alone on its host. Its batch_size is 32 there" in large.reason
    assert failures(pool) == [("memory", 1), ("memory", 2)]
    assert handle.state == "completed"


@contextlib.contextmanager
def memory_group() -> Iterator[Path]:
    """A control group with little memory; the test is left out where none can be made."""
    group = MEMORY / f"hippo-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(LIMIT_BYTES))
    except OSError as error:
        pytest.skip(f"no memory group can be made here: {error}")
    try:
        yield group
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        until(lambda: not (group / "cgroup.procs").read_text(), "an empty group")
        group.rmdir()


def test_a_runner_that_the_kernel_kills_for_lack_of_memory(pool: Pool) -> None:
    """
    1. a worker lives in a group with 1.5 GiB; a trainer takes more: the kernel kills the runner, and not the daemon
    2. it is tried once more; then the trial fails with what the runner held, and the other trial completes
    """
    with memory_group() as group:
        pool.start_worker("one", 2, group=group)
        handle = submit(pool, "Hungry", "16, 32")
        handle.wait(progress=False, timeout=120)
        small, large = handle.trials()
        assert small.state == "completed"
        assert large.state == "failed"
        assert large.reason.startswith("Out of memory: the runner was killed by SIGKILL")
        assert "it held " in large.reason
        assert failures(pool) == [("memory", 1), ("memory", 2)]
        assert pool.processes["one"].poll() is None
        pool.end("one")
