"""What user code prints, caught at the file descriptors, so that no printing library or child escapes it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

SETUP_LOG = "setup.log"  #: beside the file for what no path prints


class Capture:
    """Points the process's standard output and error at one file at a time.

    Args:
        idle: The file for what is printed while no path is trained: imports, crashes.
    """

    def __init__(self, idle: Path) -> None:
        idle.parent.mkdir(parents=True, exist_ok=True)
        self._idle = _open(idle)
        self._setup_path = idle.with_name(SETUP_LOG)
        self._setup: int | None = None  # the file for what a trainer prints that is made for a path to come
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
        """What is printed from now on, before the next path begins, is that path's: its trainer is made. So is what
        processes print later that are started meanwhile.
        """
        self._setup = _open(self._setup_path)
        self._print_to(self._setup)

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
        file = self._file_of(fence, path)
        try:
            self._print_to(file)
        finally:
            os.close(file)
        self._current = path

    def _file_of(self, fence: int, path: Path) -> int:
        """Opens the file of a path, unless that was done ahead."""
        ready = self._ready.get(fence)
        if self._setup is None and ready is not None and ready[0] == path:
            return self._ready.pop(fence)[1]
        self.let_go(fence)
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._setup is None:
            return _open(path)
        # Its trainer's, as it is: processes of the trainer have it open.
        self._setup_path.rename(path)
        file, self._setup = self._setup, None
        return file

    def _print_to(self, file: int) -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
        os.dup2(file, 1)
        os.dup2(file, 2)


def _open(path: Path) -> int:
    # Appending keeps pieces of several writers (DataLoader workers) whole, and lets the daemon cut the file.
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
