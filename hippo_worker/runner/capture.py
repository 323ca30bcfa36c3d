"""What user code prints, caught at the file descriptors, so that no printing library or child escapes it."""

from __future__ import annotations

import os
import sys
from pathlib import Path


class Capture:
    """Points the process's standard output and error at one file at a time.

    Args:
        idle: The file for what is printed while no path is trained: imports, crashes.
    """

    def __init__(self, idle: Path) -> None:
        idle.parent.mkdir(parents=True, exist_ok=True)
        self._idle_path = idle
        self._idle = _open(idle)
        self._kept_from: int | None = None
        self._current: Path | None = None
        self._ready: dict[int, tuple[Path, int]] = {}  # by fence: a file that is open already
        self.to_idle()
        for stream in (sys.stdout, sys.stderr):
            # A line shall be readable when it was printed, not when 8 KiB have come together.
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(line_buffering=True, errors="backslashreplace")

    def to_idle(self) -> None:
        """What is printed from now on belongs to no path."""
        self._print_to(self._idle)
        self._current = None

    def keep_for_next(self) -> None:
        """What is printed from now on, before the next path begins, is that path's: its trainer is made."""
        self._kept_from = os.fstat(self._idle).st_size

    def get_ready(self, fence: int, folder: Path, node: int) -> None:
        """Opens the file of a path that is to come, from another thread: making files waits for the disk."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{node}.log"
        self._ready[fence] = (path, _open(path))

    def let_go(self, fence: int) -> None:
        """The path does not come."""
        if (ready := self._ready.pop(fence, None)) is not None:
            os.close(ready[1])

    def to_node(self, fence: int, folder: Path, node: int) -> None:
        """What is printed from now on belongs to ``node`` of a path whose logs lie in ``folder``."""
        path = folder / f"{node}.log"
        if path == self._current:
            return
        ready = self._ready.get(fence)
        if ready is not None and ready[0] == path:
            file = self._ready.pop(fence)[1]
        else:
            self.let_go(fence)
            folder.mkdir(parents=True, exist_ok=True)
            file = _open(path)
        try:
            self._print_to(file)
        finally:
            os.close(file)
        self._current = path
        if self._kept_from is not None:
            kept_from, self._kept_from = self._kept_from, None
            _copy(self._idle_path, kept_from)

    def _print_to(self, file: int) -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
        os.dup2(file, 1)
        os.dup2(file, 2)


def _copy(path: Path, start: int) -> None:
    """Prints what stands in a file from some byte on."""
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(1 << 16):
            os.write(1, piece)


def _open(path: Path) -> int:
    # Appending keeps pieces of several writers (DataLoader workers) whole, and lets the daemon cut the file.
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
