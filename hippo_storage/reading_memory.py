"""Memory that states are read into, used again where nobody has kept it.

New memory costs as much as what is read into it: the system clears each page when it is first touched, and takes them
back when the state is let go of. Most trainers copy what they load into tensors of their own; what they keep is theirs.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from hippo_storage.large_pages import ask_for_large_pages

if TYPE_CHECKING:
    import torch

LEAST_BYTES = 1 << 20  #: the memory of smaller tensors is the allocator's


class ReadingMemory:
    """What was read into, and waits to be again. Used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spare: dict[int, list[torch.Tensor]] = {}  # by size in bytes

    def for_state(self) -> StateMemory:
        """For one state that is to be read."""
        return StateMemory(self)

    def take(self, size_bytes: int) -> torch.Tensor:
        """So many bytes, with anything in them."""
        with self._lock:
            if of_size := self._spare.get(size_bytes):
                return of_size.pop()
        return new_memory(size_bytes)

    def keep(self, memory: list[torch.Tensor]) -> None:
        """Keeps memory that nobody uses, in place of what was kept before."""
        by_size: dict[int, list[torch.Tensor]] = {}
        for each in memory:
            by_size.setdefault(each.numel(), []).append(each)
        with self._lock:
            self._spare = by_size

    def clear(self) -> bool:
        """Gives all back to the system; whether there was any."""
        with self._lock:
            had, self._spare = any(self._spare.values()), {}
        return had


class StateMemory:
    """The memory of one state.

    Args:
        source: Where it comes from, and goes back to.
    """

    def __init__(self, source: ReadingMemory) -> None:
        self._source = source
        # With each: who holds it where nobody else does.
        self._lent: list[tuple[torch.Tensor, tuple[int, int]]] = []

    def take(self, size_bytes: int) -> torch.Tensor:
        """So many bytes, to be filled whole."""
        if size_bytes < LEAST_BYTES:
            return new_memory(size_bytes)
        memory = self._source.take(size_bytes)
        self._lent.append((memory, _holders(memory)))
        return memory

    def give_back(self, most_bytes: int) -> None:
        """The state has been let go of: what nobody has kept of its memory is kept for the next, if it is not more."""
        lent, self._lent = self._lent, []
        unused = [memory for memory, holders in lent if _is_unused(memory, holders)]
        if sum(memory.numel() for memory in unused) <= most_bytes:
            self._source.keep(unused)

    @property
    def is_lent(self) -> bool:
        """Whether there is any to be given back."""
        return bool(self._lent)


def new_memory(size_bytes: int) -> torch.Tensor:
    """New memory: torch's own, aligned as its kernels like it, since on alignment may depend which kernel runs.

    Raises:
        MemoryError: There is not so much.
    """
    import torch

    try:
        memory = torch.empty(size_bytes, dtype=torch.uint8)
    except RuntimeError as error:  # what torch makes of it
        raise MemoryError(str(error)) from error
    ask_for_large_pages(memory.data_ptr(), size_bytes)
    return memory


def _is_unused(memory: torch.Tensor, holders: tuple[int, int]) -> bool:
    """Whether memory is held as it was when nobody else had it, and is still this process's alone."""
    return _holders(memory) == holders and not memory.untyped_storage().is_shared()


def _holders(memory: torch.Tensor) -> tuple[int, int]:
    """How often the storage of a tensor is held: by tensors and the like, and by Python, where that sees it."""
    import torch

    storage = memory.untyped_storage()
    return int(torch._C._storage_Use_Count(storage._cdata)), sys.getrefcount(storage)
