"""Checking bytes against what a manifest or a name says of them, and the errors that tell of a difference."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blake3 import blake3

from hippo_core.errors import NotFound
from hippo_storage.errors import BundleCorrupt, CheckpointCorrupt, CheckpointMissing, is_full, storage_error
from hippo_storage.manifest import CheckpointLocation, FileEntry

_FALL_BACK = "The nearest good one before it is used instead."
_SUBMIT_AGAIN = "Submit the study again; its code is sent along then."


def missing(location: CheckpointLocation, reason: str) -> CheckpointMissing:
    """The error for a checkpoint that is not there, or not whole."""
    return CheckpointMissing(f"The checkpoint {location} is missing: {reason}.", _FALL_BACK)


def verified(
    location: CheckpointLocation, name: str, entry: FileEntry, pieces: Iterator[bytes]
) -> Iterator[bytes]:
    """Passes a file's pieces on, the last one only once the whole is known to be right; at least one."""
    hasher = blake3()
    size_bytes = 0
    held = b""
    for piece in pieces:
        hasher.update(piece)
        size_bytes += len(piece)
        if size_bytes > entry.size_bytes:
            break  # whatever follows, it is wrong
        if held:
            yield held
        held = piece
    require_entry(location, name, entry, size_bytes, hasher.hexdigest())
    yield held


def require_entry(
    location: CheckpointLocation, name: str, entry: FileEntry, size_bytes: int, digest: str
) -> None:
    """Raises CheckpointCorrupt where a file has another length or digest than its manifest says."""
    if size_bytes != entry.size_bytes:
        raise wrong_length(location, name, entry, size_bytes)
    if digest != entry.digest:
        raise corrupt(location, name, f"its blake3 digest is {digest}, not {entry.digest}")


def wrong_length(
    location: CheckpointLocation, name: str, entry: FileEntry, size_bytes: int
) -> CheckpointCorrupt:
    """The error for a file of at least so many bytes, which are not as many as its manifest says."""
    return corrupt(location, name, f"it has {size_bytes} bytes or more, not {entry.size_bytes}")


def corrupt(location: CheckpointLocation, name: str, what: str) -> CheckpointCorrupt:
    """The error for a file that differs from its manifest."""
    return CheckpointCorrupt(f"The checkpoint {location} is corrupt: {name}: {what}.", _FALL_BACK)


def bundle_missing(digest: str) -> NotFound:
    """The error for a bundle that is not there."""
    return NotFound(f"There is no bundle {digest}.", _SUBMIT_AGAIN)


def bundle_corrupt(digest: str, found: str) -> BundleCorrupt:
    """The error for an archive that has another digest than its name."""
    return BundleCorrupt(
        f"The bundle {digest} is corrupt: its blake3 digest is {found}.",
        _SUBMIT_AGAIN,
    )


@contextmanager
def in_words(doing: str, need_bytes: int | None = None, disk: Path | None = None) -> Iterator[None]:
    """Turns the system's errors into those of storage, saying what was being done.

    Args:
        doing: What is tried, with the path.
        need_bytes: How much is to be written, where known.
        disk: A folder of the disk that is written to: where it is full, it is told how much is free.
    """
    try:
        yield
    except OSError as error:
        free_bytes = None
        if disk is not None and is_full(error):
            with suppress(OSError):
                free_bytes = shutil.disk_usage(disk).free
        raise storage_error(error, doing, need_bytes, free_bytes) from error


@contextmanager
def lacking(location: CheckpointLocation, name: str) -> Iterator[None]:
    """A file that is not found is a checkpoint that is missing."""
    try:
        yield
    except FileNotFoundError as error:
        raise missing(location, f"{name} lacks") from error
