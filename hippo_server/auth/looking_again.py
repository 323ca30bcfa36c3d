"""Looking again for what is not known yet: often enough for who waits, and seldom, however many strangers ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

PAUSE_SECONDS = 1.0


class LookingAgain:
    """One look at a time for all who ask. To be used in one event loop.

    Args:
        look: Looks.
        pause_seconds: How long a look begins after the last one at the earliest.
    """

    def __init__(self, look: Callable[[], Awaitable[None]], pause_seconds: float = PAUSE_SECONDS) -> None:
        self._look = look
        self._pause_seconds = pause_seconds
        self._looking = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        self._earliest = 0.0

    async def look(self) -> None:
        """Returns once a look has ended that began after this was called; raises what that one did."""
        if self._next is None:
            self._next = asyncio.create_task(self._look_next())
        await asyncio.shield(self._next)  # others may wait for it, too

    async def _look_next(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._looking:
            await asyncio.sleep(self._earliest - loop.time())
            self._next = None  # who asks from now on may ask for what this one does not see
            self._earliest = loop.time() + self._pause_seconds
            await self._look()
