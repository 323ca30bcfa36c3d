"""What a path starts from, and a storage that hangs while it is fetched."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from hippo_storage.errors import CheckpointMissing
from hippo_storage.local import LocalStorage
from hippo_storage.manifest import CheckpointLocation, Manifest
from hippo_worker.bundles import BundleCache
from hippo_worker.checkpoints import CheckpointCache
from hippo_worker.publishing import Publisher
from hippo_worker.runner.messages import Stop
from hippo_worker.secrets import Secrets
from hippo_worker.slots.loading import Loader, NotWanted
from hippo_worker.slots.spawner import Spawner
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

    def manifest(self, location: CheckpointLocation, digest: str | None = None) -> Manifest:
        self.asked.set()
        self.answers.wait()
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
    loading = asyncio.create_task(Loader(0, supplies).checkpoint(lease, LOCATION))
    await until_in_loop(storage.asked.is_set, "the call that hangs")
    (thread,) = [each for each in threading.enumerate() if each.name == "hippo-load-0"]
    assert thread.daemon, "the interpreter does not wait for it"
    if how == "dropped":
        lease.drop()
    else:
        lease.end_early(Stop(fence=7, save=True, reason="drain"))
    with pytest.raises(NotWanted):
        await loading
    storage.answers.set()
    await until_in_loop(lambda: not thread.is_alive(), "the end of the call")
    await until_in_loop(lambda: not list((tmp_path / "cache").iterdir()), "an empty cache")
    assert supplies.checkpoints.size_bytes == 0
