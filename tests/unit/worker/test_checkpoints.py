"""The cache of checkpoints: within its budget, verified at every use, found again after a restart."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from hippo_storage.errors import CheckpointCorrupt, CheckpointMissing
from hippo_storage.manifest import CheckpointLocation
from hippo_storage.storage import Published, Storage
from hippo_worker.checkpoints import CheckpointCache

SIZE = 100


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.open(str(tmp_path / "storage"))


def at(step: int) -> CheckpointLocation:
    return CheckpointLocation(plan=1, node=1, step=step, fence=7)


def publish(
    storage: Storage, tmp_path: Path, step: int, content: int | None = None
) -> tuple[Published, Path]:
    """What was published, and the folder that it was published from."""
    folder = tmp_path / f"written-{step}"
    folder.mkdir()
    folder.joinpath("state").write_bytes(bytes([step if content is None else content]) * SIZE)
    return storage.publish(folder, at(step), {}, keep=True), folder


def fill(cache: CheckpointCache, storage: Storage, tmp_path: Path, *steps: int) -> dict[int, str]:
    """Checkpoints that were published here; their digests by step."""
    digests = {}
    for step in steps:
        published, folder = publish(storage, tmp_path, step)
        digests[step] = published.digest
        cache.add(published, folder)
    return digests


def entries(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()}


def test_what_was_published_here_is_not_fetched(storage: Storage, tmp_path: Path) -> None:
    cache = CheckpointCache(tmp_path / "cache", 10 * SIZE)
    digest = fill(cache, storage, tmp_path, 1)[1]
    storage.remove(at(1))
    folder = cache.obtain(storage, at(1), digest)
    assert [path.name for path in folder.iterdir()] == ["state"]
    assert folder.joinpath("state").read_bytes() == b"\x01" * SIZE
    assert not (tmp_path / "written-1").exists()


def test_what_was_used_longest_ago_goes_first(storage: Storage, tmp_path: Path) -> None:
    cache = CheckpointCache(tmp_path / "cache", 2 * SIZE)
    digests = fill(cache, storage, tmp_path, 1, 2)
    cache.give_back(cache.obtain(storage, at(1), digests[1]))
    digests |= fill(cache, storage, tmp_path, 3)
    assert entries(tmp_path) == {digests[1], digests[3]}
    assert cache.size_bytes == 2 * SIZE


def test_what_is_in_use_never_goes(storage: Storage, tmp_path: Path) -> None:
    cache = CheckpointCache(tmp_path / "cache", 0)
    digest = publish(storage, tmp_path, 1)[0].digest
    folder = cache.obtain(storage, at(1), digest)
    cache.obtain(storage, at(1), digest)
    cache.give_back(folder)
    assert folder.joinpath("state").read_bytes() == b"\x01" * SIZE
    cache.give_back(folder)
    assert not folder.exists()
    assert cache.size_bytes == 0


def test_at_most_half_of_the_free_disk_is_taken(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 4 * SIZE
    monkeypatch.setattr("hippo_worker.checkpoints.shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    cache = CheckpointCache(tmp_path / "cache", 10 * SIZE)
    digests = fill(cache, storage, tmp_path, 1, 2, 3)
    assert entries(tmp_path) == {digests[2], digests[3]}
    free = 3 * SIZE
    digests |= fill(cache, storage, tmp_path, 4)
    assert entries(tmp_path) == {digests[4]}


def test_clearing_leaves_what_is_in_use(storage: Storage, tmp_path: Path) -> None:
    cache = CheckpointCache(tmp_path / "cache", 10 * SIZE)
    digests = fill(cache, storage, tmp_path, 1, 2)
    cache.obtain(storage, at(2), digests[2])
    assert cache.clear()
    assert entries(tmp_path) == {digests[2]}
    assert not cache.clear(), "nothing more can go"


def test_another_servers_checkpoint_of_the_same_numbers_is_not_taken(
    storage: Storage, tmp_path: Path
) -> None:
    """
    1. a worker's cache has node 1's state at step 1 under fence 7; its server goes, with its database
    2. a new server has another state of the very same numbers: that one is fetched, and the cache keeps both
    """
    cache = CheckpointCache(tmp_path / "cache", 10 * SIZE)
    old = fill(cache, storage, tmp_path, 1)[1]
    other = Storage.open(str(tmp_path / "other"))
    new = publish(other, tmp_path, 1, content=9)[0].digest
    for digest in (new, ""):
        assert cache.obtain(other, at(1), digest).joinpath("state").read_bytes() == b"\x09" * SIZE
    assert entries(tmp_path) == {old, new}


def test_what_lies_in_the_storage_and_was_not_recorded_is_corrupt(storage: Storage, tmp_path: Path) -> None:
    cache = CheckpointCache(tmp_path / "cache", 10 * SIZE)
    publish(storage, tmp_path, 1)
    with pytest.raises(CheckpointCorrupt, match="not the one that was recorded"):
        cache.obtain(storage, at(1), "0" * 64)
    assert entries(tmp_path) == set()


@pytest.mark.parametrize("damage", ["byte", "length", "file", "manifest"])
def test_a_damaged_entry_is_fetched_anew(storage: Storage, tmp_path: Path, damage: str) -> None:
    cache = CheckpointCache(tmp_path / "cache", 10 * SIZE)
    digest = fill(cache, storage, tmp_path, 1)[1]
    state = tmp_path / "cache" / digest / "state"
    state.unlink()  # its bytes are the storage's own
    match damage:
        case "byte":
            state.write_bytes(b"\x01" * (SIZE - 1) + b"\x02")
        case "length":
            state.write_bytes(b"\x01")
        case "manifest":
            state.write_bytes(b"\x01" * SIZE)
            (tmp_path / "cache" / f"{digest}.manifest").write_bytes(b"{}")
    folder = cache.obtain(storage, at(1), digest)
    assert folder.joinpath("state").read_bytes() == b"\x01" * SIZE
    assert cache.size_bytes == SIZE


def test_a_failed_fetch_leaves_nothing_and_pins_nothing(storage: Storage, tmp_path: Path) -> None:
    cache = CheckpointCache(tmp_path / "cache", 0)
    with pytest.raises(CheckpointMissing):
        cache.obtain(storage, at(1))
    digest = publish(storage, tmp_path, 2)[0].digest
    with pytest.raises(CheckpointMissing):
        cache.obtain(storage, at(1), digest)
    state = tmp_path / "storage" / at(2).path / "state"
    state.unlink()
    state.write_bytes(b"\x09" * SIZE)
    with pytest.raises(CheckpointCorrupt):
        cache.obtain(storage, at(2), digest)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_new_life_finds_whole_entries_and_removes_others(storage: Storage, tmp_path: Path) -> None:
    cache = CheckpointCache(tmp_path / "cache", 10 * SIZE)
    digests = fill(cache, storage, tmp_path, 1, 2)
    (tmp_path / "cache" / f"{digests[2]}.manifest").unlink()
    (tmp_path / "cache" / f".{digests[1]}.half").mkdir()
    (tmp_path / "cache" / f"{'9' * 64}.manifest").write_bytes(b"")
    again = CheckpointCache(tmp_path / "cache", 10 * SIZE)
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {digests[1], f"{digests[1]}.manifest"}
    assert again.size_bytes == SIZE


def test_a_new_life_with_less_room_keeps_less(storage: Storage, tmp_path: Path) -> None:
    cache = CheckpointCache(tmp_path / "cache", 10 * SIZE)
    fill(cache, storage, tmp_path, 1, 2, 3)
    assert CheckpointCache(tmp_path / "cache", SIZE).size_bytes == SIZE
    assert len(entries(tmp_path)) == 1
