"""Publishing at every point where it can be cut short: a checkpoint is there whole, or not at all."""

import errno
import os
from pathlib import Path

import pytest

from hippo_storage.bundle import unpack
from hippo_storage.errors import CheckpointMissing, StorageError, StorageFull
from hippo_storage.local import LocalStorage
from hippo_storage.manifest import CheckpointLocation
from tests.unit.storage.crashes import (
    ARCHIVE,
    ARCHIVE_DIGEST,
    EARLIER,
    EARLIER_FILES,
    FILES,
    LOCATION,
    OPERATIONS,
    entries,
    spool,
)
from tests.unit.storage.disks import FailingFiles, PowerLossFiles, RecordingFiles, UnlinkableFiles


def content(storage: LocalStorage, location: CheckpointLocation, into: Path) -> dict[str, bytes]:
    storage.fetch(location, into)
    return {path.name: path.read_bytes() for path in into.iterdir()}


def assert_whole_or_missing(storage: LocalStorage, into: Path) -> bool:
    """Whether the checkpoint is there; if so, every byte of it is right."""
    folder = storage.root / LOCATION.path
    if (folder / "manifest.json").exists():
        assert content(storage, LOCATION, into) == FILES
        return True
    with pytest.raises(CheckpointMissing):
        storage.fetch(LOCATION, into)
    assert not into.exists()
    return False


def healthy_operations(base: Path, links: bool) -> list[tuple[str, Path]]:
    """What publishing does where nothing fails."""
    files = FailingFiles(-1, links=links)
    storage = LocalStorage(base / "healthy", files)
    storage.publish(spool(base / "healthy-earlier", EARLIER_FILES), EARLIER, {})
    files.operations.clear()
    storage.publish(spool(base / "healthy-spool", FILES), LOCATION, {})
    return files.operations


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failure_of_any_operation_leaves_nothing_and_publishing_again_succeeds(
    links: bool, code: int, tmp_path: Path
) -> None:
    for number in range(100):
        base = tmp_path / str(number)
        base.mkdir()
        LocalStorage(base / "storage").publish(spool(base / "earlier", EARLIER_FILES), EARLIER, {})
        folder = spool(base / "spool", FILES)
        files = FailingFiles(-1, links=links, code=code)
        storage = LocalStorage(base / "storage", files)
        files.operations.clear()
        files.fails_at = number
        if number == len(healthy_operations(base, links)):
            storage.publish(folder, LOCATION, {})
            assert not files.failed
            break
        with pytest.raises(StorageFull if code == errno.ENOSPC else StorageError) as caught:
            storage.publish(folder, LOCATION, {})
        assert files.failed
        assert caught.value.retryable
        assert str(base / "storage" / LOCATION.path) in caught.value.message
        healthy = LocalStorage(base / "storage")
        word, path = files.operations[number]
        done = word == "remove_tree" and path == folder
        assert assert_whole_or_missing(healthy, base / "after") == done, (number, word, path)
        assert (base / "storage" / LOCATION.path).exists() == done
        assert list((base / "storage" / "temporary").iterdir()) == []
        assert {path.name for path in folder.iterdir()} >= set(FILES), "the writer's folder is as it was"
        assert content(healthy, EARLIER, base / "earlier-after") == EARLIER_FILES

        healthy.publish(folder, LOCATION, {})
        assert content(healthy, LOCATION, base / "again") == FILES
    assert number > 12


@pytest.mark.parametrize("links", [True, False])
def test_whatever_a_loss_of_power_leaves_is_old_or_new_and_what_was_answered_stays(
    links: bool, tmp_path: Path
) -> None:
    folder = spool(tmp_path / "spool", FILES)
    earlier = spool(tmp_path / "earlier", EARLIER_FILES)
    files = PowerLossFiles(tmp_path, links=links)
    looks = 0

    def look(required: dict[CheckpointLocation, dict[str, bytes]]) -> None:
        nonlocal looks
        for disk in files.after_power_loss():
            looks += 1
            for location, wanted in ((EARLIER, EARLIER_FILES), (LOCATION, FILES)):
                prefix = f"storage/{location.path}/"
                if location in required or f"{prefix}manifest.json" in disk:
                    assert disk.get(f"{prefix}manifest.json") is not None, disk.keys()
                    for name, data in wanted.items():
                        assert disk.get(prefix + name) == data, (location, name)

    files.check = lambda: look({})
    storage = LocalStorage(tmp_path / "storage", files)
    storage.publish(earlier, EARLIER, {}, keep=True)
    files.check = lambda: look({EARLIER: EARLIER_FILES})
    storage.publish(folder, LOCATION, {})
    look({EARLIER: EARLIER_FILES, LOCATION: FILES})
    storage.remove(LOCATION)
    assert looks > 100


