"""Writes the audit log beside the calls that it is about: none of them waits for it.

What a call changes is in the journal, in the transaction that changes it; the audit log adds from where it was asked,
and what was refused. While the database is away, calls are kept; where more come than fit, the server's log says how
many were lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from hippo_core.errors import HippoError
from hippo_server.store.audit import Call

log = logging.getLogger(__name__)

MOST_KEPT = 10_000
MOST_AT_ONCE = 500
LONGEST_TEXT = 200
PAUSE_SECONDS = 1.0


class Audit:
    """Calls on their way to the log. To be used in one event loop.

    Args:
        write: Adds calls to the log; is called in a thread.
    """

    def __init__(self, write: Callable[[Sequence[Call]], None]) -> None:
        self._write = write
        self._calls: deque[Call] = deque()
        self._there = asyncio.Event()
        self._lost = 0
        self._closing = False

    def note(self, call: Call) -> None:
        """Takes a call in."""
        if len(self._calls) >= MOST_KEPT:
            self._lost += 1
            return
        self._calls.append(call)
        self._there.set()

    def close(self) -> None:
        """Lets the writing end once all is written, or cannot be."""
        self._closing = True
        self._there.set()

    async def keep_writing(self) -> None:
        """Writes what is there, until closed."""
        while True:
            await self._there.wait()
            written = not self._calls or await self._write_some()
            if self._closing and not (written and self._calls):
                return
            if not written:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _write_some(self) -> bool:
        calls = [self._calls[at] for at in range(min(len(self._calls), MOST_AT_ONCE))]
        try:
            await asyncio.to_thread(self._write, calls)
        except HippoError as error:
            log.warning("audit_delayed", extra={"calls": len(self._calls), "error": str(error)})
            return False
        for _ in calls:
            self._calls.popleft()
        if not self._calls:
            self._there.clear()
        if self._lost:
            log.error("audit_lost", extra={"calls": self._lost})
            self._lost = 0
        return True


def cut(text: str) -> str:
    """Text as it is kept: printable, and not too long."""
    return "".join(each if each.isprintable() else "?" for each in text[:LONGEST_TEXT])
