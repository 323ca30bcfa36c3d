"""The leader sweeps the storage: what ended leases left goes, and what may yet be reported or loaded stays."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import httpx
import pytest

from hippo_core.engine import commands
from hippo_core.errors import Unavailable
from hippo_server import sweeping
from hippo_storage.errors import StorageError
from hippo_storage.local import LocalStorage
from hippo_storage.storage import CheckpointLocation, Storage, Swept
from hippo_wire.v1 import study_pb2
from tests.integration.server.conftest import RunningServer, submit, upload
from tests.integration.server.test_work import first_lease
from tests.integration.server.worker import Worker, working
from tests.waiting import until


def storage_of(server) -> Path:
    return Path(server.server.driver.storage_address)


def counted(server, name: str, outcome: str) -> float:
    registry = server.server.driver.metrics.registry
    return registry.get_sample_value(f"hippo_storage_{name}_total", {"outcome": outcome}) or 0.0


def age(path: Path) -> Path:
    """As if nobody had touched it for two hours."""
    then = time.time() - 7200.0
    for each in (path, *path.rglob("*")):
        os.utime(each, (then, then))
    return path


def published(root: Path, location: CheckpointLocation, spool: Path) -> commands.PublishedReport:
    """A whole checkpoint of one file, and its writer's report."""
    spool.mkdir()
    (spool / "state.msgpack").write_bytes(b"state")
    done = Storage.open(str(root)).publish(spool, location, {})
    return commands.PublishedReport(
        node=location.node,
        step=location.step,
        size_bytes=done.size_bytes,
        digest=done.digest,
        blocked_seconds=0.0,
        total_seconds=0.0,
    )


def cut_short(root: Path, location: CheckpointLocation) -> list[Path]:
    """What a writer leaves that dies before the manifest, and one that dies before the files have their place."""
    at = location
    made = [root / at.path, root / "temporary" / f"{at.plan}-{at.node}-{at.step}-{at.fence}-{'0' * 32}"]
    for folder in made:
        folder.mkdir(parents=True)
        (folder / "state.msgpack").write_bytes(b"half a sta")
    return made


def test_a_server_that_starts_sweeps_what_ended_leases_left_and_nothing_else(start_server, tmp_path):
    """
    1. a lease publishes and reports the state at step 1, leaves more that it never reported, and is released
    2. the lease that goes on from there has published step 2 and begun step 3, and the server goes down
    3. the next server sweeps: what the first lease left unreported is gone, whole or not
    4. the second lease goes on: its report names a state that is there, and so is the one that it started from
    """
    server = start_server()
    client = server.connect()
    upload(client)
    submit(client, space={"lr": [0.1]})
    root = storage_of(server)
    worker = Worker(server.connect(server.token("worker")))
    with working(worker) as stream:
        order = first_lease(worker, stream)
        node = order.stages[0].node

        def location(step: int, fence: int) -> CheckpointLocation:
            return CheckpointLocation(plan=order.plan, node=node, step=step, fence=fence)

        worker.report(
            order.fence,
            commands.StepsReport(node=node, start=0, stop=1, train_seconds=0.1, evaluate_seconds=0.0),
            published(root, location(1, order.fence), tmp_path / "first"),
            commands.ReleasedReport(reason="drained"),
        )
        second = first_lease(worker, stream)
        assert second.start == (node, 1, order.fence)
        server.stop()
        with pytest.raises(Unavailable):
            list(stream)
    rubbish = [*cut_short(root, location(3, order.fence)), root / location(2, order.fence).path]
    published(root, location(2, order.fence), tmp_path / "unreported")
    living = [
        root / location(1, order.fence).path,
        root / location(2, second.fence).path,
        *cut_short(root, location(3, second.fence)),
        *cut_short(root, location(3, second.fence + 1)),
    ]
    report = published(root, location(2, second.fence), tmp_path / "second")
    age(root)

    server = start_server()
    until(lambda: counted(server, "sweeps", "done"), "the sweep at the start")
    assert counted(server, "leftovers", "removed") == len(rubbish)
    assert [path for path in rubbish if path.exists()] == []
    assert [path for path in living if not path.exists()] == []

    worker.connection = server.connect(server.token("worker"))
    assert list(worker.register(second.fence).revoked) == []
    stream = worker.open()
    assert first_lease(worker, stream) == second
    steps = commands.StepsReport(node=node, start=1, stop=2, train_seconds=0.1, evaluate_seconds=0.0)
    worker.report(second.fence, steps, report)
    while not worker.settled():
        worker.note(next(stream))
    worker.close()
    for step in (1, 2):
        request = study_pb2.DownloadCheckpointRequest(name="study", trial=0, step=step)
        pieces = list(server.connect().studies.DownloadCheckpoint(request))
        assert pieces[-1].data == b"state"


