"""What becomes of states when the storage works, fails, is full, or comes back."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from hippo_core.engine.commands import PublishedReport, SaveBlockedReport, SaveFailedReport, TrainedReport
from hippo_storage.errors import StorageError, StorageFull
from hippo_storage.local import LocalStorage
from hippo_storage.manifest import CheckpointLocation, FileEntry
from hippo_storage.storage import NOTHING_KNOWN, Published, Spooled, Storage
from hippo_worker.checkpoints import CheckpointCache
from hippo_worker.lease import Lease
from hippo_worker.publishing import Patience, Publisher
from hippo_worker.runner.messages import Stop, Written
from tests.unit.worker.orders import make_lease, said
from tests.waiting import until_in_loop

IMPATIENT = Patience(first_seconds=0.001, longest_seconds=0.01, silent_seconds=0.0, given_up_seconds=0.0)
TALKATIVE = Patience(first_seconds=0.001, longest_seconds=0.01, silent_seconds=0.0)
QUICK = Patience(first_seconds=0.001, longest_seconds=0.01, silent_seconds=0.0, slow_seconds=0.0)


class FailingStorage(LocalStorage):
    """Fails as often as it is told to, and hangs while it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.failures: list[Exception] = []
        self.published: list[tuple[int, int]] = []
        self.told: list[Mapping[str, FileEntry]] = []
        self.answers = threading.Event()
        self.answers.set()
        self.entered: list[threading.Thread] = []

    def publish(
        self,
        folder: Path,
        location: CheckpointLocation,
        about: Mapping[str, Any],
        *,
        files: Mapping[str, FileEntry] = NOTHING_KNOWN,
        keep: bool = False,
    ) -> Published:
        self.entered.append(threading.current_thread())
        self.answers.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.published.append((location.node, location.step))
        self.told.append(files)
        return super().publish(folder, location, about, files=files, keep=keep)

    def publish_all(self, states: Sequence[Spooled], *, keep: bool = False) -> list[Published | Exception]:
        return Storage.publish_all(self, states, keep=keep)  # one after the other


@pytest.fixture
def storage(tmp_path: Path) -> FailingStorage:
    return FailingStorage(tmp_path / "storage")


@pytest.fixture
def cache(tmp_path: Path) -> CheckpointCache:
    return CheckpointCache(tmp_path / "cache", 1 << 20)


@pytest.fixture
async def make_publisher(cache: CheckpointCache) -> AsyncIterator[Callable[[Patience], Publisher]]:
    made: list[Publisher] = []

    def make(patience: Patience) -> Publisher:
        made.append(Publisher(cache, patience))
        return made[-1]

    yield make
    for publisher in made:
        await publisher.close()


def write(tmp_path: Path, node: int, step: int) -> Written:
    folder = tmp_path / "spool" / f"{node}-{step}"
    folder.mkdir(parents=True)
    content = b"state %d" % step
    folder.joinpath("state").write_bytes(content)
    files = {"state": [len(content), blake3(content).hexdigest()]}
    return Written(fence=7, node=node, step=step, folder=str(folder), files=files, blocked_seconds=0.25)


def saves(lease: Lease) -> list[tuple[str, int]]:
    return [
        (type(item).__name__, item.step)
        for item in said(lease)
        if isinstance(item, PublishedReport | SaveFailedReport)
    ]


async def test_states_become_durable_in_order_and_stay_in_the_cache(
    storage: FailingStorage, cache: CheckpointCache, make_publisher: Any, tmp_path: Path
) -> None:
    lease, publisher = make_lease(), make_publisher(Patience())
    for node, step in ((1, 3), (2, 5)):
        publisher.publish(storage, lease, write(tmp_path, node, step))
    await lease.until_settled()
    items = said(lease)
    assert [(item.node, item.step) for item in items] == [(1, 3), (2, 5)]
    assert items[0].size_bytes == len(b"state 3")
    assert items[0].total_seconds > items[0].blocked_seconds == 0.25
    storage.fetch(CheckpointLocation(plan=1, node=2, step=5, fence=7), tmp_path / "fetched")
    assert [list(files) for files in storage.told] == [["state"], ["state"]], "nobody hashes them again"
    assert cache.size_bytes == 2 * len(b"state 3")
    assert not list((tmp_path / "spool").iterdir())


