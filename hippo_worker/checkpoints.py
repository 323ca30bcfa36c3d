"""Recent checkpoints on the local disk: what this worker published or fetched, so that a start need not fetch.

An entry is a folder of the checkpoint's files and, beside it, its manifest, written last. Files are checked against
the manifest at every use, as a disk may lie. Where the shared storage is on the same file system the files are second
names of its own, and cost nothing.
"""

from __future__ import annotations

import logging
import shutil
import threading
import uuid
from collections import Counter
from pathlib import Path

from hippo_storage.draft import DRAFT
from hippo_storage.errors import CheckpointCorrupt
from hippo_storage.files import digest_of
from hippo_storage.manifest import CheckpointLocation, Manifest, decode
from hippo_storage.storage import Storage

logger = logging.getLogger(__name__)


class CheckpointCache:
    """Checkpoints by location, within a budget; those used longest ago go first.

    Used from several threads. What is in use is never removed, so that the budget may be exceeded by it.

    Args:
        root: A folder of the cache's own.
        limit_bytes: How much it may hold.
    """

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._lock = threading.RLock()
        self._sizes: dict[str, int] = {}  # by name, the one used longest ago first
        self._pins: Counter[str] = Counter()
        root.mkdir(parents=True, exist_ok=True)
        self._find()

    @property
    def size_bytes(self) -> int:
        """How much it holds."""
        return sum(self._sizes.values())

    def add(self, storage: Storage, location: CheckpointLocation, folder: Path) -> None:
        """Takes over the folder of a checkpoint that was just published; it is gone afterwards. Blocks."""
        try:
            manifest = storage.manifest(location)
        except BaseException:
            shutil.rmtree(folder)
            raise
        (folder / DRAFT).unlink(missing_ok=True)
        self._enter(manifest, folder)

    def obtain(self, storage: Storage, location: CheckpointLocation) -> Path:
        """A folder with the checkpoint's verified files, which stays until it is given back. Blocks.

        Raises:
            CheckpointMissing: The storage has none.
            CheckpointCorrupt: The storage's own differs from what was published.
            StorageError: The storage or the local disk failed.
        """
        name = _name(location)
        with self._lock:
            self._pins[name] += 1
        try:
            return self._verified(location) or self._fetched(storage, location)
        except BaseException:
            self.give_back(location)
            raise

    def give_back(self, location: CheckpointLocation) -> None:
        """What ``obtain`` gave is not needed any more."""
        with self._lock:
            self._pins[_name(location)] -= 1
            self._make_room()

    def _verified(self, location: CheckpointLocation) -> Path | None:
        name = _name(location)
        with self._lock:
            if name not in self._sizes:
                return None
            self._sizes[name] = self._sizes.pop(name)  # used last
        folder = self._root / name
        try:
            manifest = decode(_manifest_path(folder).read_bytes(), location)
            for file, entry in manifest.files.items():
                path = folder / file
                if path.stat().st_size != entry.size_bytes or digest_of(path) != entry.digest:
                    raise CheckpointCorrupt(f"{path} is not what was published.")
        except (CheckpointCorrupt, OSError) as error:
            logger.warning(
                "cached checkpoint is not usable", extra={"location": str(location), "why": str(error)}
            )
            with self._lock:
                self._remove(name)
            return None
        return folder

    def _fetched(self, storage: Storage, location: CheckpointLocation) -> Path:
        folder = self._root / f".{_name(location)}.{uuid.uuid4().hex}"
        manifest = storage.manifest(location)
        storage.fetch(location, folder)
        return self._enter(manifest, folder)

    def _enter(self, manifest: Manifest, folder: Path) -> Path:
        name = _name(manifest.location)
        final = self._root / name
        with self._lock:
            if name in self._sizes:
                shutil.rmtree(folder)
                return final
            folder.rename(final)
            _manifest_path(final).write_bytes(manifest.encode())
            self._sizes[name] = manifest.size_bytes
            self._make_room()
        return final

    def _make_room(self) -> None:
        for name in list(self._sizes):
            if self.size_bytes <= self._limit_bytes:
                return
            if not self._pins[name]:
                self._remove(name)

    def _remove(self, name: str) -> None:
        folder = self._root / name
        _manifest_path(folder).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        self._sizes.pop(name, None)

    def _find(self) -> None:
        """What an earlier life left: whole entries are kept, others removed."""
        entries = [path for path in self._root.iterdir() if path.is_dir()]
        for folder in sorted(entries, key=lambda path: (path.stat().st_mtime, path.name)):
            manifest = _manifest_path(folder)
            if folder.name.startswith(".") or not manifest.exists():
                shutil.rmtree(folder)
            else:
                self._sizes[folder.name] = sum(file.stat().st_size for file in folder.iterdir())
        for manifest in self._root.glob("*.manifest"):
            if manifest.stem not in self._sizes:
                manifest.unlink()
        self._make_room()


def _name(location: CheckpointLocation) -> str:
    return f"{location.plan}-{location.node}-{location.step}-{location.fence}"


def _manifest_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.manifest")
