"""One call that makes durable all that was written to a file system, instead of an fsync for each file and folder.

Each fsync waits for the disk: a dozen for a checkpoint, and hundreds where many come together. ``syncfs`` waits once,
but for everybody's bytes. So it is used only on file systems of which it is known that it makes names and bytes
durable, on a kernel that tells of errors by it (Linux 5.8), and while little else waits to be written.

What it tells of an error it tells once, and not whose bytes are lost: they may be of a state that is written only now,
and published next. Each file's own fsync still tells of them. So after an error nothing is synced by it any more.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

OTHERS_BYTES = 256 << 20  #: of others may wait to be written
TELLS_OF_ERRORS = (5, 8)
_KNOWN = frozenset({0xEF53, 0x58465342, 0x9123683E})  #: ext2 to ext4, XFS, Btrfs: statfs(2)
_STATFS_BYTES = 512

_failed: list[Path] = []  #: the folder with which an error was told of, if any was


def sync_file_system(folder: Path, size_bytes: int) -> bool:
    """Makes durable all that lies in a folder's file system, names and bytes.

    Args:
        folder: Any folder there.
        size_bytes: How many bytes are to become durable, about.

    Returns:
        Whether it did; else each file and folder is to be synced, which tells of what could not be made durable.
    """
    library = _library()
    if library is None or _failed or _dirty_bytes() > size_bytes + OTHERS_BYTES:
        return False
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        about = ctypes.create_string_buffer(_STATFS_BYTES)
        if library.fstatfs(descriptor, about) != 0:
            return False
        if ctypes.c_long.from_buffer(about).value not in _KNOWN:  # the first field is the kind
            return False
        if library.syncfs(descriptor) != 0:
            error = os.strerror(ctypes.get_errno())
            logger.warning("file_system_is_not_synced", extra={"folder": str(folder), "why": error})
            _failed.append(folder)
            return False
    finally:
        os.close(descriptor)
    return True


@cache
def _library() -> Any:
    """The C library, where the kernel is one that this is known to hold for; else None."""
    if sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}:
        return None
    numbers = platform.release().split(".")[:2]
    if not all(number.isdecimal() for number in numbers) or tuple(map(int, numbers)) < TELLS_OF_ERRORS:
        return None
    return ctypes.CDLL(None, use_errno=True)


def _dirty_bytes() -> int:
    """How many bytes wait to be written, on all disks together."""
    found = 0
    with Path("/proc/meminfo").open("rb") as file:
        for line in file:
            if line.startswith((b"Dirty:", b"Writeback:")):
                found += int(line.split()[1]) << 10
    return found
