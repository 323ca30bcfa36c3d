"""What a path needs from the shared storage before it can begin, fetched without waiting for a storage that hangs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, TypeVar

from hippo_storage.manifest import CheckpointLocation
from hippo_worker.checkpoints import CheckpointCache
from hippo_worker.lease import Lease
from hippo_worker.lone_thread import LoneThread
from hippo_worker.supplies import Supplies

T = TypeVar("T")


class NotWanted(Exception):
    """The path was to end before it could begin."""


class Loader:
    """Fetches for one slot, one thing after the other.

    Args:
        slot: The slot's number.
        supplies: Has the caches that are fetched into, and the storage.
    """

    def __init__(self, slot: int, supplies: Supplies) -> None:
        self._thread = LoneThread(f"hippo-load-{slot}")
        self._supplies = supplies

    async def code(self, lease: Lease) -> Path:
        """The folder of a lease's bundle.

        Raises:
            NotWanted: The lease was stopped or dropped meanwhile.
            HippoError: The storage lacks it, or failed.
        """
        supplies = self._supplies
        return await _unless_unwanted(
            lease, self._thread.call(supplies.bundles.obtain, supplies.shared, lease.order.bundle)
        )

    async def checkpoint(self, lease: Lease, location: CheckpointLocation) -> Path:
        """A folder with the checkpoint that a lease starts from, to be given back.

        Raises:
            NotWanted: The lease was stopped or dropped meanwhile.
            HippoError: See ``CheckpointCache.obtain``.
        """
        cache = self._supplies.checkpoints
        call = self._thread.call(cache.obtain, self._supplies.shared, location, lease.order.start_digest)
        try:
            return await _unless_unwanted(lease, call)
        except (NotWanted, asyncio.CancelledError):
            call.add_done_callback(lambda done: _give_back(cache, done))
            raise


def _give_back(cache: CheckpointCache, call: asyncio.Future[Path]) -> None:
    """What nobody waits for any more."""
    if not call.cancelled() and call.exception() is None:
        cache.give_back(call.result())


async def _unless_unwanted(lease: Lease, call: asyncio.Future[T]) -> T:
    unwanted = asyncio.create_task(lease.unwanted.wait())
    either: set[asyncio.Future[Any]] = {call, unwanted}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        unwanted.cancel()
    if call.done():
        return call.result()
    raise NotWanted
