"""Ends all that a subject has started, wherever that is: workers of pools, commands of commands, daemons.

The process that measures has a mark in its environment. What it starts inherits that, also in a session of its own, and
where its parent has gone. What is given another environment, as PostgreSQL is, is found as a descendant.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path

MARK = "BENCHMARKS_MARK"
GRACE_SECONDS = 10.0
"""What processes have to end by themselves, as a server that stops its database."""
KILLING_SECONDS = 5.0
"""What the kernel has to end what is killed."""
POLL_SECONDS = 0.02


@contextmanager
def marked(mark: str) -> Iterator[None]:
    """What is started meanwhile has the mark."""
    resource_tracker.ensure_running()  # this process's own, which each start of a process needs, has none
    os.environ[MARK] = mark
    try:
        yield
    finally:
        del os.environ[MARK]


def end_all(mark: str, grace_seconds: float = GRACE_SECONDS) -> None:
    """Ends all processes with a mark, and what they have started; but this one.

    Args:
        mark: As given to ``marked``.
        grace_seconds: What is still there after so long is killed.
    """
    told: set[int] = set()
    deadline = time.monotonic() + grace_seconds
    while (there := _running(mark, told)) and time.monotonic() < deadline + KILLING_SECONDS:
        number = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        for pid in there if number == signal.SIGKILL else there - told:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        told |= there
        time.sleep(POLL_SECONDS)


def _running(mark: str, told: set[int]) -> set[int]:
    """Those with the mark or that were told before, and their descendants, as far as they have not ended."""
    wanted = f"{MARK}={mark}".encode()
    children: dict[int, list[int]] = {}
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            # multiprocessing's tracker ignores signals, and ends with the last process that it serves.
            if state in "ZX" or b"multiprocessing.resource_tracker" in (folder / "cmdline").read_bytes():
                continue
            children.setdefault(int(parent), []).append(pid)
            if pid in told or wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:  # it has ended, or is somebody else's
            continue
    reached: set[int] = set()
    while found:
        pid = found.pop()
        if pid not in reached:
            reached.add(pid)
            found += children.get(pid, ())
    return reached - {os.getpid()}