def test_the_order_of_fsyncs(tmp_path: Path) -> None:
    """Bytes and the manifest, then the folder that names them, then the rename, then the folders above."""
    files = RecordingFiles()
    storage = LocalStorage(tmp_path / "storage", files)
    files.operations.clear()
    storage.publish(spool(tmp_path / "spool", FILES), LOCATION, {})
    temporary = next(path for word, path in files.operations if word == "make_folder")
    final = tmp_path / "storage" / LOCATION.path
    fresh = [tmp_path / "storage" / "checkpoints", *reversed(list(final.parents)[:3])]
    assert files.operations == [
        ("make_folder", temporary),
        ("link", temporary / "state.msgpack"),
        ("link", temporary / "tensors.safetensors"),
        ("write", temporary / "manifest.json"),
        ("sync", temporary / "state.msgpack"),
        ("sync", temporary / "tensors.safetensors"),
        ("sync", temporary / "manifest.json"),
        ("sync_folder", temporary),
        *(("make_folder", folder) for folder in fresh),
        ("rename", final),
        *(("sync_folder", folder.parent) for folder in [final, *reversed(fresh)]),
        ("remove_tree", tmp_path / "spool"),
    ]


def test_a_folder_that_another_writer_has_just_made_is_made_durable_by_who_publishes_in_it(
    tmp_path: Path,
) -> None:
    """1. A writer makes the folders above its checkpoint, and dies before their fsync. 2. Another publishes there.
    3. The power is lost: what the second was answered is there."""
    earlier = spool(tmp_path / "earlier", EARLIER_FILES)
    files = PowerLossFiles(tmp_path)
    storage = LocalStorage(tmp_path / "storage", files)
    above = (tmp_path / "storage" / LOCATION.path).parent
    for folder in [*reversed(list(above.parents)[:3]), above]:
        if not folder.exists():
            files.make_folder(folder)
    storage.publish(earlier, EARLIER, {}, keep=True)
    for disk in files.after_power_loss():
        for name, data in EARLIER_FILES.items():
            assert disk.get(f"storage/{EARLIER.path}/{name}") == data


def test_the_order_of_a_removal(tmp_path: Path) -> None:
    """No byte goes before it is durable that the checkpoint is none."""
    LocalStorage(tmp_path / "storage").publish(spool(tmp_path / "spool", FILES), LOCATION, {})
    files = RecordingFiles()
    storage = LocalStorage(tmp_path / "storage", files)
    files.operations.clear()
    storage.remove(LOCATION)
    final = tmp_path / "storage" / LOCATION.path
    assert files.operations == [
        ("unlink", final / "manifest.json"),
        ("sync_folder", final),
        ("remove_tree", final),
    ]


def test_the_order_of_keeping_a_bundle(tmp_path: Path) -> None:
    files = RecordingFiles()
    storage = LocalStorage(tmp_path / "storage", files)
    files.operations.clear()
    storage.put_bundle(ARCHIVE_DIGEST, ARCHIVE)
    temporary, final = files.operations[0][1], tmp_path / "storage" / "bundles" / ARCHIVE_DIGEST
    assert files.operations == [
        ("write", temporary),
        ("sync", temporary),
        ("rename", final),
        ("sync_folder", final.parent),
        ("unlink", temporary),
    ]


