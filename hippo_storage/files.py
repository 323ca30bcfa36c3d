"""The file operations that durability rests on, one method each, so that tests can record them or let them
fail.

What makes a file durable on POSIX: its bytes are flushed out of the process, the file is fsynced, and so
is every folder on whose entries it depends. A rename is atomic, but durable only after the folder's
fsync.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path

from blake3 import blake3

from hippo_storage.disk_sync import sync_file_system

CHUNK_BYTES = 1 << 20

# A hard link may be impossible for many a reason: another file system, one without links, a limit of links.
_NO_LINK = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}
)


def no_hook(point: str) -> None:
    """Passes every named point."""


class DurableFiles:
    """Operations on the local file system.

    Subclasses may record or fail; what the storage writes, it writes by these and by no other way.
    """

    def make_folder(self, folder: Path) -> None:
        """Makes one folder whose parent exists; raises FileExistsError if it is there."""
        folder.mkdir()

    def write(self, path: Path, data: bytes | memoryview) -> None:
        """Writes a new file; its bytes are with the system, but not durable, afterwards."""
        with path.open("xb", buffering=0) as file:
            write_all(file, memoryview(data))

    def copy(self, source: Path, target: Path) -> str:
        """Copies a file to a new one, and returns the blake3 of what was copied."""
        hasher = blake3()
        with source.open("rb", buffering=0) as reader, target.open("xb", buffering=0) as writer:
            for chunk in chunks(reader):
                hasher.update(chunk)
                write_all(writer, chunk)
        return hasher.hexdigest()

    def link(self, source: Path, target: Path) -> bool:
        """Gives a file a second name; False where the file system cannot."""
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NO_LINK:
                return False
            raise
        return True

    def sync(self, path: Path) -> None:
        """Makes a file's bytes durable."""
        _fsync(path, os.O_RDONLY)

    def sync_folder(self, folder: Path) -> None:
        """Makes a folder's entries durable."""
        _fsync(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))

    def sync_file_system(self, folder: Path, size_bytes: int) -> bool:
        """Makes all durable that was written to a folder's file system, about so many bytes; False where each file and
        folder is to be synced instead.
        """
        return sync_file_system(folder, size_bytes)

    def rename(self, source: Path, target: Path) -> None:
        """Renames atomically; a file at ``target`` is replaced, a folder that is not empty is not."""
        source.rename(target)

    def unlink(self, path: Path) -> None:
        """Removes a file if it is there."""
        path.unlink(missing_ok=True)

    def remove_tree(self, folder: Path) -> None:
        """Removes a folder with all that is in it, if it is there."""
        if folder.exists():
            shutil.rmtree(folder)


def chunks(file: RawIOBase) -> Iterator[memoryview]:
    """The bytes of an open file in pieces of 1 MiB, all in one buffer: use each before taking the next."""
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while count := file.readinto(buffer):
        yield buffer[:count]


def write_all(file: RawIOBase, data: memoryview) -> None:
    """Writes bytes to an unbuffered file, however few of them the system takes at a time."""
    while data:
        written = file.write(data[:CHUNK_BYTES])
        if not written:
            raise OSError(errno.EIO, "nothing could be written")
        data = data[written:]


def digest_of(path: Path) -> str:
    """blake3 of a file, in hexadecimal."""
    hasher = blake3()
    with path.open("rb", buffering=0) as file:
        for chunk in chunks(file):
            hasher.update(chunk)
    return hasher.hexdigest()


def make_folders(files: DurableFiles, folder: Path) -> None:
    """Makes a folder and what lacks above it, durably: each new entry's folder is fsynced, top-most first."""
    lacking = []
    above = folder
    while not above.is_dir():
        lacking.append(above)
        above = above.parent
    for each in reversed(lacking):
        try:
            files.make_folder(each)
        except FileExistsError:
            # Another writer made it between the look and the making; its fsync may still be to come.
            if not each.is_dir():
                raise
        files.sync_folder(each.parent)


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
