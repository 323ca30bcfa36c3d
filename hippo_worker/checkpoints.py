"""Recent checkpoints on the local disk: what this worker published or fetched, so that a start need not fetch.

An entry is a folder of the checkpoint's files and, beside it, its manifest, written last. Its name is the manifest's
digest, since that alone says what it is: the numbers of nodes, steps and fences begin at 1 in every database, and
the cache outlives the server that it was filled for. Files are checked against the manifest at every use, as a disk
may lie. Where the shared storage is on the same file system the files are second names of its own, and cost nothing.
"""

from __future__ import annotations

import logging
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hippo_storage.errors import CheckpointCorrupt
from hippo_storage.files import digest_of
from hippo_storage.manifest import CheckpointLocation, Manifest, decode
from hippo_storage.storage import Published, Storage

logger = logging.getLogger(__name__)


class CheckpointCache:
    """Checkpoints by their digests, within a budget; those used longest ago go first.

    It takes at most half as much as its disk has free, since others write there too. Used from several threads. What
    is in use is never removed, so that the budget may be exceeded by it.

    Args:
        root: A folder of the cache's own.
        limit_bytes: How much it may hold.
    """

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root = root
        self.limit_bytes = limit_bytes
        self._lock = threading.RLock()
        self._sizes: dict[str, int] = {}  # by digest, the one used longest ago first
        self._size_bytes = 0
        self._pins: Counter[str] = Counter()
        root.mkdir(parents=True, exist_ok=True)
        self._find()

    @property
    def size_bytes(self) -> int:
        """How much it holds."""
        return self._size_bytes

    def add(self, published: Published, folder: Path) -> None:
        """Takes over the folder of a checkpoint that was just published; it is gone afterwards. Blocks."""
        self._enter(published.manifest, published.digest, folder)

    def obtain(
        self,
        storage: Storage,
        location: CheckpointLocation,
        digest: str = "",
        on_size: Callable[[int], None] = lambda size_bytes: None,
    ) -> Path:
        """A folder with the checkpoint's verified files, which stays until it is given back. Blocks.

        Args:
            storage: Has it where the cache does not.
            location: Where it lies there.
            digest: The manifest's, as it was recorded: nothing else is given. Empty: none was recorded when this
                was asked for, so that the storage is asked which checkpoint lies there.
            on_size: Called with its bytes before they are fetched.

        Raises:
            CheckpointMissing: The storage has none.
            CheckpointCorrupt: The storage's own is not the recorded one, or differs from what was published.
            StorageError: The storage or the local disk failed.
        """
        digest = digest or storage.manifest(location).digest
        with self._lock:
            self._pins[digest] += 1
        try:
            return self._verified(location, digest) or self._fetched(storage, location, digest, on_size)
        except BaseException:
            self.give_back(self._root / digest)
            raise

    def give_back(self, folder: Path) -> None:
        """What ``obtain`` gave is not needed any more."""
        with self._lock:
            self._pins[folder.name] -= 1
            self._make_room()

    def clear(self) -> bool:
        """Removes all that is not in use, to give its room to what matters more; tells whether any went. Blocks."""
        with self._lock:
            before = len(self._sizes)
            self._shrink(0)
            return len(self._sizes) < before

    def _verified(self, location: CheckpointLocation, digest: str) -> Path | None:
        with self._lock:
            if digest not in self._sizes:
                return None
            self._sizes[digest] = self._sizes.pop(digest)  # used last
        folder = self._root / digest
        try:
            manifest = decode(_manifest_path(folder).read_bytes(), location, digest)
            for file, entry in manifest.files.items():
                path = folder / file
                if path.stat().st_size != entry.size_bytes or digest_of(path) != entry.digest:
                    raise CheckpointCorrupt(f"{path} is not what was published.")
        except (CheckpointCorrupt, OSError) as error:
            logger.warning(
                "cached_checkpoint_is_not_usable", extra={"location": str(location), "why": str(error)}
            )
            with self._lock:
                self._remove(digest)
            return None
        return folder

    def _fetched(
        self, storage: Storage, location: CheckpointLocation, digest: str, on_size: Callable[[int], None]
    ) -> Path:
        folder = self._root / f".{digest}.{uuid.uuid4().hex}"
        manifest = storage.manifest(location, digest)
        on_size(manifest.size_bytes)
        storage.fetch(location, folder, digest)
        return self._enter(manifest, digest, folder)

    def _enter(self, manifest: Manifest, digest: str, folder: Path) -> Path:
        final = self._root / digest
        with self._lock:
            if digest in self._sizes:
                shutil.rmtree(folder)
                return final
            folder.rename(final)
            _manifest_path(final).write_bytes(manifest.encode())
            self._sizes[digest] = manifest.size_bytes
            self._size_bytes += manifest.size_bytes
            self._make_room()
        return final

    def _make_room(self) -> None:
        self._shrink(min(self.limit_bytes, shutil.disk_usage(self._root).free // 2))

    def _shrink(self, limit_bytes: int) -> None:
        if self._size_bytes <= limit_bytes:
            return
        for digest in list(self._sizes):
            if self._size_bytes <= limit_bytes:
                return
            if not self._pins[digest]:
                self._remove(digest)

    def _remove(self, digest: str) -> None:
        folder = self._root / digest
        _manifest_path(folder).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        self._size_bytes -= self._sizes.pop(digest, 0)

    def _find(self) -> None:
        """What an earlier life left: whole entries are kept, others removed."""
        entries = [path for path in self._root.iterdir() if path.is_dir()]
        for folder in sorted(entries, key=lambda path: (path.stat().st_mtime, path.name)):
            manifest = _manifest_path(folder)
            if folder.name.startswith(".") or not manifest.exists():
                shutil.rmtree(folder)
            else:
                size_bytes = sum(file.stat().st_size for file in folder.iterdir())
                self._sizes[folder.name] = size_bytes
                self._size_bytes += size_bytes
        for manifest in self._root.glob("*.manifest"):
            if manifest.stem not in self._sizes:
                manifest.unlink()
        self._make_room()


def _manifest_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.manifest")
