"""A server's home, held by one server at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from hippo_core.errors import Conflict, InvalidStudy


class HeldHome:
    """Holds a home until it is let go; the system lets go of it when the process dies.

    Args:
        home: Hippo's home folder, for words.
        file: What is locked there.

    Raises:
        Conflict: Another server holds it.
        InvalidStudy: The home cannot be written.
    """

    def __init__(self, home: Path, file: Path) -> None:
        try:
            self._lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InvalidStudy("home", f"{file} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._lock, 32).decode("ascii", "replace").strip()
            os.close(self._lock)
            raise Conflict(
                f"Another server (process {holder or 'unknown'}) uses the home {home}.",
                "Use that server, or stop it first. A server that is to stand by for it needs a home of its own, "
                "and both the same --database-url and --storage: an embedded database has no standby.",
            ) from None
        os.ftruncate(self._lock, 0)
        os.write(self._lock, f"{os.getpid()}\n".encode())

    def let_go(self) -> None:
        """Lets another server use the home."""
        os.close(self._lock)