def test_the_order_of_unpacking(tmp_path: Path) -> None:
    """All of it is durable before the folder has its name: what a worker finds by that, it uses."""
    OPERATIONS["unpack a bundle"].prepare(tmp_path)
    files = RecordingFiles()
    final = tmp_path / "bundles" / "digest"
    unpack(tmp_path / "archive", final, files=files)
    temporary = files.operations[0][1]
    assert files.operations == [
        ("make_folder", temporary),
        ("make_folder", temporary / "inner"),
        ("write", temporary / "inner" / "model.py"),
        ("sync", temporary / "inner" / "model.py"),
        ("write", temporary / "trainer.py"),
        ("sync", temporary / "trainer.py"),
        ("sync_folder", temporary),
        ("sync_folder", temporary / "inner"),
        ("rename", final),
        ("sync_folder", final.parent),
    ]


def test_moving_takes_no_second_copy_of_the_bytes(tmp_path: Path) -> None:
    folder = spool(tmp_path / "spool", FILES)
    inode = (folder / "tensors.safetensors").stat().st_ino
    storage = LocalStorage(tmp_path / "storage")
    storage.publish(folder, LOCATION, {})
    assert (storage.root / LOCATION.path / "tensors.safetensors").stat().st_ino == inode


def test_a_file_that_differs_from_the_digest_of_its_writing_is_not_published(tmp_path: Path) -> None:
    """Across file systems every byte is read anyway: there the disk's error is seen before it counts."""
    folder = spool(tmp_path / "spool", FILES)
    data = bytearray(FILES["tensors.safetensors"])
    data[1000] ^= 4
    (folder / "tensors.safetensors").write_bytes(data)
    storage = LocalStorage(tmp_path / "storage", UnlinkableFiles())
    with pytest.raises(StorageError, match="changed while it was published"):
        storage.publish(folder, LOCATION, {}, files=entries(FILES))
    assert not assert_whole_or_missing(storage, tmp_path / "after")


@pytest.mark.parametrize("kind", ["link", "folder", "hidden", "manifest", "pipe"])
def test_only_plain_files_with_plain_names_are_published(kind: str, tmp_path: Path) -> None:
    folder = spool(tmp_path / "spool", FILES)
    if kind == "link":
        (folder / "secret").symlink_to("/etc/hostname")
    elif kind == "folder":
        (folder / "inner").mkdir()
    elif kind == "pipe":
        os.mkfifo(folder / "pipe")
    else:
        (folder / {"hidden": ".hidden", "manifest": "manifest.json"}[kind]).write_bytes(b"x")
    storage = LocalStorage(tmp_path / "storage")
    with pytest.raises(StorageError, match="cannot be part of a checkpoint"):
        storage.publish(folder, LOCATION, {})
    assert folder.exists()


@pytest.mark.parametrize(("moment", "step"), [("rename", 30), ("make_folder", 29)])
def test_a_neighbours_removal_while_publishing_does_no_harm(moment: str, step: int, tmp_path: Path) -> None:
    """The removal of a neighbour takes folders above with it, just when they are about to be used."""
    other = CheckpointLocation(plan=1, node=2, step=step, fence=3)
    final = tmp_path / "storage" / LOCATION.path
    removals = 0

    class Racing(RecordingFiles):
        def before(self, word: str, path: Path) -> None:
            nonlocal removals
            if word == moment and path in (final, final.parent) and not removals:
                removals += 1
                LocalStorage(tmp_path / "storage").remove(other)
                assert not path.parent.exists()

    LocalStorage(tmp_path / "storage").publish(spool(tmp_path / "other", EARLIER_FILES), other, {})
    storage = LocalStorage(tmp_path / "storage", Racing())
    storage.publish(spool(tmp_path / "spool", FILES), LOCATION, {})
    assert removals == 1
    assert content(storage, LOCATION, tmp_path / "after") == FILES


def test_digests_that_the_writer_tells_are_only_a_short_cut(tmp_path: Path) -> None:
    told = LocalStorage(tmp_path / "storage")
    first = told.publish(spool(tmp_path / "spool", FILES), LOCATION, {}, files=entries(FILES))
    elsewhere = LocalStorage(tmp_path / "elsewhere")
    assert elsewhere.publish(spool(tmp_path / "again", FILES), LOCATION, {}) == first
