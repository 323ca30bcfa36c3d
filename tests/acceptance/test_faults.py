"""Whatever is killed, and whenever: what is started again ends the study, with the bits of a run without faults.

Each of the first four tests kills one part several times while one study runs, at moments that are staged and not
aimed at: connections are held, commits wait, processes stand still until the moment has come. One slot trains, so that
what a fault costs can be counted to the step.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from hippo_client.handles.study import StudyHandle
from hippo_client.study_file import load
from hippo_core.errors import Unavailable
from hippo_core.study import StudySpec
from tests.acceptance.conftest import (
    COMMAND,
    STUDY_FOLDER,
    LocalHome,
    checkpoint_folders,
    environment,
    until,
)
from tests.acceptance.nemesis import Arena, Ledger, Rows, embedded_url, kill_process
from tests.acceptance.oracle import GRID, bare, digest, distinct_prefixes, study_file
from tests.processes import command_line

STEPS, EVERY = 12, 3
LONGER = [[*values, *[values[-1]] * (STEPS - len(values))] for values in GRID]
#: Steps at which a trainer stands while the gate is there: each is followed by a save, and no path begins there.
GATE_STEPS = [8, 11]

Seen = dict[tuple[int, int], dict[str, Any]]


@functools.cache
def alone() -> dict[str, dict[str, Any]]:
    """What each trial gives when a plain loop trains it, by its values."""
    return dict(zip(map(repr, LONGER), bare("Dropout", LONGER), strict=True))


def expect_as_alone(rows: Rows, handle: StudyHandle) -> None:
    """Every trial has the metrics, at every step, and the weights of a plain loop."""
    assert handle.state == "completed"
    # A study ends with its last metrics; the last states may still be on their way into the storage.
    until(lambda: not rows("SELECT 1 FROM leases WHERE ended_at IS NULL"), "the end of all saves")
    trials = handle.trials()
    spec = StudySpec.from_json(json.loads(handle.refresh().spec_json))
    sequences = [spec.sequence(spec.point(trial.number)) for trial in trials]
    taken = [repr([sequence.values(step) for step in range(STEPS)]) for sequence in sequences]
    assert sorted(taken) == sorted(alone())
    for trial, values in zip(trials, taken, strict=True):
        history = trial.history()
        assert [entry["step"] for entry in history] == list(range(1, STEPS + 1))
        assert [entry["metrics"] for entry in history] == alone()[values]["metrics"]
        checkpoint = trial.checkpoint()
        assert checkpoint.step == STEPS
        assert digest(checkpoint.load()["objects"]["model"]) == alone()[values]["weights"]


def read(handle: StudyHandle) -> Seen:
    """All that a client can read of metrics, once it is answered: on a busy machine a server that reads its state takes
    longer than a client waits."""
    answers: list[Seen] = []

    def answered() -> bool:
        with contextlib.suppress(Unavailable):
            trials = handle.trials()
            answers.append({(t.number, e["step"]): e["metrics"] for t in trials for e in t.history()})
        return bool(answers)

    until(answered, "an answer of the server")
    return answers[0]


def expect_clean(rows: Rows) -> None:
    """No fault was counted against a trial, no step gave other metrics, and none is recorded twice."""
    assert rows("SELECT count(*) FROM failures WHERE failure <> 'infrastructure'") == [(0,)]
    assert rows("SELECT count(*) FROM nodes WHERE not_reproducible IS NOT NULL") == [(0,)]
    states = "jsonb_array_elements(body::jsonb->'states') AS state"
    measured = f"SELECT body->>'node', state->>0 FROM journal, {states} WHERE event = 'MetricsRecorded'"
    twice = f"{measured} GROUP BY 1, 2"
    assert rows(f"{twice} HAVING count(*) > 1") == []


def expect_counted(rows: Rows, ledger: Ledger, savings: dict[str, Any]) -> None:
    """What was trained again is exactly what faults cost, and each cost no more than is promised."""
    losses = ledger.losses()
    for fence, (lost, meanwhile) in losses.items():
        assert lost <= EVERY + meanwhile, f"lease {fence} lost {lost} steps"
    trained = rows("SELECT sum(trained - start)::bigint FROM lease_stages")[0][0]
    assert savings["steps_trained"] == trained
    assert savings["steps_retrained"] == trained - distinct_prefixes(LONGER)
    assert savings["steps_retrained"] == sum(lost for lost, _ in losses.values())


def go_through(
    arena: Arena, handle: StudyHandle, points: list[Callable[[Arena], None]], ends_paths: bool
) -> None:
    """One fault after the other; after each, training goes on and what was read before is still there.

    Args:
        arena: What is attacked.
        handle: The study that runs.
        points: The faults.
        ends_paths: Whether a fault ends the path in training; the next fault is then another path's.
    """
    seen: Seen = {}
    for point in points:
        with arena.held():
            assert handle.state == "running", f"the study ended before {point.__name__}"
            seen |= read(handle)
            mark = arena.now()
        point(arena)
        fence = arena.rows("SELECT max(fence) FROM leases")[0][0] if ends_paths else 0
        arena.happens("StepsTrained", after=mark, where=f"(body->>'fence')::int > {fence}")
        with arena.held():
            now = read(handle)
        assert {key: now.get(key) for key in seen} == seen, point.__name__
    handle.wait(progress=False, timeout=120)
    expect_as_alone(arena.rows, handle)
    expect_clean(arena.rows)


def slow(gate: Path, steps: int = STEPS) -> str:
    """Arguments of a study whose steps take a moment and wait at a gate, and whose evaluations are told at once."""
    options = {
        "pause": 0.1,  # longer than a runner gathers what it tells: of a step that waits, all before it is told
        "gate": str(gate),
        "gate_steps": GATE_STEPS,
        "hold": str(gate.with_name("hold")),
    }
    never = "[hippo.endings.target(2.0)]"  # which looks at each evaluation
    return f"max_steps={steps}, checkpoint_every={EVERY}, endings={never}, options={options}"


def study(arena: Arena, name: str = "grid", steps: int = STEPS) -> Any:
    """The grid as a study whose steps take a moment."""
    file = arena.folder / f"{name}.py"
    file.write_text(study_file("Dropout", name, slow(arena.gate, steps)))
    return load(str(file))


def submit_through(arena: Arena, fault: Callable[[], None]) -> StudyHandle:
    """Submits while a fault happens; the client's own repetitions find the study that was made, or make it once."""
    client = arena.client()
    with ThreadPoolExecutor(1) as thread:
        submitted = thread.submit(client.submit, study(arena))
        fault()
        handle = submitted.result(60)
    assert handle.outcome == "created"
    assert arena.rows("SELECT count(*) FROM studies") == [(1,)]
    assert arena.rows("SELECT count(*) FROM journal WHERE event = 'StudySubmitted'") == [(1,)]
    return handle


