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
        self._idle = idle
        self._current: Path | None = None
        self.to_idle()
        for stream in (sys.stdout, sys.stderr):
            # A line shall be readable when it was printed, not when 8 KiB have come together.
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(line_buffering=True, errors="backslashreplace")

    def to_idle(self) -> None:
        """What is printed from now on belongs to no path."""
        self._switch(self._idle)

    def to_node(self, folder: Path, node: int) -> None:
        """What is printed from now on belongs to ``node`` of the path whose logs lie in ``folder``."""
        self._switch(folder / f"{node}.log")

    def _switch(self, path: Path) -> None:
        if path == self._current:
            return
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
        path.parent.mkdir(parents=True, exist_ok=True)
        # Appending keeps pieces of several writers (DataLoader workers) whole, and lets the daemon cut the file.
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.dup2(file, 1)
            os.dup2(file, 2)
        finally:
            os.close(file)
        self._current = path