async def test_a_short_failure_is_waited_out_in_silence(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path
) -> None:
    lease = make_lease()
    publisher = make_publisher(Patience(first_seconds=0.001, silent_seconds=60.0))
    storage.failures = [StorageError("gone"), StorageFull("full")]
    publisher.publish(storage, lease, write(tmp_path, 2, 5))
    await lease.until_settled()
    assert saves(lease) == [("PublishedReport", 5)]


async def test_a_full_storage_is_told_in_its_words_and_the_save_still_comes_while_the_path_trains(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path
) -> None:
    lease, publisher = make_lease(), make_publisher(IMPATIENT)
    storage.failures = [StorageFull("The storage is full: /x.", "Free space.")] * 3
    publisher.publish(storage, lease, write(tmp_path, 1, 3))
    publisher.publish(storage, lease, write(tmp_path, 2, 5))
    await publisher.idle()
    items = said(lease)
    words = "The storage is full: /x. Free space."
    assert items[:2] == [
        SaveBlockedReport(node=1, step=3, reason=words),
        SaveFailedReport(node=1, step=3, reason=words, full=True),
    ]
    assert [type(item) for item in items[2:]] == [SaveBlockedReport, SaveFailedReport, PublishedReport]
    assert storage.published == [(2, 5)], "the earlier state gave way to the later one"


async def test_the_cache_gives_way_to_what_is_to_be_saved_before_the_storage_is_called_full(
    storage: FailingStorage, cache: CheckpointCache, make_publisher: Any, tmp_path: Path
) -> None:
    lease, publisher = make_lease(), make_publisher(IMPATIENT)
    publisher.publish(storage, lease, write(tmp_path, 1, 3))
    await publisher.idle()
    storage.failures = [StorageFull("full")]
    publisher.publish(storage, lease, write(tmp_path, 2, 5))
    await lease.until_settled()
    assert saves(lease) == [("PublishedReport", 3), ("PublishedReport", 5)]
    assert cache.size_bytes == len(b"state 5"), "only what was saved since"


async def test_a_lease_whose_saves_all_failed_is_settled_and_tried_no_more(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path
) -> None:
    lease, publisher = make_lease(save_points=()), make_publisher(IMPATIENT)
    storage.failures = [StorageFull("full")] * 1000
    publisher.publish(storage, lease, write(tmp_path, 2, 5))
    lease.say_end(TrainedReport())
    await lease.until_settled()
    await publisher.idle()
    assert saves(lease) == [("SaveFailedReport", 5)]
    assert len(storage.failures) > 900
    assert storage.published == []


