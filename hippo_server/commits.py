"""Group commit: one thread writes what the event loop has decided, all that waits in one transaction.

The loop puts records in the order in which it decided them and goes on at once; what depends on them waits for
``committed``. While a transaction is under way the next one gathers, so that the more there is to do the larger the
transactions are; and its rows are worked out, so that it is ready when the thread is. The event loop does that: two
threads that compute would only wait for each other at the interpreter's lock. The thread lingers a moment before it
takes the queue only if what the last transaction had was put in many pieces: a lone client never waits for company.

A transaction that fails, or of whose end nobody knows, ends the whole: the thread writes nothing any more, and
everybody who waits hears ``Unavailable``. What is true then is what the database says.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hippo_core.errors import Unavailable
from hippo_server import garbage
from hippo_server.event_lines import log_events
from hippo_server.metrics import Metrics
from hippo_server.store import Record, Store

LINGER_ABOVE = 8
LINGER_SECONDS = 0.002

log = logging.getLogger(__name__)
T = TypeVar("T")


class GroupCommit:
    """The writer of one term.

    Args:
        store: Only the writer's thread uses it from now on.
        term: The leader's term, which every transaction checks.
        metrics: Counts transactions.
        on_commit: Told the position of the last record committed, before whoever waits for it; and when the
            transaction began, monotonic seconds: this server led then, and need not lead by the time of the telling.
    """

    def __init__(
        self, store: Store, term: int, metrics: Metrics, on_commit: Callable[[int, float], None]
    ) -> None:
        self.position = 0  #: of the last record put
        self.failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._store = store
        self._term = term
        self._metrics = metrics
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._done = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._condition = threading.Condition()
        self._draft = store.draft(term, 1)  # of what waits
        self._pieces = 0  # in which that was put
        # Those that wait, each with what it settles.
        self._jobs: list[tuple[Callable[[], None], asyncio.Future[Any]]] = []
        self._closing = False
        self._batch = 0
        self._thread = threading.Thread(target=self._work, name="hippo-commit", daemon=True)
        self._thread.start()

    def put(self, records: Sequence[Record]) -> None:
        """Hands over what was decided together."""
        with self._condition:
            self.position += 1
            self._pieces += 1
            for record in records:
                self._draft.append(record)
            self._condition.notify()

    async def committed(self) -> None:
        """Waits until all that was put so far is committed.

        Raises:
            Unavailable: It is not, or nobody knows.
        """
        if self.failed.done():
            raise lost()
        if self._done >= self.position:
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append((self.position, waiter))
        await waiter

    async def run(self, job: Callable[[], T]) -> T:
        """Runs a job of the store's in the writer's thread, between transactions.

        Raises:
            Unavailable: The writer has ended before its turn came.
        """
        if self.failed.done() or self._closing:
            raise lost()
        result: asyncio.Future[T] = self._loop.create_future()

        def do() -> None:
            try:
                value = job()
            except Exception as error:  # noqa: BLE001 - it is raised where the job was asked for
                self._tell(_settle, result, None, error)
            else:
                self._tell(_settle, result, value, None)

        with self._condition:
            self._jobs.append((do, result))
            self._condition.notify()
        return await result

    async def close(self) -> None:
        """Writes what waits, and ends the thread."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        await asyncio.to_thread(self._thread.join)
        # What the thread told the loop last is ahead of this in the loop's queue.
        self._give_up(lost())

    def _work(self) -> None:
        try:
            self._commit_all()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody knows what the database holds now
            said = {"term": self._term, "batch": self._batch + 1, "error": str(error)}
            log.warning("commit_failed", extra=said)
            self._tell(self._fail, error)

    def _commit_all(self) -> None:
        pieces = 0
        while True:
            with self._condition:
                while not (self._pieces or self._jobs or self._closing):
                    self._condition.wait()
                if not self._pieces and not self._jobs:
                    return
            if pieces > LINGER_ABOVE:
                time.sleep(LINGER_SECONDS)
            with self._condition:
                draft, upto = self._draft, self.position
                pieces, self._pieces = self._pieces, 0
                if pieces:
                    self._draft = self._store.draft(self._term, self._batch + 2, draft)
                jobs, self._jobs = self._jobs, []
            for do, _ in jobs:
                do()
            if pieces:
                self._commit(draft, upto)
            del draft  # it may be large, and long until there is another

    def _commit(self, records: Sequence[Record], upto: int) -> None:
        began = time.monotonic()
        many = sum(len(record.events) for record in records) >= garbage.MANY_EVENTS
        with garbage.left() if many else contextlib.nullcontext():
            self._store.write(records, self._term, self._batch + 1)
        self._batch += 1
        self._tell(self._succeed, upto, began)  # first: somebody waits for it
        self._metrics.commit(sum(record.submissions for record in records), time.monotonic() - began)
        for record in records:
            log_events(record.events)

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed: nobody listens any more
            log.debug("loop_closed")

    def _succeed(self, position: int, began: float) -> None:
        self._done = position
        self._on_commit(position, began)
        while self._waiters and self._waiters[0][0] <= position:
            _settle(self._waiters.popleft()[1], None, None)

    def _fail(self, error: Exception) -> None:
        if not self.failed.done():
            self.failed.set_result(error)
        self._give_up(lost())

    def _give_up(self, error: Exception) -> None:
        """The thread has ended: nobody else tells those who wait. Whoever comes from now on is refused at once."""
        while self._waiters:
            _settle(self._waiters.popleft()[1], None, error)
        with self._condition:
            jobs, self._jobs = self._jobs, []
        for _, result in jobs:
            _settle(result, None, error)


def lost() -> Unavailable:
    """What everybody hears whose change may or may not have happened."""
    return Unavailable(
        "the server lost its database for a moment; nobody knows yet whether this was committed.",
        "Send it again with the same request id.",
    )


def _settle(future: asyncio.Future[T], value: T, error: Exception | None) -> None:
    if future.done():  # whoever waited has gone
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)
