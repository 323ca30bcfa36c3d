"""What a server does beside answering, for as long as it lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

from hippo_core.errors import HippoError, InvariantViolated

log = logging.getLogger(__name__)


class Duties:
    """Runs duties side by side. To be made and used in one event loop.

    Attributes:
        over: Why the server has to end, once it has to: a duty failed, or one found that nothing can go on.
    """

    def __init__(self) -> None:
        self.over: asyncio.Future[HippoError] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []

    def keep_up(self, duty: Coroutine[None, None, None]) -> None:
        """Runs a duty until it ends or all are to end. One that fails is a defect: the server ends, and says so."""
        task = asyncio.create_task(duty)
        self._tasks = [each for each in self._tasks if not each.done()]
        self._tasks.append(task)
        task.add_done_callback(self._ended)

    def give_up(self, error: HippoError) -> None:
        """Has the server end. What is said first counts."""
        if not self.over.done():
            self.over.set_result(error)

    async def stop(self) -> None:
        """Ends all of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("duty_failed", exc_info=error)
            self.give_up(InvariantViolated(f"the server failed: {error!r}"))
