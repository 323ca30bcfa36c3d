"""One call makes a file system durable, until it once tells of an error."""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path
from typing import Any

import pytest

from hippo_storage import disk_sync
from hippo_storage.files import DurableFiles
from hippo_storage.local import LocalStorage
from hippo_storage.manifest import CheckpointLocation


class Library:
    """A C library on whose file systems everything is known; its syncs fail by a plan."""

    def __init__(self, errors: list[int]) -> None:
        self.errors = errors

    def fstatfs(self, descriptor: int, about: Any) -> int:
        ctypes.c_long.from_buffer(about).value = 0xEF53
        return 0

    def syncfs(self, descriptor: int) -> int:
        error = self.errors.pop(0)
        ctypes.set_errno(error)
        return -1 if error else 0


class Fsyncs(DurableFiles):
    """Notes which files are synced by themselves."""

    def __init__(self) -> None:
        self.synced: list[str] = []

    def sync(self, path: Path) -> None:
        self.synced.append(path.name)
        super().sync(path)


def test_an_error_of_the_file_system_has_files_synced_one_by_one_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. The call for all tells of an error, which may be of bytes that are published later. 2. It tells of it once."""
    monkeypatch.setattr(disk_sync, "_failed", [])
    monkeypatch.setattr(disk_sync, "_dirty_bytes", lambda: 0)
    library = Library([0, 0, errno.EIO])
    monkeypatch.setattr(disk_sync, "_library", lambda: library)
    files = Fsyncs()
    storage = LocalStorage(tmp_path / "storage", files)
    synced = []
    for step in (1, 2, 3):
        folder = tmp_path / f"state-{step}"
        folder.mkdir()
        (folder / "state.msgpack").write_bytes(b"state")
        files.synced.clear()
        storage.publish(folder, CheckpointLocation(plan=1, node=1, step=step, fence=1), {})
        synced.append(list(files.synced))
    assert synced == [[], *[["state.msgpack", "manifest.json"]] * 2]
