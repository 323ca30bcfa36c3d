"""Unpacked bundles on the local disk, by digest: fetched and unpacked once, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

from hippo_storage.bundle import unpack
from hippo_storage.storage import Storage

KEPT_BUNDLES = 16


class BundleCache:
    """Folders of code.

    Args:
        root: Where they lie; what an earlier life left half-done there is removed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        root.mkdir(parents=True, exist_ok=True)
        for leftover in root.glob(".*"):
            shutil.rmtree(leftover)
        newest_first = sorted(root.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for old in newest_first[KEPT_BUNDLES:]:
            shutil.rmtree(old)

    def obtain(self, storage: Storage, digest: str) -> Path:
        """The folder of a bundle; fetches it from the storage if it is not here. Blocks.

        Raises:
            HippoError: The storage lacks it, or failed.
        """
        folder = self._root / digest
        with self._lock:
            if not folder.is_dir():
                self._fetch(storage, digest, folder)
            os.utime(folder)
        return folder

    def _fetch(self, storage: Storage, digest: str, folder: Path) -> None:
        temporary = Path(tempfile.mkdtemp(prefix=".", dir=self._root))
        try:
            archive = temporary / "archive"
            storage.get_bundle(digest, archive)
            unpack(archive, folder)
        finally:
            shutil.rmtree(temporary)
