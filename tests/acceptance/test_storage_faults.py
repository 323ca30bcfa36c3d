"""Studies on an object store that is cut off and hangs, and on one that has lost what it was given to keep."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hippo_client.handles.study import StudyHandle
from tests.acceptance.conftest import STUDY_FOLDER, until
from tests.acceptance.nemesis import Arena, Proxy
from tests.acceptance.test_faults import EVERY, between_saves, expect_as_alone, expect_clean, folder_of, study
from tests.s3 import S3Server, s3_server

WITHOUT_CACHE = ("--cache", "0")  # every start is fetched from the storage


def make_arena(tmp_path: Path, database: str, storage: str = "") -> Arena:
    folder = tmp_path / "work"
    shutil.copytree(STUDY_FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return Arena(tmp_path / "pool", database, folder, storage=storage)


@pytest.fixture
def arena(tmp_path: Path, empty_database_url: str) -> Iterator[Arena]:
    """A server on a given database with a folder for its storage, and no worker."""
    made = make_arena(tmp_path, empty_database_url)
    try:
        made.start_server()
        yield made
    finally:
        made.close()


@pytest.fixture
def own_s3(tmp_path: Path) -> Iterator[S3Server]:
    """An S3 server that the test may hold up."""
    with s3_server(tmp_path) as server:
        yield server


@pytest.mark.soak
def test_a_study_on_s3_through_a_storage_that_is_cut_off_and_hangs(
    tmp_path: Path, empty_database_url: str, own_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. Server and worker have the store's address and credentials, runners and clients have not. 2. The worker is
    cut off from the store, and not from the server: it trains on, the study says what blocks it, and the worker is
    granted nothing more until the saves get through. 3. The store hangs: the same, its leases stand. 4. Started again
    while it is cut off, or while the store hangs, it cannot load what it is to start from: the study says so, and it is
    granted nothing more until the store answers. 5. All is as trained alone, nothing was trained again, and each time
    one path failed at most, which could not be loaded."""
    to_s3 = Proxy(lambda: own_s3.address.removeprefix("http://"))
    arena = make_arena(tmp_path, empty_database_url, f"s3://{own_s3.new_bucket()}/hippo")
    try:
        for name, value in own_s3.variables.items():
            monkeypatch.setenv(name, value)
        arena.start_server()
        for name in own_s3.variables:
            monkeypatch.delenv(name)

        def start_worker() -> None:
            with monkeypatch.context() as its:
                for name, value in {
                    **own_s3.variables,
                    "AWS_ENDPOINT_URL": f"http://{to_s3.address}",
                }.items():
                    its.setenv(name, value)
                arena.start_worker("one", 1, *WITHOUT_CACHE)

        start_worker()
        handle = arena.client().submit(study(arena))
        arena.happens("CheckpointPublished", after=0)
        assert not [name for name in psutil.Process(arena.runner()).environ() if name.startswith("AWS_")]

        with between_saves(arena):  # with nothing to load, so that saves alone meet the cut
            to_s3.refuse()
            mark = arena.now()
        blocked = arena.happens("LeaseBlocked", after=mark)
        assert handle.refresh().reason.startswith(
            "blocked: storage: worker one: The storage failed: writing "
        )
        expect_trained_on(arena, blocked["fence"])
        to_s3.accept()
        arena.happens("LeaseBlocked", after=mark, where=f"body->>'reason' = '' AND {of(blocked)}")

        with between_saves(arena):
            mark = arena.now()
            own_s3.stop()
        blocked = arena.happens("LeaseBlocked", after=mark, where="body->>'reason' <> ''")
        assert "The storage does not answer: publishing step " in blocked["reason"]
        expect_trained_on(arena, blocked["fence"])
        own_s3.go_on()
        arena.happens("LeaseBlocked", after=mark, where=f"body->>'reason' = '' AND {of(blocked)}")

        for cut, mend, words in (
            (to_s3.refuse, to_s3.accept, "The storage failed: reading "),
            (own_s3.stop, own_s3.go_on, "The storage does not answer: loading step "),
        ):
            with between_saves(arena):
                pass  # in the midst of a path
            assert arena.end("one") == 0
            mark = arena.now()
            cut()
            start_worker()
            expect_not_loaded(arena, handle, mark, words)
            mend()
            arena.happens("WorkerBlocked", after=mark, where="body->>'reason' = ''")

        handle.wait(progress=False, timeout=120)
        expect_as_alone(arena.rows, handle)
        expect_clean(arena.rows)
        assert handle.savings()["steps_retrained"] == 0
        # At most one each time: a path may be granted before a save has waited for long enough to be told of.
        ((failed, unread),) = arena.rows(
            "SELECT count(*) FILTER (WHERE event = 'PathFailed'), count(*) FILTER "
            "(WHERE event = 'WorkerBlocked' AND body->>'reason' <> '') FROM journal"
        )
        assert 2 <= failed == unread <= 4
    finally:
        to_s3.accept()
        own_s3.go_on()
        arena.close()
        to_s3.close()


