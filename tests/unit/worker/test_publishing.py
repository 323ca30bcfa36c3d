"""What becomes of states when the storage works, fails, is full, or comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from hippo_core.engine.commands import PublishedReport, SaveFailedReport, TrainedReport
from hippo_storage.errors import StorageError, StorageFull
from hippo_storage.local import LocalStorage
from hippo_storage.manifest import CheckpointLocation
from hippo_storage.storage import Published
from hippo_worker.checkpoints import CheckpointCache
from hippo_worker.lease import Lease
from hippo_worker.publishing import Patience, Publisher
from hippo_worker.runner.messages import Written
from tests.unit.worker.orders import make_lease, said

IMPATIENT = Patience(first_seconds=0.001, longest_seconds=0.01, silent_seconds=0.0)


class FailingStorage(LocalStorage):
    """Fails as often as it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.failures: list[Exception] = []
        self.published: list[tuple[int, int]] = []

    def publish(
        self, folder: Path, location: CheckpointLocation, about: Mapping[str, Any], *, keep: bool = False
    ) -> Published:
        if self.failures:
            raise self.failures.pop(0)
        self.published.append((location.node, location.step))
        return super().publish(folder, location, about, keep=keep)


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
    folder.joinpath("state").write_bytes(b"state %d" % step)
    return Written(fence=7, node=node, step=step, folder=str(folder), blocked_seconds=0.25)


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
    assert items[0] == SaveFailedReport(
        node=1, step=3, reason="The storage is full: /x. Free space.", full=True
    )
    assert [type(item) for item in items] == [SaveFailedReport, SaveFailedReport, PublishedReport]
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
    assert "publishing broke down" in caplog.text
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
