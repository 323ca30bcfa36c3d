"""Files that are hashed once, while they are written and their bytes are in the processor's cache.

The digests go to the one who publishes the files, by `Storage.publish` into the manifest. So the digest in a manifest
is that of what was meant to be written, not of what a disk gave back.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from blake3 import blake3

from hippo_storage.files import CHUNK_BYTES, write_all
from hippo_storage.manifest import FileEntry


class HashingWriter:
    """Writes a new file and hashes it on the way; a context manager.

    Args:
        path: The file; it must not exist.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self._hasher = blake3()
        self._size_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Writes bytes, in pieces that other threads can run between."""
        view = memoryview(data)
        if not view.nbytes:
            return
        view = view.cast("B")
        for start in range(0, len(view), CHUNK_BYTES):
            piece = view[start : start + CHUNK_BYTES]
            self._hasher.update(piece)
            write_all(self._file, piece)
        self._size_bytes += len(view)

    @property
    def entry(self) -> FileEntry:
        """Length and digest of what was written so far."""
        return FileEntry(size_bytes=self._size_bytes, digest=self._hasher.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
