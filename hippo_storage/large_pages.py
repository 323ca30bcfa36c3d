"""Large pages for memory that is about to be filled whole: a fault for each 4 KB would cost more than the copy."""

from __future__ import annotations

import ctypes
import mmap
import sys
from functools import cache
from typing import Any

LEAST_BYTES = 4 << 20  #: smaller memory gains little


def ask_for_large_pages(address: int, size_bytes: int) -> None:
    """Asks the system for large pages. Only advice: where it has none, nothing changes.

    Args:
        address: Where the memory begins.
        size_bytes: How long it is; memory below `LEAST_BYTES` is left alone.
    """
    if size_bytes < LEAST_BYTES or (library := _library()) is None:
        return
    first = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
    whole = (address + size_bytes - first) // mmap.PAGESIZE * mmap.PAGESIZE
    library.madvise(ctypes.c_void_p(first), ctypes.c_size_t(whole), mmap.MADV_HUGEPAGE)


@cache
def _library() -> Any:
    """The C library, where large pages can be asked for; else None."""
    if sys.platform != "linux" or not hasattr(mmap, "MADV_HUGEPAGE"):
        return None
    return ctypes.CDLL(None)
