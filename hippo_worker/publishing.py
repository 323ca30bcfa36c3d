"""Makes what runners wrote durable: one thread for all slots, each lease's states in the order of their steps. What
waits when the thread is free is published together, so that many small states wait for the disk once.

A state counts for the server only when its checkpoint is durable in the shared storage, so the report follows the
storage. A storage that fails is tried again, each time after twice as long; one that hangs is waited for, on the one
thread. What takes too long to wait in silence is told to the server, in the storage's words: it grants this worker
nothing else then, and waits for the state. Only when that is hopeless, or the path is to end, is the save said to have
failed, so that the server plans without it; it is still tried while there is a use.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hippo_core.engine.commands import (
    PublishedReport,
    SaveBlockedReport,
    SaveFailedReport,
    TrainedReport,
)
from hippo_storage.errors import StorageError, StorageFull
from hippo_storage.manifest import CheckpointLocation, FileEntry
from hippo_storage.storage import Published, Spooled, Storage
from hippo_wire.observing.logs import bind
from hippo_worker.checkpoints import CheckpointCache
from hippo_worker.lease import Lease, State
from hippo_worker.lone_thread import LoneThread
from hippo_worker.metrics import WorkerMetrics
from hippo_worker.runner.messages import Written

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  #: how often an attempt in progress is looked at
SLOW_BYTES_A_SECOND = 10 << 20  #: what a storage that works takes in, at the least
CLOSE_SECONDS = 5.0
TOGETHER = 64  #: states at most are published together
TOGETHER_BYTES = 64 << 20  #: and no further one once they have so many bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a failing storage is waited for.

    Attributes:
        first_seconds: Before the second attempt; twice as long before each further one.
        longest_seconds: At most so long between two attempts.
        silent_seconds: After so long the server is told that the storage holds the save up.
        given_up_seconds: After so long, that the save failed. Of a path that was told to end: after ``silent_seconds``.
        slow_seconds: An attempt that is under way for so long, and longer than its bytes explain, hangs; only then are
            the times above counted.
    """

    first_seconds: float = 0.5
    longest_seconds: float = 30.0
    silent_seconds: float = 10.0
    given_up_seconds: float = 600.0
    slow_seconds: float = 60.0

    @classmethod
    def of(cls, lease_seconds: float, orphan_seconds: float) -> Patience:
        """What suits a server's times."""
        return cls(
            longest_seconds=lease_seconds,
            silent_seconds=lease_seconds / 3,
            given_up_seconds=orphan_seconds,
            slow_seconds=2 * lease_seconds,
        )


