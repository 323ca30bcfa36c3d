"""Makes what runners wrote durable: one thread for all slots, each lease's states in the order of their steps.

A state counts for the server only when its checkpoint is durable in the shared storage, so the report follows the
storage. A storage that fails is tried again, each time after twice as long. When that has taken too long to wait in
silence the server is told, in the storage's words, and may plan without it; it is still tried while there is a use.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hippo_core.engine.commands import PublishedReport, SaveFailedReport, TrainedReport
from hippo_storage.errors import StorageError, StorageFull
from hippo_storage.manifest import CheckpointLocation
from hippo_storage.storage import Published, Storage
from hippo_worker.checkpoints import CheckpointCache
from hippo_worker.lease import Lease
from hippo_worker.runner.messages import Written

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a failing storage is waited for.

    Attributes:
        first_seconds: Before the second attempt; twice as long before each further one.
        longest_seconds: At most so long between two attempts.
        silent_seconds: After so long the server is told that the save failed.
    """

    first_seconds: float = 0.5
    longest_seconds: float = 30.0
    silent_seconds: float = 10.0


class Publisher:
    """Publishes the states of all leases.

    Args:
        cache: Takes over the files that were published.
        patience: How long a failing storage is waited for.
    """

    def __init__(self, cache: CheckpointCache, patience: Patience | None = None) -> None:
        self._cache = cache
        self._patience = patience or Patience()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hippo-publish")
        self._tasks: set[asyncio.Task[None]] = set()

    def publish(self, storage: Storage, lease: Lease, written: Written) -> None:
        """Publishes a state in the background, and lets the lease say what came of it."""
        state = (written.node, written.step)
        lease.save_begins(state)
        self._begin(self._publish(storage, lease, written))

    def make_room(self) -> None:
        """Gives up the cache in the background: the disk that states are written to is full."""
        self._begin(self._clear())

    async def idle(self) -> None:
        """Waits until nothing is to be done any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Waits for the attempt in progress and begins no other."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._thread.shutdown(cancel_futures=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _clear(self) -> None:
        await asyncio.to_thread(self._cache.clear)

    async def _publish(self, storage: Storage, lease: Lease, written: Written) -> None:
        state = (written.node, written.step)
        folder = Path(written.folder)
        began = time.monotonic()
        published = None
        async with lease.publishing:
            if not lease.dropped.is_set() and not lease.is_superseded(state):
                published = await self._attempts_or_none(storage, lease, written)
                if published is not None:
                    lease.say(
                        PublishedReport(
                            node=written.node,
                            step=written.step,
                            size_bytes=published.size_bytes,
                            digest=published.digest,
                            blocked_seconds=written.blocked_seconds,
                            total_seconds=written.blocked_seconds + time.monotonic() - began,
                        )
                    )
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            lease.save_ends(state, kept=published is not None)

    async def _attempts_or_none(self, storage: Storage, lease: Lease, written: Written) -> Published | None:
        """Whatever else breaks down costs this state, and not the lease, which would wait for it for ever."""
        try:
            return await self._attempts(storage, lease, written)
        except Exception as error:
            state = (written.node, written.step)
            logger.exception("publishing broke down", extra={"fence": lease.fence, "state": state})
            reason = f"The worker failed at publishing the state: {error!r}. Look at its log."
            lease.say(SaveFailedReport(node=written.node, step=written.step, reason=reason))
            return None

    async def _attempts(self, storage: Storage, lease: Lease, written: Written) -> Published | None:
        """Tries until it succeeds or has no use any more."""
        state = (written.node, written.step)
        began, told = time.monotonic(), False
        async for _ in self._pauses(lease):
            try:
                return await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._once, storage, lease.order.plan, written
                )
            except StorageError as error:
                logger.warning(
                    "publishing failed", extra={"fence": lease.fence, "state": state, "why": str(error)}
                )
                final = not error.retryable
                if not told and (final or time.monotonic() - began >= self._patience.silent_seconds):
                    told = True
                    lease.say(
                        SaveFailedReport(
                            node=written.node,
                            step=written.step,
                            reason=str(error),
                            full=isinstance(error, StorageFull),
                        )
                    )
                    lease.save_ends(state, kept=False)
                if final or (told and _is_useless(lease, written)):
                    return None
        return None

    async def _pauses(self, lease: Lease) -> AsyncIterator[None]:
        """One item for each attempt, until the lease is dropped."""
        pause = self._patience.first_seconds
        while not lease.dropped.is_set():
            yield
            try:
                await asyncio.wait_for(lease.dropped.wait(), pause)
            except TimeoutError:
                pause = min(2 * pause, self._patience.longest_seconds)

    def _once(self, storage: Storage, plan: int, written: Written) -> Published:
        location = CheckpointLocation(plan=plan, node=written.node, step=written.step, fence=written.fence)
        folder = Path(written.folder)
        try:
            published = storage.publish(folder, location, {}, keep=True)
        except StorageFull:
            # The storage may lie on the cache's disk, and the cache be what fills it.
            if not self._cache.clear():
                raise
            published = storage.publish(folder, location, {}, keep=True)
        try:
            self._cache.add(storage, location, published.digest, folder)
        except (StorageError, OSError) as error:
            # It is durable; only a later start has to fetch it.
            logger.warning("checkpoint is not cached", extra={"location": str(location), "why": str(error)})
        return published


def _is_useless(lease: Lease, written: Written) -> bool:
    """Whether nobody gains by a state whose save was said to have failed."""
    ended = lease.ending is not None and (lease.settled or not isinstance(lease.ending, TrainedReport))
    return ended or lease.saved_later((written.node, written.step))
