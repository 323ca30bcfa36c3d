"""The cache of checkpoints: within its budget, verified at every use, found again after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from hippo_storage.errors import CheckpointCorrupt, CheckpointMissing
from hippo_storage.manifest import CheckpointLocation
from hippo_storage.storage import Storage
from hippo_worker.checkpoints import CheckpointCache

SIZE = 100


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.open(str(tmp_path / "storage"))


def at(step: int) -> CheckpointLocation:
    return CheckpointLocation(plan=1, node=1, step=step, fence=7)


def publish(storage: Storage, tmp_path: Path, step: int) -> Path:
    folder = tmp_path / f"written-{step}"
    folder.mkdir()
    folder.joinpath("state").write_bytes(bytes([step]) * SIZE)
    storage.publish(folder, at(step), {}, keep=True)
    return folder


def entries(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()}


def test_what_was_published_here_is_not_fetched(storage: Storage, tmp_path: Path) -> None:
    cache = CheckpointCache(tmp_path / "cache", 10 * SIZE)
    cache.add(storage, at(1), publish(storage, tmp_path, 1))
    storage.remove(at(1))
    folder = cache.obtain(storage, at(1))
    assert [path.name for path in folder.iterdir()] == ["state"]
    assert folder.joinpath("state").read_bytes() == b"\x01" * SIZE
    assert not (tmp_path / "written-1").exists()


def test_what_was_used_longest_ago_goes_first(storage: Storage, tmp_path: Path) -> None:
    cache = CheckpointCache(tmp_path / "cache", 2 * SIZE)
    for step in (1, 2):
        cache.add(storage, at(step), publish(storage, tmp_path, step))
    cache.obtain(storage, at(1))
    cache.give_back(at(1))
    cache.add(storage, at(3), publish(storage, tmp_path, 3))
    assert entries(tmp_path) == {"1-1-1-7", "1-1-3-7"}
    assert cache.size_bytes == 2 * SIZE


def test_what_is_in_use_never_goes(storage: Storage, tmp_path: Path) -> None:
    cache = CheckpointCache(tmp_path / "cache", 0)
    publish(storage, tmp_path, 1)
    folder = cache.obtain(storage, at(1))
    cache.obtain(storage, at(1))
    cache.give_back(at(1))
    assert folder.joinpath("state").read_bytes() == b"\x01" * SIZE
    cache.give_back(at(1))
    assert not folder.exists()
    assert cache.size_bytes == 0


@pytest.mark.parametrize("damage", ["byte", "length", "file", "manifest"])
def test_a_damaged_entry_is_fetched_anew(storage: Storage, tmp_path: Path, damage: str) -> None:
    cache = CheckpointCache(tmp_path / "cache", 10 * SIZE)
    cache.add(storage, at(1), publish(storage, tmp_path, 1))
    state = tmp_path / "cache" / "1-1-1-7" / "state"
    state.unlink()  # its bytes are the storage's own
    match damage:
        case "byte":
            state.write_bytes(b"\x01" * (SIZE - 1) + b"\x02")
        case "length":
            state.write_bytes(b"\x01")
        case "manifest":
            state.write_bytes(b"\x01" * SIZE)
            (tmp_path / "cache" / "1-1-1-7.manifest").write_bytes(b"{}")
    folder = cache.obtain(storage, at(1))
    assert folder.joinpath("state").read_bytes() == b"\x01" * SIZE
    assert cache.size_bytes == SIZE


def test_a_failed_fetch_leaves_nothing_and_pins_nothing(storage: Storage, tmp_path: Path) -> None:
    cache = CheckpointCache(tmp_path / "cache", 0)
    with pytest.raises(CheckpointMissing):
        cache.obtain(storage, at(1))
    publish(storage, tmp_path, 2)
    state = tmp_path / "storage" / at(2).path / "state"
    state.unlink()
    state.write_bytes(b"\x09" * SIZE)
    with pytest.raises(CheckpointCorrupt):
        cache.obtain(storage, at(2))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_new_life_finds_whole_entries_and_removes_others(storage: Storage, tmp_path: Path) -> None:
    cache = CheckpointCache(tmp_path / "cache", 10 * SIZE)
    for step in (1, 2):
        cache.add(storage, at(step), publish(storage, tmp_path, step))
    (tmp_path / "cache" / "1-1-2-7.manifest").unlink()
    (tmp_path / "cache" / ".1-1-3-7.half").mkdir()
    (tmp_path / "cache" / "9-9-9-9.manifest").write_bytes(b"")
    again = CheckpointCache(tmp_path / "cache", 10 * SIZE)
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"1-1-1-7", "1-1-1-7.manifest"}
    assert again.size_bytes == SIZE


def test_a_new_life_with_less_room_keeps_less(storage: Storage, tmp_path: Path) -> None:
    cache = CheckpointCache(tmp_path / "cache", 10 * SIZE)
    for step in (1, 2, 3):
        cache.add(storage, at(step), publish(storage, tmp_path, step))
    assert CheckpointCache(tmp_path / "cache", SIZE).size_bytes == SIZE
    assert len(entries(tmp_path)) == 1