class Publisher:
    """Publishes the states of all leases.

    Args:
        cache: Takes over the files that were published.
        patience: How long a failing storage is waited for.
        metrics: Counts what happens.
    """

    def __init__(
        self,
        cache: CheckpointCache,
        patience: Patience | None = None,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._cache = cache
        self._metrics = metrics or WorkerMetrics()
        self.patience = patience or Patience()
        self._thread = LoneThread("hippo-publish")
        self._asked: deque[_Asked] = deque()  #: taken by the thread
        self._is_called = False  #: the thread is still to look for what is asked
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[Lease, dict[State, Path]] = {}  #: folders of states that wait for their turn

    def publish(self, storage: Storage, lease: Lease, written: Written) -> None:
        """Publishes a state in the background, and lets the lease say what came of it."""
        state = (written.node, written.step)
        lease.save_begins(state)
        self._leave_out_superseded(lease)
        self._waiting.setdefault(lease, {})[state] = Path(written.folder)
        self._begin(self._publish(storage, lease, written))

    def make_room(self) -> None:
        """Gives up the cache in the background: the disk that states are written to is full."""
        self._begin(self._clear())

    async def idle(self) -> None:
        """Waits until nothing is to be done any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Waits for the attempt in progress, unless that hangs, and begins no other."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._thread.close(CLOSE_SECONDS)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _clear(self) -> None:
        await asyncio.to_thread(self._cache.clear)

    async def _publish(self, storage: Storage, lease: Lease, written: Written) -> None:
        state = (written.node, written.step)
        bind(fence=lease.fence, plan=lease.order.plan, state=state)
        folder = Path(written.folder)
        began = time.monotonic()
        published = None
        async with lease.publishing:
            if not self._has_waited(lease, state):
                return
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
            if published is None and lease.is_superseded(state):
                _log_left_out(lease, state)
            if published is None:  # else the cache has taken it over
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            lease.save_ends(state, kept=published is not None)

    def _leave_out_superseded(self, lease: Lease) -> None:
        """Lets go of states that have become useless while they waited: behind a storage that hangs they would fill
        the disk that runners write to.
        """
        waiting = self._waiting.get(lease, {})
        for state in [state for state in waiting if lease.is_superseded(state)]:
            _log_left_out(lease, state)
            self._begin(asyncio.to_thread(shutil.rmtree, waiting.pop(state), ignore_errors=True))
            lease.save_ends(state, kept=False)

    def _has_waited(self, lease: Lease, state: State) -> bool:
        """Notes that a state's turn has come; False: it was left out."""
        waiting = self._waiting.get(lease, {})
        found = waiting.pop(state, None) is not None
        if not waiting:
            self._waiting.pop(lease, None)
        return found

    async def _attempts_or_none(self, storage: Storage, lease: Lease, written: Written) -> Published | None:
        """Whatever else breaks down costs this state, and not the lease, which would wait for it for ever."""
        try:
            return await self._attempts(storage, lease, written)
        except Exception as error:
            state = (written.node, written.step)
            logger.exception("publishing_broke_down", extra={"fence": lease.fence, "state": state})
            reason = f"The worker failed at publishing the state: {error!r}. Look at its log."
            lease.say(SaveFailedReport(node=written.node, step=written.step, reason=reason))
            return None

    async def _attempts(self, storage: Storage, lease: Lease, written: Written) -> Published | None:
        """Tries until it succeeds or has no use any more."""
        teller, began = _Teller(lease, written, self.patience), time.monotonic()
        async for _ in self._pauses(lease):
            try:
                return await self._attempt(storage, lease, written, teller)
            except StorageError as error:
                self._metrics.publish_failed()
                state = (written.node, written.step)
                logger.warning(
                    "publishing_failed", extra={"fence": lease.fence, "state": state, "why": str(error)}
                )
                if not teller.goes_on(error, time.monotonic() - began):
                    return None
        return None

    async def _attempt(
        self, storage: Storage, lease: Lease, written: Written, teller: _Teller
    ) -> Published | None:
        """Tries once, and tells when that takes long. None: it hangs, and is of no use any more."""
        began = time.monotonic()
        location = CheckpointLocation(
            plan=lease.order.plan, node=written.node, step=written.step, fence=written.fence
        )
        asked = _Asked(
            storage, Spooled(folder=Path(written.folder), location=location, files=_files(written))
        )
        slow = self.patience.slow_seconds + asked.size_bytes / SLOW_BYTES_A_SECOND
        attempt = self._ask(asked)
        dropped = asyncio.create_task(lease.dropped.wait())
        either: set[asyncio.Future[Any]] = {attempt, dropped}
        try:
            while True:
                look = min(LOOK_SECONDS, max(slow, 0.01))
                await asyncio.wait(either, timeout=look, return_when=asyncio.FIRST_COMPLETED)
                if attempt.done():
                    published = attempt.result()
                    self._metrics.published(time.monotonic() - began)
                    return published
                hung = time.monotonic() - began - slow
                if dropped.done() or (hung >= 0 and not teller.goes_on(_no_answer(written), hung)):
                    return None
        finally:
            attempt.cancel()
            dropped.cancel()

    async def _pauses(self, lease: Lease) -> AsyncIterator[None]:
        """One item for each attempt, until the lease is dropped."""
        pause = self.patience.first_seconds
        while not lease.dropped.is_set():
            yield
            try:
                await asyncio.wait_for(lease.dropped.wait(), pause)
            except TimeoutError:
                pause = min(2 * pause, self.patience.longest_seconds)

    def _ask(self, asked: _Asked) -> asyncio.Future[Published]:
        """Publishes a state when it is its turn. What is cancelled before that is not published."""
        self._asked.append(asked)
        if not self._is_called:
            self._is_called = True
            self._thread.call(self._publish_asked, asyncio.get_running_loop())
        return asked.outcome

    def _publish_asked(self, loop: asyncio.AbstractEventLoop) -> None:
        """Publishes what waits, in the thread. Each wake-up of the loop tells what came of all that lay together."""
        self._is_called = False  # before it looks: what comes from now on may be too late for that
        while taken := self._take_asked():
            outcomes: list[Published | BaseException]
            try:
                outcomes = self._publish_together(taken)
            except BaseException as error:  # noqa: BLE001 - whoever asked for it gets it
                outcomes = [error for _ in taken]
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever asked
                loop.call_soon_threadsafe(_tell, taken, outcomes)

    def _take_asked(self) -> list[_Asked]:
        """What is to be published together."""
        taken: list[_Asked] = []
        size_bytes = 0
        while self._asked and len(taken) < TOGETHER and size_bytes < TOGETHER_BYTES:
            if taken and self._asked[0].storage is not taken[0].storage:
                break
            asked = self._asked.popleft()
            if not asked.outcome.cancelled():
                taken.append(asked)
                size_bytes += asked.size_bytes
        return taken

    def _publish_together(self, taken: list[_Asked]) -> list[Published | BaseException]:
        storage = taken[0].storage
        outcomes: list[Published | BaseException] = [
            *storage.publish_all([asked.state for asked in taken], keep=True)
        ]
        full = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, StorageFull)]
        # The storage may lie on the cache's disk, and the cache be what fills it.
        if full and self._cache.clear():
            again = storage.publish_all([taken[number].state for number in full], keep=True)
            for number, second in zip(full, again, strict=True):
                outcomes[number] = second
        for asked, outcome in zip(taken, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                continue
            try:
                self._cache.add(outcome, asked.state.folder)
            except (StorageError, OSError) as error:
                # It is durable; only a later start has to fetch it.
                shutil.rmtree(asked.state.folder, ignore_errors=True)
                logger.warning(
                    "checkpoint_is_not_cached",
                    extra={"location": str(asked.state.location), "why": str(error)},
                )
        return outcomes


@dataclass(frozen=True, slots=True)
class _Asked:
    """A state that waits for the thread, and who waits for what comes of it."""

    storage: Storage
    state: Spooled
    outcome: asyncio.Future[Published] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def size_bytes(self) -> int:
        """How many bytes its files have."""
        return sum(entry.size_bytes for entry in self.state.files.values())


def _tell(asked: list[_Asked], outcomes: list[Published | BaseException]) -> None:
    """Says what came of each, in the loop."""
    for each, outcome in zip(asked, outcomes, strict=True):
        if each.outcome.done():
            continue
        if isinstance(outcome, BaseException):
            each.outcome.set_exception(outcome)
        else:
            each.outcome.set_result(outcome)


def _log_left_out(lease: Lease, state: State) -> None:
    logger.warning(
        "save_left_out",
        extra={
            "fence": lease.fence,
            "state": state,
            "why": "The storage was held up. Nothing waits for the state, and a later one of the path is to be saved.",
        },
    )


class _Teller:
    """What the server is told of a save that does not succeed.

    Args:
        lease: Whose state it is.
        written: The state.
        patience: When what is told.
    """

    def __init__(self, lease: Lease, written: Written, patience: Patience) -> None:
        self._lease = lease
        self._written = written
        self._patience = patience
        self._told: type[StorageError] | None = None
        self._given_up = False

    def goes_on(self, error: StorageError, waited: float) -> bool:
        """Tells what it is time to tell of an error, after so many seconds of it; whether to try on."""
        lease, written, patience = self._lease, self._written, self._patience
        if error.retryable and waited >= patience.silent_seconds and self._told is not type(error):
            # In other words only where the trouble is another: how much is free changes at every attempt.
            self._told = type(error)
            lease.say(SaveBlockedReport(node=written.node, step=written.step, reason=str(error)))
        limit = patience.silent_seconds if lease.unwanted.is_set() else patience.given_up_seconds
        if not self._given_up and (not error.retryable or waited >= limit):
            self._given_up = True
            lease.say(
                SaveFailedReport(
                    node=written.node,
                    step=written.step,
                    reason=str(error),
                    full=isinstance(error, StorageFull),
                )
            )
            lease.save_ends((written.node, written.step), kept=False)
        if self._told is not None and lease.is_superseded((written.node, written.step)):
            return False
        return error.retryable and not (self._given_up and _is_useless(lease, written))


def _files(written: Written) -> dict[str, FileEntry]:
    """What the runner says of what it has written."""
    return {name: FileEntry(size_bytes=size, digest=digest) for name, (size, digest) in written.files.items()}


def _no_answer(written: Written) -> StorageError:
    return StorageError(
        f"The storage does not answer: publishing step {written.step} of node {written.node} hangs.",
        "Look at the storage; the state is published when it answers.",
    )


def _is_useless(lease: Lease, written: Written) -> bool:
    """Whether nobody gains by a state whose save was said to have failed."""
    ended = lease.ending is not None and (lease.settled or not isinstance(lease.ending, TrainedReport))
    return ended or lease.saved_later((written.node, written.step))
