"""What a path starts from, and a storage that hangs or fails while it is fetched."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from hippo_storage.errors import CheckpointMissing, StorageError
from hippo_storage.local import LocalStorage
from hippo_storage.manifest import CheckpointLocation, Manifest
from hippo_worker.bundles import BundleCache
from hippo_worker.checkpoints import CheckpointCache
from hippo_worker.publishing import Patience, Publisher
from hippo_worker.runner.messages import Stop
from hippo_worker.secrets import Secrets
from hippo_worker.slots.loading import Loader
from hippo_worker.slots.spawner import Spawner
from hippo_worker.slots.wanted import NotWanted
from hippo_worker.supplies import Supplies
from tests.unit.worker.orders import make_lease
from tests.waiting import until_in_loop

LOCATION = CheckpointLocation(plan=1, node=1, step=3, fence=5)


class HangingStorage(LocalStorage):
    """Answers only while it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.answers = threading.Event()
        self.asked = threading.Event()
        self.fails = 0  #: so many times it fails first

    def manifest(self, location: CheckpointLocation, digest: str | None = None) -> Manifest:
        self.asked.set()
        self.answers.wait()
        if self.fails:
            self.fails -= 1
            raise StorageError("The storage failed: reading a manifest: no route to host.")
        return super().manifest(location, digest)


@pytest.fixture
def storage(tmp_path: Path) -> HangingStorage:
    storage = HangingStorage(tmp_path / "storage")
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "state").write_bytes(b"state")
    storage.publish(tmp_path / "spool", LOCATION, {})
    return storage


@pytest.fixture
def supplies(tmp_path: Path, storage: HangingStorage) -> Supplies:
    cache = CheckpointCache(tmp_path / "cache", 0)
    return Supplies(
        spawner=Spawner.__new__(Spawner),  # nothing is started
        bundles=BundleCache(tmp_path / "bundles"),
        checkpoints=cache,
        publisher=Publisher(cache),
        spool=tmp_path / "states",
        data_folder=tmp_path / "data",
        secrets=Secrets(tmp_path / "secrets"),
        storage=storage,
    )


async def test_a_start_is_fetched(storage: HangingStorage, supplies: Supplies) -> None:
    storage.answers.set()
    folder = await Loader(0, supplies).checkpoint(make_lease(), LOCATION)
    assert (folder / "state").read_bytes() == b"state"
    supplies.checkpoints.give_back(folder)
    with pytest.raises(CheckpointMissing):
        await Loader(0, supplies).checkpoint(
            make_lease(), CheckpointLocation(plan=1, node=1, step=4, fence=5)
        )


@pytest.mark.parametrize("how", ["stopped", "dropped"])
async def test_a_path_that_is_to_end_does_not_wait_for_a_storage_that_hangs(
    storage: HangingStorage, supplies: Supplies, tmp_path: Path, how: str
) -> None:
    """What it comes to later is given back: the cache, which is to hold nothing, is empty then."""
    lease = make_lease()
    loader = Loader(1, supplies)
    loading = asyncio.create_task(loader.checkpoint(lease, LOCATION))
    await until_in_loop(storage.asked.is_set, "the call that hangs")
    (thread,) = [each for each in threading.enumerate() if each.name == "hippo-load-1" and each.is_alive()]
    assert thread.daemon, "the interpreter does not wait for it"
    if how == "dropped":
        lease.drop()
    else:
        lease.end_early(Stop(fence=7, save=True, reason="drain"))
    with pytest.raises(NotWanted):
        await loading
    loader.close()
    storage.answers.set()
    await until_in_loop(lambda: not thread.is_alive(), "the end of the call")
    await until_in_loop(lambda: not list((tmp_path / "cache").iterdir()), "an empty cache")
    assert supplies.checkpoints.size_bytes == 0


class Said(list[tuple[int, str]]):
    """What a loader says of its storage."""

    def __call__(self, slot: int, failure: str) -> None:
        self.append((slot, failure))