def test_it_sweeps_again_and_again(start_server, monkeypatch):
    monkeypatch.setattr(sweeping, "SWEEP_SECONDS", 0.05)
    server = start_server()
    until(lambda: counted(server, "sweeps", "done"), "the first sweep")
    leftover = storage_of(server) / "temporary" / ("0" * 32)
    leftover.write_bytes(b"half a bundle")
    done = counted(server, "sweeps", "done")
    until(lambda: counted(server, "sweeps", "done") > done + 1, "another sweep")
    assert leftover.exists(), "it may be on its way"
    age(leftover)
    until(lambda: not leftover.exists(), "the removal of what is old")


def test_a_standby_sweeps_once_it_leads(start_server, database_url, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeping, "IDLE_SECONDS", 0.1)
    leader = start_server()
    until(lambda: counted(leader, "sweeps", "done"), "the leader's sweep")
    standby = RunningServer(tmp_path / "other", database_url, storage=leader.settings.storage)
    try:
        leftover = storage_of(leader) / "temporary" / ("0" * 32)
        leftover.write_bytes(b"half a bundle")
        age(leftover)
        assert standby.server.driver.standby is not None
        leader.stop()
        until(lambda: not leftover.exists(), "the sweep of the next leader")
        assert counted(standby, "sweeps", "failed") == 0.0
    finally:
        standby.stop()


@pytest.mark.parametrize("error", [StorageError("the disk is away"), RuntimeError("a plugin's own error")])
def test_a_sweep_that_fails_is_counted_and_costs_nothing_else(start_server, monkeypatch, error):
    def fail(self, needed, now):
        raise error

    monkeypatch.setattr(LocalStorage, "sweep", fail)
    server = start_server()
    until(lambda: counted(server, "sweeps", "failed"), "the sweep that fails")
    client = server.connect()
    upload(client)
    submit(client)
    assert not server.server.driver.duties.over.done()
    token = {"Authorization": f"Bearer {server.token('admin')}"}
    text = httpx.get(server.url + "/metrics", headers=token, timeout=60).text
    assert 'hippo_storage_sweeps_total{outcome="failed"} 1.0' in text


def test_leftovers_that_cannot_be_removed_are_counted(start_server, monkeypatch):
    swept = Swept(removed=3, failures=(StorageError("it stays"),) * 2)
    monkeypatch.setattr(LocalStorage, "sweep", lambda self, needed, now: swept)
    server = start_server()
    until(lambda: counted(server, "sweeps", "done"), "the sweep")
    assert (counted(server, "leftovers", "removed"), counted(server, "leftovers", "failed")) == (3.0, 2.0)


def test_a_long_sweep_keeps_nobody_waiting_and_ends_with_the_term(start_server, monkeypatch):
    """
    1. a sweep takes long: calls are answered and committed meanwhile
    2. the term ends: the sweep asks whether the next thing is needed, and is told to end
    """
    entered, go_on = threading.Event(), threading.Event()
    told: list[BaseException] = []

    def take_long(self, needed, now):
        if entered.is_set():
            return Swept(removed=0)
        entered.set()
        assert go_on.wait(60)
        try:
            needed(CheckpointLocation(plan=1, node=1, step=1, fence=1))
        except Unavailable as error:
            told.append(error)
            raise
        raise AssertionError("it went on beyond its term")

    monkeypatch.setattr(LocalStorage, "sweep", take_long)
    server = start_server()
    assert entered.wait(60)
    client = server.connect()
    upload(client)
    submit(client)
    driver = server.server.driver
    server.in_loop(lambda: driver._give_up(driver.current(), Unavailable("by the test")))
    go_on.set()
    until(lambda: counted(server, "sweeps", "failed"), "the end of the sweep")
    assert len(told) == 1
    assert client.studies.GetStudy(study_pb2.GetStudyRequest(name="study")).study.name == "study"