@pytest.mark.soak
def test_a_worker_drains_while_its_storage_hangs(
    tmp_path: Path, empty_database_url: str, own_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. The store hangs: a save of a path is under way, and the start of the next one. 2. The worker is told to end:
    it gives both back and leaves in peace. 3. Another one trains what was not saved, and nothing counts as failed."""
    arena = make_arena(tmp_path, empty_database_url, f"s3://{own_s3.new_bucket()}/hippo")
    try:
        for name, value in own_s3.variables.items():
            monkeypatch.setenv(name, value)
        arena.start_server()
        arena.start_worker("one", 1, *WITHOUT_CACHE)
        handle = arena.client().submit(study(arena))
        arena.happens("CheckpointPublished", after=0)
        own_s3.stop()
        arena.happens("LeaseBlocked", after=0)
        assert arena.end("one") == 0
        own_s3.go_on()
        arena.start_worker("two", 2)
        handle.wait(progress=False, timeout=120)
        expect_as_alone(arena.rows, handle)
        expect_clean(arena.rows)
    finally:
        own_s3.go_on()
        arena.close()


def expect_not_loaded(arena: Arena, handle: StudyHandle, mark: int, words: str) -> None:
    """What a path is to start from cannot be loaded: all that people look at says so, and nothing else is granted."""
    blocked = arena.happens("WorkerBlocked", after=mark)
    assert blocked["reason"].startswith(words)
    reason = f"blocked: storage: worker one: {blocked['reason']}"
    assert until(lambda: handle.refresh().reason, "a reason") == reason
    failed = arena.happens("PathFailed", after=mark)
    assert failed["failure"] == "infrastructure"
    granted = "SELECT count(*) FROM journal WHERE id > %s AND event = 'LeaseGranted'"
    assert arena.rows(granted, mark) == [(1,)]
    assert handle.refresh().reason == reason


def of(blocked: dict[str, Any]) -> str:
    return f"(body->>'fence')::int = {blocked['fence']}"


def expect_trained_on(arena: Arena, fence: int) -> None:
    """The path is trained to its end, and its worker is granted no other."""
    ((mark,),) = arena.rows(
        "SELECT max(id) FROM journal WHERE event = 'LeaseBlocked' AND (body->>'fence')::int = %s", fence
    )
    saving = "SELECT 1 FROM leases WHERE fence = %s AND state = 'saving'"
    until(lambda: arena.rows(saving, fence), "the end of the path, but for its saves")
    assert arena.rows("SELECT 1 FROM journal WHERE id > %s AND event = 'LeaseGranted'", mark) == []


def test_a_worker_that_does_not_see_the_shared_folder_takes_nothing_for_missing(arena: Arena) -> None:
    """1. A worker ends in the midst of a study, and is started where the folder is not mounted: it says so, and is
    granted nothing more. 2. The folder is there: it goes on from the checkpoints, and trains nothing again."""
    arena.start_worker("one", 1, *WITHOUT_CACHE)
    handle = arena.client().submit(study(arena))
    arena.happens("CheckpointPublished", after=0)
    assert arena.end("one") == 0
    mark, storage = arena.now(), arena.path / "storage"
    storage.rename(arena.path / "unmounted")
    arena.start_worker("one", 1, *WITHOUT_CACHE)
    expect_not_loaded(arena, handle, mark, "The storage's folder ")
    assert not storage.exists()
    (arena.path / "unmounted").rename(storage)
    arena.happens("WorkerBlocked", after=mark, where="body->>'reason' = ''")
    handle.wait(progress=False, timeout=120)
    expect_as_alone(arena.rows, handle)
    expect_clean(arena.rows)
    assert handle.savings()["steps_retrained"] == 0
    assert arena.rows("SELECT count(*) FROM leases WHERE state = 'failed'") == [(1,)]
    assert arena.rows("SELECT count(*) FROM journal WHERE event = 'CheckpointLost'") == [(0,)]


def test_checkpoints_that_are_gone_or_cut_are_found_before_they_are_loaded(arena: Arena) -> None:
    """1. A study ends at step 6, and a longer one is submitted. 2. Of two states that several of its paths start from,
    one is deleted by hand and one loses the end of a file. 3. Each is known as lost once, all that waited for it start
    from the nearest good one before it, and one path trains the gap."""
    arena.start_worker("one", 2)
    arena.client().submit(study(arena, "short", steps=6)).wait(progress=False, timeout=120)
    arena.end("one")
    handle = arena.client().submit(study(arena))
    forks = arena.rows(
        """
        SELECT c.node, c.step, c.fence FROM checkpoints c JOIN nodes child ON child.parent = c.node
        WHERE c.state = 'kept' AND c.step = 6 AND child.start = 6 ORDER BY 1
        """
    )
    deleted, cut = forks[0], forks[-1]
    assert deleted[0] != cut[0]
    shutil.rmtree(folder_of(arena, *deleted))
    file = folder_of(arena, *cut) / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-100])

    arena.start_worker("one", 2, *WITHOUT_CACHE)
    handle.wait(progress=False, timeout=120)
    expect_as_alone(arena.rows, handle)
    expect_clean(arena.rows)
    lost = {
        (body["node"], body["step"], body["fence"]): body["reason"]
        for (body,) in arena.rows("SELECT body FROM journal WHERE event = 'CheckpointLost'")
    }
    assert lost.keys() == {deleted, cut}
    assert lost[deleted].startswith("missing: ")
    assert lost[cut].startswith("corrupt: ")
    assert "tensors.safetensors: it has " in lost[cut]
    for node, step, fence in lost:
        loaded = (
            "SELECT count(*) FROM leases JOIN lease_stages USING (fence) "
            "WHERE (start_node, start_step, start_fence) = (%s, %s, %s) AND trained > start AND granted > %s"
        )
        ((submitted,),) = arena.rows("SELECT max(id) FROM journal WHERE event = 'StudySubmitted'")
        assert arena.rows(loaded, node, step, fence, submitted) == [(0,)]
    told = [each.reason for trial in handle.trials() for each in trial.explain() if "lost" in each.event]
    assert any(reason.startswith("missing: ") for reason in told)
    assert any(reason.startswith("corrupt: ") for reason in told)
    assert 0 < handle.savings()["steps_retrained"] <= 2 * EVERY