async def test_what_trying_again_cannot_help_is_told_at_once(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path
) -> None:
    lease, publisher = make_lease(), make_publisher(Patience())
    error = StorageError("another checkpoint lies there")
    error.retryable = False
    storage.failures = [error]
    publisher.publish(storage, lease, write(tmp_path, 2, 5))
    await lease.until_settled()
    assert saves(lease) == [("SaveFailedReport", 5)]


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError(), KeyError("x")])
async def test_an_error_that_is_not_the_storages_costs_the_save_and_not_the_lease(
    storage: FailingStorage,
    make_publisher: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    lease, publisher = make_lease(save_points=()), make_publisher(Patience())
    storage.failures = [error]
    publisher.publish(storage, lease, write(tmp_path, 2, 5))
    await lease.until_settled()
    (failed,) = said(lease)
    assert isinstance(failed, SaveFailedReport)
    assert (failed.node, failed.step) == (2, 5)
    assert repr(error) in failed.reason
    assert "publishing_broke_down" in caplog.text
    assert not list((tmp_path / "spool").iterdir())


async def test_a_dropped_lease_publishes_nothing_more(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path
) -> None:
    lease, publisher = make_lease(), make_publisher(Patience(first_seconds=60.0))
    storage.failures = [StorageError("gone")]
    publisher.publish(storage, lease, write(tmp_path, 1, 3))
    publisher.publish(storage, lease, write(tmp_path, 2, 5))
    lease.drop()
    await publisher.idle()
    assert storage.published == []
    assert said(lease) == []


async def test_states_that_nobody_waits_for_are_left_out_when_the_storage_is_slow(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path
) -> None:
    lease, publisher = make_lease(), make_publisher(Patience(first_seconds=0.001, silent_seconds=60.0))
    storage.failures = [StorageError("slow")]
    for node, step in ((1, 1), (1, 2), (1, 3), (2, 4), (2, 5)):
        publisher.publish(storage, lease, write(tmp_path, node, step))
    await lease.until_settled()
    assert saves(lease) == [("PublishedReport", 3), ("PublishedReport", 5)]


def told(lease: Lease) -> list[str]:
    """What was said of saves, without its words."""
    return [type(item).__name__ for item in said(lease)]


async def test_a_save_that_is_held_up_is_told_once_and_is_not_given_up(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path
) -> None:
    """The server waits for it, so that nothing is trained again when the storage comes back."""
    lease, publisher = make_lease(), make_publisher(TALKATIVE)
    storage.failures = [StorageError("no answer")] * 4
    publisher.publish(storage, lease, write(tmp_path, 2, 5))
    await publisher.idle()
    items = said(lease)
    assert items[0] == SaveBlockedReport(node=2, step=5, reason="no answer")
    assert [type(item) for item in items] == [SaveBlockedReport, PublishedReport]


async def test_another_trouble_is_told_in_its_own_words(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path
) -> None:
    lease, publisher = make_lease(), make_publisher(TALKATIVE)
    storage.failures = [
        StorageError("no answer"),
        StorageFull("full, free 3 B"),
        StorageFull("full, free 4 B"),
    ]
    publisher.publish(storage, lease, write(tmp_path, 2, 5))
    await publisher.idle()
    assert [item.reason for item in said(lease) if isinstance(item, SaveBlockedReport)] == [
        "no answer",
        "full, free 3 B",
    ]
    assert storage.published == [(2, 5)]


async def test_a_path_that_is_to_end_does_not_wait_for_a_storage_that_is_held_up(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path
) -> None:
    """As where the worker drains: it has so long to leave, and others can train."""
    lease, publisher = make_lease(save_points=()), make_publisher(TALKATIVE)
    storage.failures = [StorageError("no answer")] * 1000
    lease.end_early(Stop(fence=7, save=True, reason="drain"))
    publisher.publish(storage, lease, write(tmp_path, 2, 5))
    await lease.until_settled()
    assert told(lease) == ["SaveBlockedReport", "SaveFailedReport"]
    lease.drop()
    await publisher.idle()


async def test_the_saves_of_a_trained_path_do_not_keep_a_worker_from_draining(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path
) -> None:
    lease, publisher = make_lease(save_points=()), make_publisher(TALKATIVE)
    storage.failures = [StorageError("no answer")] * 1000
    publisher.publish(storage, lease, write(tmp_path, 2, 5))
    lease.say_end(TrainedReport())
    await until_in_loop(lambda: len(storage.failures) < 999, "several attempts")
    assert not lease.settled, "the server waits for it"
    lease.unwanted.set()
    await lease.until_settled()
    await publisher.idle()
    assert told(lease) == ["TrainedReport", "SaveBlockedReport", "SaveFailedReport"]


async def test_states_that_are_superseded_give_way_while_the_storage_is_held_up(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They would fill the disk that runners write to. The worker's log names them."""
    lease, publisher = make_lease(), make_publisher(TALKATIVE)
    storage.failures = [StorageError("no answer")] * 2
    for node, step in ((1, 1), (1, 2), (2, 5)):
        publisher.publish(storage, lease, write(tmp_path, node, step))
    await publisher.idle()
    assert storage.published == [(2, 5)]
    assert not list((tmp_path / "spool").iterdir())
    left_out = [vars(record)["state"] for record in caplog.records if record.msg == "save_left_out"]
    assert sorted(left_out) == [(1, 1), (1, 2)]


async def test_a_storage_that_hangs_is_told_and_holds_one_thread(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path
) -> None:
    first, second, publisher = make_lease(), make_lease(), make_publisher(QUICK)
    storage.answers.clear()
    publisher.publish(storage, first, write(tmp_path / "1", 2, 5))
    publisher.publish(storage, second, write(tmp_path / "2", 2, 5))
    await until_in_loop(lambda: first.outbox.in_flight or not first.outbox.empty, "what is told")
    await until_in_loop(lambda: not second.outbox.empty, "what is told of the other")
    (blocked,) = said(first)
    assert isinstance(blocked, SaveBlockedReport)
    assert "The storage does not answer: publishing step 5 of node 2 hangs." in blocked.reason
    assert told(second) == ["SaveBlockedReport"]
    assert len(storage.entered) == 1
    storage.answers.set()
    await publisher.idle()
    assert told(first)[-1] == told(second)[-1] == "PublishedReport"
    assert len(set(storage.entered)) == 1


async def test_behind_a_storage_that_hangs_only_what_is_needed_waits_on_the_disk(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path
) -> None:
    lease, publisher = make_lease(), make_publisher(Patience())
    storage.answers.clear()
    publisher.publish(storage, lease, write(tmp_path, 1, 1))
    await until_in_loop(lambda: storage.entered, "the call that hangs")
    for node, step in ((1, 2), (1, 3), (2, 4), (2, 5)):
        publisher.publish(storage, lease, write(tmp_path, node, step))
    await until_in_loop(
        lambda: {path.name for path in (tmp_path / "spool").iterdir()} == {"1-1", "1-3", "2-5"},
        "the end of what is superseded; the fork and the end of the path are waited for",
    )
    storage.answers.set()
    await publisher.idle()
    assert storage.published == [(1, 1), (1, 3), (2, 5)]
    assert not list((tmp_path / "spool").iterdir())


async def test_a_storage_that_hangs_keeps_neither_a_path_nor_the_worker_from_ending(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hippo_worker.publishing.CLOSE_SECONDS", 0.01)
    lease, publisher = make_lease(save_points=()), make_publisher(QUICK)
    storage.answers.clear()
    lease.end_early(Stop(fence=7, save=True, reason="drain"))
    publisher.publish(storage, lease, write(tmp_path, 2, 5))
    await lease.until_settled()
    assert told(lease) == ["SaveBlockedReport", "SaveFailedReport"]
    await publisher.close()
    assert storage.entered[0].daemon, "the interpreter does not wait for it"
    storage.answers.set()


async def test_what_a_runner_says_of_its_files_and_makes_no_sense_costs_that_state_alone(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path
) -> None:
    lease, publisher = make_lease(), make_publisher(Patience())
    publisher.publish(storage, lease, replace(write(tmp_path, 1, 3), files={"state": [7, "no digest"]}))
    publisher.publish(storage, lease, write(tmp_path, 2, 5))
    await lease.until_settled()
    assert saves(lease) == [("SaveFailedReport", 3), ("PublishedReport", 5)]


async def test_a_dropped_lease_does_not_wait_for_a_storage_that_hangs(
    storage: FailingStorage, make_publisher: Any, tmp_path: Path
) -> None:
    lease, publisher = make_lease(), make_publisher(Patience())
    storage.answers.clear()
    publisher.publish(storage, lease, write(tmp_path, 2, 5))
    await until_in_loop(lambda: storage.entered, "the call that hangs")
    lease.drop()
    await publisher.idle()
    assert said(lease) == []
    storage.answers.set()
