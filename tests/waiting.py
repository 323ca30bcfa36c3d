"""Waiting for what another thread or process brings about, and does not announce.

Where there is an event, a process's end or an answer to wait for, wait for that.
"""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01
PATIENCE_SECONDS = 90.0  #: long enough for a busy machine: only a test that fails waits for all of it


def until(condition: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Waits until a condition is true, and gives what it gives.

    Args:
        condition: Looks.
        what: What is waited for, for whoever reads that it did not come.
        seconds: How long at most.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come about within {seconds:g} s"
        time.sleep(POLL_SECONDS)
    return found


async def until_in_loop(condition: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """As ``until``, while the event loop goes on."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come about within {seconds:g} s"
        await asyncio.sleep(POLL_SECONDS)
    return found


def process_end(pid: int, seconds: float = PATIENCE_SECONDS) -> None:
    """Waits until a process has ended, whoever its parent is; one that is its own is not reaped.

    Args:
        pid: Which.
        seconds: How long at most.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([descriptor], [], [], seconds)
    finally:
        os.close(descriptor)
    assert ended, f"process {pid} did not end within {seconds:g} s"