@pytest.fixture
def arena(tmp_path: Path, empty_database_url: str) -> Iterator[Arena]:
    """A server on a given database, and no worker."""
    yield from _arena(tmp_path, empty_database_url)


@pytest.fixture
def embedded_arena(tmp_path: Path) -> Iterator[Arena]:
    """A server with a PostgreSQL of its own, and no worker."""
    yield from _arena(tmp_path, "")


def _arena(tmp_path: Path, database: str) -> Iterator[Arena]:
    folder = tmp_path / "work"
    shutil.copytree(STUDY_FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    made = Arena(tmp_path / "pool", database, folder)
    try:
        made.start_server()
        yield made
    finally:
        made.close()


# Moments that several targets are killed at: each waits until it has come, and leaves the system there.


def in_the_middle_of_a_path(arena: Arena) -> None:
    """Steps are committed of a path that is not about to end."""
    arena.happens("StepsTrained", where=f"(body->>'stop')::int < {STEPS - EVERY}")


def before_a_save(arena: Arena) -> int:
    """The next step is saved, and the path goes on to a later save should this one be missed; gives its fence."""
    step = "(body->>'stop')::int"
    where = f"{step} %% {EVERY} = {EVERY - 1} AND {step} < {STEPS - EVERY}"
    fence: int = arena.happens("StepsTrained", where=where)["fence"]
    return fence


def committed_and_not_answered(arena: Arena) -> None:
    """A report is committed; its acknowledgement does not leave the server's host."""
    in_the_middle_of_a_path(arena)
    with arena.commit_held():
        mark = arena.now()
        arena.to_workers.hold("replies")
    arena.happens("ReportAccepted", after=mark)


def whole_and_not_reported(arena: Arena) -> None:
    """A checkpoint has its manifest in the storage, and the report of it has not arrived."""
    arena.happens("CheckpointPublished")
    arena.to_workers.hold("requests")
    until(arena.ledger.unknown, "a manifest that the server does not know")


@contextlib.contextmanager
def between_saves(arena: Arena) -> Iterator[None]:
    """Inside, steps are committed that no save covers, and the trainer stands before the one that is saved next."""
    trained = "max(s.trained) FILTER (WHERE s.trained > s.start)"
    stands = (
        "SELECT 1 FROM leases l JOIN lease_stages s USING (fence) WHERE l.ended_at IS NULL "
        f"GROUP BY fence HAVING {trained} = ANY(%s)"
    )
    reached = arena.gate.with_suffix(".reached")
    arena.gate.touch()
    until(lambda: reached.exists() and arena.rows(stands, GATE_STEPS), "a trainer at the gate")
    try:
        yield
    finally:
        arena.gate.unlink()
        reached.unlink()


def granted_and_not_told(arena: Arena) -> None:
    """A path has ended and the next is granted, of which the worker hears nothing.

    That takes a path that is not granted yet, though it may be asked for ahead: the first fault of a study finds many.
    """
    marks: list[int] = []

    def held_before_the_next_is_granted() -> bool:
        fence = arena.happens("StepsTrained", where=f"(body->>'stop')::int < {STEPS - EVERY}")["fence"]
        with arena.held():
            marks.append(arena.now())
            if arena.rows("SELECT max(fence) FROM leases WHERE ended_at IS NULL") != [(fence,)]:
                return False
            arena.to_workers.hold("replies")
            return True

    until(held_before_the_next_is_granted, "a path whose next is not granted yet")
    arena.happens("LeaseGranted", after=marks[-1])


# The server.


def server_between_decision_and_commit(arena: Arena) -> None:
    in_the_middle_of_a_path(arena)
    with arena.commit_held():
        arena.kill("server")
    arena.start_server()


def server_between_commit_and_reply(arena: Arena) -> None:
    committed_and_not_answered(arena)
    arena.kill("server")
    arena.start_server()


def server_between_manifest_and_commit(arena: Arena) -> None:
    whole_and_not_reported(arena)
    arena.kill("server")
    arena.start_server()


def server_after_a_save(arena: Arena) -> None:
    arena.happens("CheckpointPublished")
    arena.kill("server")
    arena.start_server()


def server_between_saves(arena: Arena) -> None:
    with between_saves(arena):
        arena.kill("server")
    arena.start_server()


def server_between_grant_and_reply(arena: Arena) -> None:
    granted_and_not_told(arena)
    arena.kill("server")
    arena.start_server()


def server_during_its_restart(arena: Arena) -> None:
    with between_saves(arena):
        arena.kill("server")
    (term,) = arena.rows("SELECT term FROM leader")[0]
    arena.launch_server()
    until(lambda: arena.rows("SELECT term FROM leader")[0][0] > term, "a new term")
    arena.kill("server")
    arena.start_server()


def test_a_killed_server(arena: Arena) -> None:
    """Nothing is trained again: the worker trains on meanwhile."""
    arena.start_worker("one")
    arena.happens("WorkerRegistered", after=0)

    def after_commit_of_a_study() -> None:
        with arena.commit_held():
            # The client is not told that there is a study, the worker not that it was granted a path.
            arena.to_clients.hold("replies")
            arena.to_workers.hold("replies")
        arena.happens("LeaseGranted", after=0)
        arena.kill("server")
        arena.start_server()

    handle = submit_through(arena, after_commit_of_a_study)
    go_through(
        arena,
        handle,
        [
            server_between_grant_and_reply,
            server_between_decision_and_commit,
            server_between_commit_and_reply,
            server_between_manifest_and_commit,
            server_after_a_save,
            server_between_saves,
            server_during_its_restart,
        ],
        ends_paths=False,
    )
    expect_counted(arena.rows, arena.ledger, handle.savings())
    assert handle.savings()["steps_retrained"] == 0


# The worker.


def worker_between_saves(arena: Arena) -> None:
    with between_saves(arena):
        arena.kill("one")
    arena.start_worker("one")


def worker_between_state_and_publishing(arena: Arena) -> None:
    """The runner has written a state; its daemon stands still before it hears of that."""
    fence = before_a_save(arena)
    arena.stop("one")
    until(lambda: arena.ledger.written(fence), "a written state")
    arena.kill("one")
    arena.start_worker("one")


def worker_between_manifest_and_commit(arena: Arena) -> None:
    whole_and_not_reported(arena)
    arena.kill("one")
    arena.start_worker("one")


def worker_after_a_save(arena: Arena) -> None:
    arena.happens("CheckpointPublished")
    arena.kill("one")
    arena.start_worker("one")


def worker_between_decision_and_commit(arena: Arena) -> None:
    in_the_middle_of_a_path(arena)
    with arena.commit_held():
        arena.kill("one")
    arena.start_worker("one")


def worker_between_commit_and_reply(arena: Arena) -> None:
    committed_and_not_answered(arena)
    arena.kill("one")
    arena.start_worker("one")


def worker_between_grant_and_reply(arena: Arena) -> None:
    granted_and_not_told(arena)
    arena.kill("one")
    arena.start_worker("one")


def test_a_killed_worker(arena: Arena) -> None:
    """What was committed beyond the last checkpoint is trained again, and not more."""
    handle = arena.client().submit(study(arena))
    arena.start_worker("one")
    go_through(
        arena,
        handle,
        [
            worker_between_grant_and_reply,
            worker_between_saves,
            worker_between_state_and_publishing,
            worker_between_manifest_and_commit,
            worker_after_a_save,
            worker_between_decision_and_commit,
            worker_between_commit_and_reply,
        ],
        ends_paths=True,
    )
    expect_counted(arena.rows, arena.ledger, handle.savings())
    assert handle.savings()["steps_retrained"] > 0


# A runner.


def runner_between_saves(arena: Arena) -> None:
    with between_saves(arena):
        arena.kill_runner()


def runner_between_state_and_publishing(arena: Arena) -> None:
    fence = before_a_save(arena)
    arena.stop("one")
    until(lambda: arena.ledger.written(fence), "a written state")
    arena.kill_runner()
    arena.go_on("one")


def runner_between_manifest_and_commit(arena: Arena) -> None:
    whole_and_not_reported(arena)
    arena.kill_runner()
    arena.to_workers.release()


def runner_after_a_save(arena: Arena) -> None:
    arena.happens("CheckpointPublished")
    arena.kill_runner()


def runner_between_decision_and_commit(arena: Arena) -> None:
    in_the_middle_of_a_path(arena)
    with arena.commit_held():
        arena.kill_runner()


def runner_between_commit_and_reply(arena: Arena) -> None:
    committed_and_not_answered(arena)
    arena.kill_runner()
    arena.to_workers.release()


def runner_before_it_is_told(arena: Arena) -> None:
    granted_and_not_told(arena)
    arena.kill_runner()
    arena.to_workers.release()


def test_a_killed_runner(arena: Arena) -> None:
    """The daemon notices by itself, says which signal it was, and goes on with another runner."""
    handle = arena.client().submit(study(arena))
    arena.start_worker("one")
    incarnation = until(lambda: arena.rows("SELECT incarnation FROM workers"), "the worker")
    go_through(
        arena,
        handle,
        [
            runner_before_it_is_told,
            runner_between_saves,
            runner_between_state_and_publishing,
            runner_between_manifest_and_commit,
            runner_after_a_save,
            runner_between_decision_and_commit,
            runner_between_commit_and_reply,
        ],
        ends_paths=True,
    )
    expect_counted(arena.rows, arena.ledger, handle.savings())
    assert arena.rows("SELECT incarnation FROM workers") == incarnation
    said = arena.rows("SELECT DISTINCT reason FROM leases WHERE state = 'failed'")
    assert said == [("The runner was killed by SIGKILL.",)]


# PostgreSQL.


def postgres_between_decision_and_commit(arena: Arena) -> None:
    in_the_middle_of_a_path(arena)
    with arena.commit_held():
        kill_process(arena.postmaster())


def postgres_between_commit_and_reply(arena: Arena) -> None:
    committed_and_not_answered(arena)
    kill_process(arena.postmaster())
    arena.to_workers.release()


def postgres_between_manifest_and_commit(arena: Arena) -> None:
    whole_and_not_reported(arena)
    kill_process(arena.postmaster())
    arena.to_workers.release()


def postgres_between_saves(arena: Arena) -> None:
    with between_saves(arena):
        kill_process(arena.postmaster())


def postgres_between_grant_and_reply(arena: Arena) -> None:
    granted_and_not_told(arena)
    kill_process(arena.postmaster())
    arena.to_workers.release()


def postgres_backend_in_a_transaction(arena: Arena) -> None:
    """One process of PostgreSQL dies: it throws all others out, and recovers by itself."""
    in_the_middle_of_a_path(arena)
    with arena.commit_held() as backend:
        kill_process(backend)


def postgres_during_its_restart(arena: Arena) -> None:
    first = arena.postmaster()
    with between_saves(arena):
        kill_process(first)
    until(lambda: (arena.path / "postgres/data/postmaster.pid").exists(), "a postmaster's file")
    until(lambda: _other_postmaster(arena, first), "another postmaster")
    kill_process(arena.postmaster())


def _other_postmaster(arena: Arena, first: int) -> bool:
    try:
        return arena.postmaster() != first
    except (FileNotFoundError, ValueError):
        return False


def test_a_killed_postgres(embedded_arena: Arena) -> None:
    """The server starts it again, and is itself still the same process; nothing is trained again."""
    arena = embedded_arena
    server = arena.processes["server"].pid

    def in_the_transaction_of_a_study() -> None:
        with arena.commit_held():
            kill_process(arena.postmaster())

    handle = submit_through(arena, in_the_transaction_of_a_study)
    arena.start_worker("one")
    go_through(
        arena,
        handle,
        [
            postgres_between_grant_and_reply,
            postgres_between_decision_and_commit,
            postgres_between_commit_and_reply,
            postgres_between_manifest_and_commit,
            postgres_between_saves,
            postgres_backend_in_a_transaction,
            postgres_during_its_restart,
        ],
        ends_paths=False,
    )
    expect_counted(arena.rows, arena.ledger, handle.savings())
    assert handle.savings()["steps_retrained"] == 0
    assert arena.processes["server"].poll() is None
    assert arena.processes["server"].pid == server


# Other faults of a worker.


def test_a_terminated_worker_loses_nothing(arena: Arena) -> None:
    handle = arena.client().submit(study(arena))
    arena.start_worker("one")
    with between_saves(arena):
        arena.processes["one"].send_signal(signal.SIGTERM)
        until(lambda: arena.rows("SELECT 1 FROM workers WHERE state = 'draining'"), "a draining worker")
    assert arena.processes["one"].wait(60) == 0
    assert arena.rows("SELECT state FROM workers") == [("gone",)]
    assert {state for (state,) in arena.rows("SELECT state FROM leases")} <= {"completed", "released"}
    arena.start_worker("one")
    handle.wait(progress=False, timeout=120)
    expect_as_alone(arena.rows, handle)
    expect_clean(arena.rows)
    expect_counted(arena.rows, arena.ledger, handle.savings())
    assert handle.savings()["steps_retrained"] == 0


def test_a_worker_that_sleeps_past_its_lease_changes_nothing_when_it_wakes(arena: Arena) -> None:
    """1. A daemon stands still, its runner trains on. 2. Its lease is orphaned; another worker takes its work. 3. It
    wakes, with steps, metrics and a state to tell of. 4. Nothing on behalf of the old lease is taken in."""
    handle = arena.client().submit(study(arena))
    arena.start_worker("one")
    fence = arena.happens("StepsTrained", where=f"(body->>'stop')::int < {STEPS - EVERY}")["fence"]
    mark = arena.now()
    arena.stop("one")
    arena.happens("LeaseStateChanged", after=mark, where=f"(body->>'fence')::int = {fence}")
    arena.ledger.note_saves()
    state = "SELECT state FROM leases WHERE fence = %s"
    assert arena.rows(state, fence) == [("orphaned",)]
    assert arena.ledger.written(fence), "the runner has saved meanwhile"
    arena.start_worker("two")
    until(lambda: arena.rows(state, fence) == [("expired",)], "another slot that takes its work")
    arena.happens("StepsTrained", where=f"(body->>'fence')::int > {fence}")
    mark = arena.now()
    arena.go_on("one")
    # By a heartbeat, or by registering again where the connection broke meanwhile.
    until(lambda: arena.rows("SELECT name FROM workers WHERE name = 'one' AND state = 'live'"), "one is back")
    handle.wait(progress=False, timeout=120)
    said = "SELECT event FROM journal WHERE id > %s AND (body->>'fence')::int = %s AND event <> 'CheckpointDropped'"
    assert arena.rows(said, mark, fence) == []
    expect_as_alone(arena.rows, handle)
    expect_clean(arena.rows)
    expect_counted(arena.rows, arena.ledger, handle.savings())


# A disk that lies.


def folder_of(arena: Arena, node: int, step: int, fence: int) -> Path:
    """Where a checkpoint lies."""
    place = (str(node), str(step), str(fence))
    (folder,) = (each for each in checkpoint_folders(arena.path / "storage") if each.parts[-3:] == place)
    return folder


def test_a_flipped_bit_is_found_before_it_is_loaded(arena: Arena) -> None:
    """1. A study ends at step 6. 2. One bit of one of its last states flips. 3. A longer study goes on from there:
    the state is known as lost, and training goes on from the nearest good one before it."""
    arena.start_worker("one")
    arena.client().submit(study(arena, "short", steps=6)).wait(progress=False, timeout=120)
    arena.end("one")
    kept = arena.rows(
        "SELECT node, step, fence FROM checkpoints WHERE state = 'kept' AND step = 6 ORDER BY 1"
    )
    node, step, fence = kept[0]
    file = folder_of(arena, node, step, fence) / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)

    handle = arena.client().submit(study(arena))
    arena.start_worker("one")
    handle.wait(progress=False, timeout=120)
    (lost,) = arena.rows("SELECT body FROM journal WHERE event = 'CheckpointLost'")
    assert (lost[0]["node"], lost[0]["step"], lost[0]["fence"]) == (node, step, fence)
    assert lost[0]["reason"].startswith("corrupt: ")
    loaded = "SELECT count(*) FROM leases JOIN lease_stages USING (fence) WHERE start_fence = %s AND start_node = %s"
    assert arena.rows(f"{loaded} AND start_step = %s AND trained > start", fence, node, step) == [(0,)]
    # One path goes through the steps before the lost state again, from the nearest state that is kept.
    again = arena.rows(
        "SELECT 6 - min(s.start) FROM lease_stages s JOIN leases l USING (fence) JOIN studies t ON t.id = l.study "
        "WHERE t.name = 'grid' AND s.start < 6 AND s.trained > s.start"
    )[0][0]
    assert 0 < again < 6
    assert handle.savings()["steps_retrained"] == again
    expect_as_alone(arena.rows, handle)
    expect_clean(arena.rows)


