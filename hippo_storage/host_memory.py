"""Memory of the host that states are copied into, pinned where a GPU is to copy into it at full speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

ALIGNED_BYTES = 64
PAGE_BYTES = 4096

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """How much memory a state takes, and whether parts of it come from GPUs."""

    size_bytes: int
    from_gpus: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HostMemory:
    """Memory whose pages are there.

    Attributes:
        buffer: Its bytes.
        pinned: The same, where a GPU can copy into it at full speed.
    """

    buffer: Bytes
    pinned: torch.Tensor | None = None

    def serves(self, need: Need) -> bool:
        """Whether a state can be copied into it as well as into memory of its own."""
        return len(self.buffer) >= need.size_bytes and (self.pinned is not None or not need.from_gpus)


def allocate(need: Need) -> HostMemory:
    """New memory.

    Raises:
        MemoryError: There is not so much.
    """
    if need.from_gpus:
        from hippo_storage import device_copy

        if (pinned := device_copy.pinned(need.size_bytes)) is not None:
            return HostMemory(buffer=pinned.numpy(), pinned=pinned)
    memory = np.empty(need.size_bytes + ALIGNED_BYTES, np.uint8)
    # Where it is not aligned as tensors are, copying into it takes twice as long.
    first = -memory.ctypes.data % ALIGNED_BYTES
    buffer = memory[first : first + need.size_bytes]
    buffer[::PAGE_BYTES] = 0  # the pages come now, and not while a state is copied
    return HostMemory(buffer=buffer)
