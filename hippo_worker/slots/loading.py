"""What a path needs from the shared storage before it can begin.

A storage that fails, or that hangs for longer than its bytes explain, costs the path its start, and the server is told
what the storage says: it grants this worker nothing more. What could not be loaded is then asked for again and again,
each time after twice as long, or waited for where it hangs, on the slot's one thread. Once the storage has answered,
be it that nothing lies there any more, the server is told so too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hippo_storage.bundle import MAX_ARCHIVE_BYTES
from hippo_storage.errors import StorageError
from hippo_storage.manifest import CheckpointLocation
from hippo_worker.lease import Lease
from hippo_worker.lone_thread import LoneThread
from hippo_worker.publishing import LOOK_SECONDS, SLOW_BYTES_A_SECOND
from hippo_worker.slots.wanted import NotWanted
from hippo_worker.supplies import Supplies


class Loader:
    """Fetches for one slot, one thing after the other.

    Args:
        slot: The slot's number.
        supplies: Has the caches that are fetched into, the storage, and how long that is waited for.
        on_failure: Called with the slot and what the storage says when it cannot be read, and without words when it
            has answered after that.
    """

    def __init__(
        self,
        slot: int,
        supplies: Supplies,
        on_failure: Callable[[int, str], None] = lambda slot, failure: None,
    ) -> None:
        self._slot = slot
        self._thread = LoneThread(f"hippo-load-{slot}")
        self._supplies = supplies
        self._on_failure = on_failure
        self._probing: asyncio.Task[None] | None = None

    async def code(self, bundle: str, unwanted: asyncio.Event) -> Path:
        """The folder of a bundle.

        Raises:
            NotWanted: Nobody wants it any more.
            HippoError: The storage lacks it, failed or hangs.
        """
        supplies = self._supplies
        load = _Load(
            "the code",
            lambda told: supplies.bundles.obtain(supplies.shared, bundle),
            size_bytes=MAX_ARCHIVE_BYTES,
        )
        return await self._loaded(unwanted, load)

    async def checkpoint(self, lease: Lease, location: CheckpointLocation) -> Path:
        """A folder with the checkpoint that a lease starts from, to be given back.

        Raises:
            NotWanted: The lease was stopped or dropped meanwhile.
            HippoError: See ``CheckpointCache.obtain``; or the storage hangs.
        """
        supplies, digest = self._supplies, lease.order.start_digest
        cache = supplies.checkpoints
        load = _Load(
            f"step {location.step} of node {location.node}",
            lambda told: cache.obtain(supplies.shared, location, digest, told),
            give_back=cache.give_back,
        )
        return await self._loaded(lease.unwanted, load)

    def close(self) -> None:
        """Asks the storage no more."""
        if self._probing is not None:
            self._probing.cancel()
        self._thread.end()

    def _begin(self, load: _Load) -> asyncio.Future[Path]:
        return self._thread.call(load.begin, load.expect)

    async def _loaded(self, unwanted: asyncio.Event, load: _Load) -> Path:
        call = self._begin(load)
        try:
            return await self._unless_unwanted(unwanted, load, call)
        except BaseException as error:
            call.add_done_callback(load.let_go)
            if isinstance(error, StorageError) and error.retryable:
                self._on_failure(self._slot, error.message)
                if self._probing is None or self._probing.done():
                    self._probing = asyncio.create_task(self._probe(load, call))
            raise

    async def _unless_unwanted(
        self, unwanted: asyncio.Event, load: _Load, call: asyncio.Future[Path]
    ) -> Path:
        began, slow = time.monotonic(), self._supplies.publisher.patience.slow_seconds
        given_up = asyncio.create_task(unwanted.wait())
        either: set[asyncio.Future[Any]] = {call, given_up}
        try:
            while not (call.done() or given_up.done()):
                left = began + slow + load.size_bytes / SLOW_BYTES_A_SECOND - time.monotonic()
                if left <= 0:
                    raise StorageError(
                        f"The storage does not answer: loading {load.what} hangs.",
                        "Look at the storage; the worker goes on when it answers.",
                    )
                await asyncio.wait(
                    either, timeout=min(left, LOOK_SECONDS), return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            given_up.cancel()
        if call.done():
            return call.result()
        raise NotWanted

    async def _probe(self, load: _Load, call: asyncio.Future[Path]) -> None:
        """Waits for the end of a load that hangs, and loads again what failed, until the storage has answered."""
        patience = self._supplies.publisher.patience
        pause = patience.first_seconds
        while not await _has_answered(call):
            await asyncio.sleep(pause)
            pause = min(2 * pause, patience.longest_seconds)
            call = self._begin(load)
            call.add_done_callback(load.let_go)
        self._on_failure(self._slot, "")


class _Load:
    """What is asked of the storage.

    Args:
        what: In words.
        begin: Fetches it, and calls its argument with its bytes when they are known. Blocks.
        size_bytes: How many it has, as far as is known beforehand.
        give_back: What is done with it when nobody needs it any more.
    """

    def __init__(
        self,
        what: str,
        begin: Callable[[Callable[[int], None]], Path],
        *,
        size_bytes: int = 0,
        give_back: Callable[[Path], None] = lambda folder: None,
    ) -> None:
        self.what = what
        self.begin = begin
        self.size_bytes = size_bytes
        self._give_back = give_back

    def expect(self, size_bytes: int) -> None:
        """So many bytes are on their way. Called from the thread that fetches them."""
        self.size_bytes = size_bytes

    def let_go(self, call: asyncio.Future[Path]) -> None:
        """Nobody waits for what a call has come to."""
        if not call.cancelled() and call.exception() is None:
            self._give_back(call.result())


async def _has_answered(call: asyncio.Future[Path]) -> bool:
    """Whether the storage, when a load has ended, had an answer: a state, or that none is to be had."""
    await asyncio.wait({call})
    error = call.exception()
    return not (isinstance(error, StorageError) and error.retryable)