# ``hippo run``.


@dataclass
class LocalRun:
    """``hippo run`` on a home, until it has trained a while."""

    local: LocalHome
    process: subprocess.Popen[bytes]
    rows: Rows
    ledger: Ledger

    def again(self) -> None:
        """``hippo run`` once more: it ends the study."""
        result = self.local.json("run", "grid.py", "--slots", "1")
        assert result["trials"]["completed"] == len(LONGER)
        with self.local.client() as client:
            expect_as_alone(self.rows, client.study("grid"))
            expect_clean(self.rows)
            expect_counted(self.rows, self.ledger, result["savings"])


@pytest.fixture
def local_run(local: LocalHome) -> Iterator[LocalRun]:
    """A run in the middle of its study."""
    local.write("grid.py", study_file("Dropout", "grid", slow(local.path / "gate")))
    with subprocess.Popen(
        [*COMMAND, "run", "grid.py", "--slots", "1"],
        cwd=local.folder,
        env=environment(HIPPO_HOME=str(local.path)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            until((local.path / "server" / "server.json").exists, "a ready server")
            rows = Rows(lambda: embedded_url(local.path))
            saved = "SELECT 1 FROM journal WHERE event = 'CheckpointPublished'"
            until(lambda: rows(saved), "a save")
            yield LocalRun(
                local, process, rows, Ledger(rows, local.path / "storage", local.path / "worker" / "spool")
            )
            rows.close()
        finally:
            process.kill()


def test_run_again_after_the_command_was_killed(local_run: LocalRun) -> None:
    """The supervisor waits and trains on, or, where the next command is long in coming, has saved: nothing is lost."""
    local_run.process.kill()
    local_run.process.wait()
    local_run.again()
    assert set(local_run.ledger.losses().values()) <= {(0, 0)}


def test_run_again_after_the_supervisor_was_killed(local_run: LocalRun) -> None:
    """Server and worker die with it; another supervisor starts others."""
    home = str(local_run.local.path)
    (supervisor,) = [
        each
        for each in psutil.process_iter()
        if "hippo_client.local.supervisor" in (line := command_line(each)) and home in line
    ]
    family = supervisor.children(recursive=True)
    kill_process(supervisor.pid)
    psutil.wait_procs(family, timeout=60)
    local_run.ledger.note_saves()
    local_run.process.kill()
    local_run.again()
