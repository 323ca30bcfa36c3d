"""The kinds of storage that one suite is for, each with a way to look at, and to damage, what lies in it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from hippo_storage.local import LocalStorage
from hippo_storage.objects import ObjectStorage
from hippo_storage.storage import Storage
from tests.simulation.disk import FaultyFiles
from tests.unit.storage.disks import UnlinkableFiles
from tests.unit.storage.lying import LyingStore

KINDS = [
    "folder",
    "folder without links",
    "folder in simulations",
    "objects in a folder",
    "objects in memory",
    "S3",
]


@dataclass(frozen=True, slots=True)
class Kept:
    """A storage, seen from above and from below.

    Args:
        storage: From above.
        files: An fsspec file system with what lies in it.
        root: Where, in that.
    """

    storage: Storage
    files: Any
    root: str

    def names(self, below: str = "checkpoints") -> set[str]:
        """All that lies below a folder, relative to the root."""
        folder = f"{self.root}/{below}" if below else self.root
        return {name.removeprefix(f"{self.root}/") for name in self.files.find(folder)}

    def read(self, name: str) -> bytes:
        """The bytes of one file."""
        data: bytes = self.files.cat_file(f"{self.root}/{name}")
        return data

    def write(self, name: str, data: bytes) -> None:
        """Puts bytes in the place of a file, or where none is."""
        self.remove(name)  # whoever published may hold the same file by another name
        self.files.pipe_file(f"{self.root}/{name}", data)

    def remove(self, name: str) -> None:
        """Takes a file away, if it is there."""
        if self.files.exists(f"{self.root}/{name}"):
            self.files.rm_file(f"{self.root}/{name}")

    def newest(self) -> float:
        """When the latest of its files was written, seconds since 1970."""
        names = self.names("")
        return max(float(self.files.modified(f"{self.root}/{name}").timestamp()) for name in names)


def make(kind: str, folder: Path) -> Kept:
    """An empty storage that needs no server.

    Args:
        kind: Which kind.
        folder: For what lies in files.
    """
    on_disk = LocalFileSystem(auto_mkdir=True)
    match kind:
        case "folder":
            return Kept(LocalStorage(folder), on_disk, str(folder))
        case "folder without links":
            return Kept(LocalStorage(folder, UnlinkableFiles()), on_disk, str(folder))
        case "folder in simulations":
            folder.mkdir()
            return Kept(
                LocalStorage(folder, FaultyFiles(folder, lambda _: None, time.time)), on_disk, str(folder)
            )
        case "objects in a folder":
            folder.mkdir()
            return Kept(ObjectStorage(DirFileSystem(str(folder), on_disk), ""), on_disk, str(folder))
        case "objects in memory":
            store = LyingStore()
            return Kept(ObjectStorage(store, "bucket/hippo"), store, "/bucket/hippo")
        case _:
            raise AssertionError(kind)


def make_in_s3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """An empty storage in a bucket of its own, opened as the server and the workers open theirs."""
    server = request.getfixturevalue("s3")
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    root = f"{server.new_bucket()}/hippo"
    storage = Storage.open(f"s3://{root}")
    assert isinstance(storage, ObjectStorage)
    return Kept(storage, storage._filesystem, root)