def impatient(supplies: Supplies, slow_seconds: float) -> Supplies:
    supplies.publisher.patience = Patience(
        first_seconds=0.001, longest_seconds=0.01, slow_seconds=slow_seconds
    )
    return supplies


async def test_a_storage_that_fails_is_told_and_asked_again_until_it_has_answered(
    storage: HangingStorage, supplies: Supplies, tmp_path: Path
) -> None:
    """1. A load fails three times, on one thread. 2. It is told once that it does, once that it does no more. 3. What
    was loaded to find that out is given back: the cache is to hold nothing."""
    storage.answers.set()
    storage.fails = 3
    said = Said()
    with pytest.raises(StorageError, match="no route to host"):
        await Loader(4, impatient(supplies, 60), said).checkpoint(make_lease(), LOCATION)
    assert said == [(4, "The storage failed: reading a manifest: no route to host.")]
    await until_in_loop(lambda: len(said) == 2, "an answer")
    assert said[1:] == [(4, "")]
    assert storage.fails == 0
    await until_in_loop(lambda: not list((tmp_path / "cache").iterdir()), "an empty cache")


async def test_a_storage_that_hangs_is_given_up_after_a_while_and_waited_for(
    storage: HangingStorage, supplies: Supplies, tmp_path: Path
) -> None:
    """1. A load hangs: the path ends, as it does whose load comes behind. 2. One thread waits. 3. It has answered."""
    said = Said()
    loader = Loader(6, impatient(supplies, 0.01), said)
    for _ in range(2):
        with pytest.raises(StorageError, match=r"does not answer: loading step 3 of node 1 hangs"):
            await loader.checkpoint(make_lease(), LOCATION)
    assert {slot for slot, _ in said} == {6}
    assert all(failure for _, failure in said)
    assert sum(each.name == "hippo-load-6" for each in threading.enumerate()) == 1
    storage.answers.set()
    await until_in_loop(lambda: said[-1] == (6, ""), "an answer")
    await until_in_loop(lambda: not list((tmp_path / "cache").iterdir()), "an empty cache")


async def test_a_storage_that_says_that_nothing_lies_there_has_answered(
    storage: HangingStorage, supplies: Supplies
) -> None:
    storage.answers.set()
    storage.fails = 1
    said = Said()
    nowhere = CheckpointLocation(plan=1, node=1, step=4, fence=5)
    with pytest.raises(StorageError):
        await Loader(0, impatient(supplies, 60), said).checkpoint(make_lease(), nowhere)
    await until_in_loop(lambda: [failure for _, failure in said][1:] == [""], "an answer")
    with pytest.raises(CheckpointMissing):
        await Loader(0, supplies, said).checkpoint(make_lease(), nowhere)
    assert len(said) == 2, "what is missing is no failure of the storage"


async def test_large_states_are_given_their_time(
    storage: HangingStorage, supplies: Supplies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch that takes longer than a storage may hang, and not longer than its bytes explain, is waited for."""
    storage.answers.set()
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("hippo_worker.slots.loading.time", SimpleNamespace(monotonic=lambda: clock.now))
    fetching, going_on = threading.Event(), threading.Event()
    fetch = LocalStorage.fetch

    def slow(self: LocalStorage, location: CheckpointLocation, into: Path, digest: str | None = None) -> None:
        fetching.set()
        going_on.wait()
        fetch(self, location, into, digest)

    monkeypatch.setattr(LocalStorage, "fetch", slow)
    monkeypatch.setattr("hippo_worker.slots.loading.SLOW_BYTES_A_SECOND", 1e-6)
    monkeypatch.setattr("hippo_worker.slots.loading.LOOK_SECONDS", 0.001)
    loading = asyncio.create_task(Loader(0, impatient(supplies, 60)).checkpoint(make_lease(), LOCATION))
    await until_in_loop(fetching.is_set, "a fetch")
    clock.now = 1000.0
    for _ in range(100):
        await asyncio.sleep(0.001)
    assert not loading.done()
    going_on.set()
    supplies.checkpoints.give_back(await loading)
