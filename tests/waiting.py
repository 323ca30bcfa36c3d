"""Waiting for what another thread or process brings about, and does not announce.

Where there is an event, a process's end or an answer to wait for, wait for that.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import select
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01
LONGEST_POLL_SECONDS = 0.1
PATIENCE_SECONDS = 90.0  #: long enough for a busy machine: only a test that fails waits for all of it


def until(condition: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Waits until a condition is true, and gives what it gives.

    Args:
        condition: Looks.
        what: What is waited for, for whoever reads that it did not come.
        seconds: How long at most.
    """
    began = time.monotonic()
    while not (found := condition()):
        time.sleep(_pause(began, what, seconds))
    assert not inspect.isawaitable(found), f"{what}: what is yet to be awaited is true of itself"
    return found


async def until_in_loop(condition: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """As ``until``, while the event loop goes on."""
    began = time.monotonic()
    while not (found := condition()):
        pause = _pause(began, what, seconds)
        await asyncio.sleep(pause)
    assert not inspect.isawaitable(found), f"{what}: what is yet to be awaited is true of itself"
    return found


def _pause(began: float, what: str, seconds: float) -> float:
    """How long to wait before looking again: longer for what takes longer, as looking takes time from what is waited
    for, and calls from what a server lets its callers ask.
    """
    waited = time.monotonic() - began
    assert waited < seconds, f"{what} did not come about within {seconds:g} s"
    return min(max(POLL_SECONDS, waited / 10), LONGEST_POLL_SECONDS)


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
