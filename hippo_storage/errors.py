"""Errors of storage, as part of the tree of ``hippo_core.errors``.

::

    HippoError
    ├── StorageError              the storage could not do it: names the path and the system's words
    │   ├── StorageFull           no space is left, or the quota is used up
    │   ├── CheckpointMissing     no complete checkpoint lies there: no manifest, or a file lacks
    │   ├── CheckpointCorrupt     a file differs from what its manifest says, or the manifest is no manifest
    │   └── BundleCorrupt         a bundle's bytes differ from its digest
    └── StateError                a trainer's state holds what cannot be saved, or saved bytes are not a state
"""

from __future__ import annotations

import errno

from hippo_core.errors import HippoError


class StorageError(HippoError):
    """The storage could not do what was asked; trying again may help once the cause is gone."""

    code = "STORAGE"
    retryable = True


class StorageFull(StorageError):
    """No space is left, or the quota is used up."""

    code = "STORAGE_FULL"


class CheckpointMissing(StorageError):
    """No complete checkpoint lies there; trying again does not help."""

    code = "CHECKPOINT_MISSING"
    retryable = False


class CheckpointCorrupt(StorageError):
    """A checkpoint's bytes are not those that were published; trying again does not help."""

    code = "CHECKPOINT_CORRUPT"
    retryable = False


class BundleCorrupt(StorageError):
    """A bundle's bytes differ from its digest; trying again does not help."""

    code = "BUNDLE_CORRUPT"
    retryable = False


class StateError(HippoError):
    """A trainer's state cannot be saved or read.

    Args:
        path: Where in the state, as in ``optimizer.state[0].hook``; empty for the whole.
        message: What is wrong there.
        hint: What to do about it.
    """

    code = "STATE"

    def __init__(self, path: str, message: str, hint: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message, hint)
        self.path = path


def storage_error(
    error: OSError, doing: str, need_bytes: int | None = None, free_bytes: int | None = None
) -> StorageError:
    """Puts a system's error into words.

    Args:
        error: What the system said.
        doing: What was tried, with the path: ``writing /mnt/x``.
        need_bytes: How much was to be written, where known.
        free_bytes: How much is free, where known.
    """
    reason = error.strerror or str(error) or type(error).__name__
    if is_full(error):
        told = {"need": need_bytes, "free": free_bytes}
        sizes = ", ".join(f"{word} {_in_units(size)}" for word, size in told.items() if size is not None)
        return StorageFull(
            f"The storage is full{f' ({sizes})' if sizes else ''}: {doing}: {reason}.",
            "Free space: `hippo checkpoint gc` lets go what nobody waits for. Saving goes on by itself then.",
        )
    return StorageError(f"The storage failed: {doing}: {reason}.", "Look at the storage; it is tried again.")


def is_full(error: OSError) -> bool:
    """Whether the system said that no space is left, or no quota."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _in_units(size_bytes: int) -> str:
    size, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.4g} {unit}"
