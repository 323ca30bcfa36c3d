"""Digests that travel beside files from the one who writes them to the one who publishes them.

A file is hashed once, while it is written and its bytes are in the processor's cache. The digests wait in
a hidden file of the folder until `Storage.publish` takes them into the manifest. So the digest in a
manifest is that of what was meant to be written, not of what a disk gave back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from blake3 import blake3

from hippo_storage.files import CHUNK_BYTES, write_all
from hippo_storage.manifest import FileEntry

DRAFT = ".digests.json"


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


def write_draft(folder: Path, entries: Mapping[str, FileEntry]) -> None:
    """Leaves the files' digests in their folder."""
    body = {name: [entry.size_bytes, entry.digest] for name, entry in entries.items()}
    (folder / DRAFT).write_text(json.dumps(body, sort_keys=True))


def read_draft(folder: Path) -> dict[str, FileEntry]:
    """The digests that lie in a folder; empty where none do, or where what lies there makes no sense."""
    try:
        body = json.loads((folder / DRAFT).read_text())
        return {name: FileEntry(size_bytes=size, digest=digest) for name, (size, digest) in body.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        # Only a short cut: without it the publisher hashes the files itself.
        return {}
