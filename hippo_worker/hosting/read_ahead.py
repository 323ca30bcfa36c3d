"""Reading the state that the next path starts from, while the present one trains.

One state at most waits to be loaded, and only where there is room for it: it is a second one beside the trainer's own.
What goes wrong here is nobody's failure: the path then reads its state itself, when its turn has come.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hippo_storage.reading_memory import ReadingMemory, StateMemory
from hippo_storage.state import read
from hippo_worker.hosting.runtime import CPU
from hippo_worker.memory import available_bytes

#: Of the memory that is available, as all slots of a machine may read ahead at the same time.
MEMORY_PART = 0.1
#: Likewise, of what a loaded state leaves for the next one, which each slot keeps for as long as its runner lives.
SPARE_PART = 0.02
MOST_SPARE_BYTES = 512 << 20


class ReadAhead:
    """Reads states on a thread of its own, in the order in which paths are expected.

    Args:
        device: "cpu" or "cuda". Nothing is read ahead for a GPU, where the state would lie in the GPU's memory beside
            the trainer that uses it.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._changed = threading.Condition()
        self._expected: dict[int, Path] = {}  # by fence, in order
        self._reading: int | None = None  # the fence for which a state is being read
        self._ready: tuple[int, _Read] | None = None  # a fence, and the state that was read for it
        self._memory = ReadingMemory()
        self._loading: StateMemory | None = None  # that of the state that is being loaded
        self._is_starting = False  # a path reads or loads its state, and the next one's would be one more
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def expect(self, fence: int, folder: Path) -> None:
        """A path will start from the state in a folder of verified files, after those that were expected before.

        Raises:
            RuntimeError: The system has no further thread.
        """
        if self._device != CPU:
            return
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._read_all, name="hippo-reader", daemon=True)
                thread.start()
                self._thread = thread
            self._expected[fence] = folder
            self._changed.notify_all()

    def take(self, fence: int, folder: Path) -> Any:
        """The state that a path starts from, read ahead or now.

        Raises:
            HippoError, OSError, MemoryError, torch.OutOfMemoryError: See `hippo_storage.state.read`.
        """
        with self._changed:
            self._is_starting = True
            self._expected.pop(fence, None)
            self._changed.wait_for(lambda: self._reading != fence)
            if self._ready is not None and self._ready[0] == fence:
                found, self._ready = self._ready[1], None
                self._loading = found.memory
                return found.state
        try:
            return self._read(folder)
        except MemoryError:
            with self._changed:
                # Another path's has time to be read again.
                is_ready, self._ready = self._ready is not None, None
            if not (self._memory.clear() or is_ready):
                raise
        return self._read(folder)

    def _read(self, folder: Path) -> Any:
        self._loading = self._memory.for_state()
        return read(folder, self._device, self._loading)

    def forget(self, fence: int) -> None:
        """A path's state is loaded, or not needed: the next one's may be read."""
        with self._changed:
            self._expected.pop(fence, None)
            if self._reading == fence:
                self._reading = None
            if self._ready is not None and self._ready[0] == fence:
                self._ready = None
            self._changed.notify_all()

    def has_started(self, fence: int) -> None:
        """A path has its trainer in the state that it starts from, or has failed; nobody has that state any more."""
        loading, self._loading = self._loading, None
        if loading is not None and loading.is_lent:
            loading.give_back(min(MOST_SPARE_BYTES, int(SPARE_PART * available_bytes())))
        with self._changed:
            self._is_starting = False
        self.forget(fence)

    def close(self) -> None:
        """Lets the thread end, and gives back all memory."""
        with self._changed:
            self._is_closed, self._ready = True, None
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._loading = None
        self._memory.clear()

    def _may_read(self) -> bool:
        return bool(self._expected) and self._ready is None and not self._is_starting

    def _read_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._may_read())
                if self._is_closed:
                    return
                fence = next(iter(self._expected))
                folder = self._expected.pop(fence)
                self._reading = fence
            ready = _read_if_fits(folder, self._memory.for_state())
            with self._changed:
                if self._reading == fence and not self._is_closed:
                    self._ready = None if ready is None else (fence, ready)
                self._reading = ready = None
                self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class _Read:
    """A state that was read, and the memory that it was read into."""

    state: Any
    memory: StateMemory


def _read_if_fits(folder: Path, memory: StateMemory) -> _Read | None:
    """The state in a folder; None where there is too little room for it, or it cannot be read."""
    try:
        if sum(file.stat().st_size for file in folder.iterdir()) > MEMORY_PART * available_bytes():
            return None
        return _Read(read(folder, CPU, memory), memory)
    except Exception:  # noqa: BLE001  the path tells, when it reads it itself
        return None
