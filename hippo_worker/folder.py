"""A worker's data folder: held by one daemon at a time, and cleared of what an earlier life left running or lying."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from hippo_core.errors import Conflict, InvalidStudy
from hippo_worker.slots.variables import MARK

LEFTOVER_SECONDS = 5.0

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds a data folder for as long as the context lasts; the system lets go of it when the process dies.

    Raises:
        InvalidStudy: The folder cannot be made or written.
        Conflict: Another daemon holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InvalidStudy(
            "data-dir", f"{folder} cannot be used: {error.strerror}", "Name a folder that can be written."
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"another hippo-worker uses {folder}.",
                "Give each its own with --data-dir, and its own --name.",
            ) from None
        yield
    finally:
        os.close(lock)


def sweep(folder: Path) -> Path:
    """Ends what an earlier life left running, and empties the spool. Returns the spool.

    To be called by the one who holds the folder: whoever else bears its mark is a leftover.
    """
    import psutil

    # Again until none is left: one that was just being killed may have been starting another.
    while found := leftovers(folder):
        logger.warning("processes_of_an_earlier_life_are_ended", extra={"pids": found})
        ending = []
        for pid in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                ending.append(psutil.Process(pid))
                ending[-1].kill()
        psutil.wait_procs(ending, timeout=LEFTOVER_SECONDS)
    spool = folder / "spool"
    if spool.exists():
        shutil.rmtree(spool)
    spool.mkdir()
    return spool


def leftovers(folder: Path) -> list[int]:
    """Processes that were born into the environment of a daemon with this data folder, without this one."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(MARK) == str(folder)
        except psutil.Error:
            continue  # another user's, or just gone
        if marked and process.pid != os.getpid():
            found.append(process.pid)
    return sorted(found)
