"""The daemon's side of the conversation with the server: register, one stream, and again after every break.

What is reported waits in the leases' outboxes. On every new stream all that was not acknowledged is sent again, under
the same numbers, before anything new, so that a break loses nothing and repeats nothing that counts. Terms of servers
only grow: what an earlier leader still says is not listened to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol

from hippo_core.engine.commands import RegisterWorker, Report
from hippo_core.errors import HippoError, Incompatible, InvalidStudy, NotAllowed, Stale, Unavailable
from hippo_wire.aio_connection import AsyncConnection
from hippo_wire.registrations import register_to_proto
from hippo_wire.reports import write_report
from hippo_wire.retries import CONTROL_SECONDS, pauses
from hippo_wire.v1 import worker_pb2
from hippo_worker.settings import Endpoint

logger = logging.getLogger(__name__)

MAX_IN_FLIGHT = 16  #: reports; with more unacknowledged, what happens meanwhile is gathered into larger ones
MAX_REPORTS = 64  #: of a message
LEAVE_SECONDS = 5.0
#: A server that begins to lead waits a lease's time for its workers: they try so many times within it.
AGAIN_SHARE = 4.0
USURPED_SECONDS = 60.0
USURPED_COUNT = 3


class Desk(Protocol):
    """Whose messages a connection carries: the daemon."""

    def registration(self) -> RegisterWorker:
        """Who registers, with the leases that are held."""
        ...

    async def registered(self, response: worker_pb2.RegisterWorkerResponse) -> None:
        """The server knows the worker."""
        ...

    async def receive(self, response: worker_pb2.WorkResponse) -> None:
        """The server said something."""
        ...

    def unacknowledged(self) -> list[Report]:
        """Reports that were sent and not acknowledged, each lease's in order."""
        ...

    def take(self, count: int) -> list[Report]:
        """At most so many reports that have not been sent."""
        ...

    def take_answers(self) -> list[worker_pb2.PolicyAnswer]:
        """Answers of users' own policies to questions of this stream."""
        ...

    def take_health(self) -> list[worker_pb2.SlotHealth]:
        """What checks of slots' devices came to and was not said yet."""
        ...

    def take_ahead(self) -> list[worker_pb2.SlotAhead]:
        """How many leases slots are to hold beside those that train, where that was not said yet."""
        ...

    def take_storage_failure(self) -> str | None:
        """What the storage said when it was last read, where that was not said yet."""
        ...

    @property
    def in_flight(self) -> int:
        """How many reports were sent and are not acknowledged."""
        ...

    @property
    def draining(self) -> bool:
        """Whether the worker takes no further leases."""
        ...

    @property
    def done(self) -> bool:
        """Whether a draining worker has nothing left to say."""
        ...


class ServerConnection:
    """Keeps a worker connected.

    Args:
        endpoint: The server.
        desk: The daemon.
        look: Tells the server's address before each attempt, where that may have changed; None: as it was.
    """

    def __init__(self, endpoint: Endpoint, desk: Desk, look: Callable[[], str | None] = lambda: None) -> None:
        self._connection = AsyncConnection(endpoint.server, endpoint.token, endpoint.trust)
        self._desk = desk
        self._look = look
        self._wake = asyncio.Event()
        self._term = 0
        self._heartbeat_seconds = 5.0
        self._patience_seconds = 30.0
        self._connected = False
        self._contact = time.monotonic()

    def wake(self) -> None:
        """There is something to say."""
        self._wake.set()

    @property
    def connected(self) -> bool:
        """Whether the server is listened to."""
        return self._connected

    @property
    def silent_seconds(self) -> float:
        """For how long the server has not been reached."""
        return 0.0 if self._connected else time.monotonic() - self._contact

    async def run(self) -> None:
        """Stays connected until the worker has left.

        Raises:
            NotAllowed: The token is not taken.
            InvalidStudy: The server does not take the worker as it is.
            Incompatible: The server is of a version that the worker does not work with.
            Stale: Another daemon has taken the worker's name over.
        """
        waits = pauses()
        refused: list[float] = []
        while True:
            try:
                if (address := self._look()) is not None:
                    self._connection.move(address)
                await self._register()
                waits = pauses()
                await self._work()
            except Unavailable as error:
                logger.warning("server_not_reached", extra={"why": str(error)})
            except Stale as error:
                logger.warning("server_does_not_know_this_life_of_the_worker", extra={"why": str(error)})
                refused = [at for at in refused if time.monotonic() - at < USURPED_SECONDS] + [
                    time.monotonic()
                ]
                if len(refused) > USURPED_COUNT:
                    raise Stale(
                        "another daemon registers under this worker's name.",
                        "Give each its own with --name, and its own --data-dir.",
                    ) from error
            except (NotAllowed, InvalidStudy, Incompatible):
                raise
            except HippoError as error:
                # The server's, or the storage's: no reason to end the paths that train here.
                logger.exception("conversation_with_the_server_broke_down", extra={"why": str(error)})
            else:
                return
            await asyncio.sleep(min(next(waits), self._patience_seconds / AGAIN_SHARE))

    async def append_log(self, fence: int, node: int, offset: int, data: bytes) -> int:
        """Appends what user code printed; returns up to where the server has it, in bytes."""
        request = worker_pb2.AppendLogRequest(fence=fence, node=node, offset=offset, data=data)
        response = await self._connection.call(self._connection.workers.AppendLog, request)
        return int(response.next_offset)

    async def close(self) -> None:
        """Ends the connection."""
        await self._connection.close()

    async def _register(self) -> None:
        held: RegisterWorker | None = None
        # A call is repeated as it is until it is answered. What was dropped meanwhile would be taken as held.
        while held is None or self._desk.registration().leases != held.leases:
            held = self._desk.registration()
            request = register_to_proto(held, uuid.uuid4().hex)
            response = await self._connection.call(
                self._connection.workers.RegisterWorker,
                request,
                timeout=min(CONTROL_SECONDS, max(1.0, self._patience_seconds / AGAIN_SHARE)),
            )
            self._check_term(response.term)
        self._heartbeat_seconds = response.heartbeat_seconds
        self._patience_seconds = response.lease_seconds
        self._contact = time.monotonic()
        await self._desk.registered(response)

    async def _work(self) -> None:
        """One stream, from its start to its end. Returns when the worker has left."""
        stream = _Stream()
        responses = self._connection.stream(self._connection.workers.Work, self._requests(stream))
        self._connected = True
        try:
            async with stream.watchdog:
                async for response in responses:
                    self._check_term(response.term)
                    await self._desk.receive(response)
                    self._rearm(stream, heard=bool(response.acknowledged))
                    self._wake.set()
        except TimeoutError as error:
            raise Unavailable("The server does not answer.", "The worker connects again.") from error
        finally:
            stream.ended = True
            self._connected = False
            self._contact = time.monotonic()
            self._wake.set()  # lets the generator of requests see that it is over
            await _close(responses)
        if not stream.left:
            raise Unavailable("The server ended the stream.", "The worker connects again.")

    async def _requests(self, stream: _Stream) -> AsyncIterator[worker_pb2.WorkRequest]:
        """What is sent on one stream, as it comes up."""
        who = self._desk.registration()
        draining = self._desk.draining
        yield worker_pb2.WorkRequest(
            worker=who.worker, incarnation=who.incarnation, heartbeat=True, draining=draining
        )
        beat = time.monotonic()
        again = self._desk.unacknowledged()
        for start in range(0, len(again), MAX_REPORTS):
            self._rearm(stream)
            yield _request(again[start : start + MAX_REPORTS])
        while not stream.ended:
            self._wake.clear()
            if self._desk.done:
                stream.left = True
                stream.watchdog.reschedule(asyncio.get_running_loop().time() + LEAVE_SECONDS)
                yield worker_pb2.WorkRequest(leaving=True)
                return
            request = _request(self._desk.take(MAX_IN_FLIGHT - self._desk.in_flight))
            if self._desk.draining and not draining:
                draining = request.draining = True
            if time.monotonic() - beat >= self._heartbeat_seconds:
                beat, request.heartbeat = time.monotonic(), True
            request.policy_answers.extend(self._desk.take_answers())
            request.slot_health.extend(self._desk.take_health())
            request.slot_ahead.extend(self._desk.take_ahead())
            if (storage_failure := self._desk.take_storage_failure()) is not None:
                request.storage_failure = storage_failure
            if any(
                (
                    request.reports,
                    request.policy_answers,
                    request.slot_health,
                    request.slot_ahead,
                    storage_failure is not None,
                    request.draining,
                    request.heartbeat,
                )
            ):
                self._rearm(stream)
                yield request
                continue
            left = beat + self._heartbeat_seconds - time.monotonic()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(0.0, left))
            await asyncio.sleep(0)  # what else is to be said just now goes with it

    def _rearm(self, stream: _Stream, *, heard: bool = False) -> None:
        """Lets the stream be cut when a report has not been acknowledged for a lease's time."""
        if stream.left:
            return
        if not self._desk.in_flight:
            stream.watchdog.reschedule(None)
        elif heard or stream.watchdog.when() is None:
            stream.watchdog.reschedule(asyncio.get_running_loop().time() + self._patience_seconds)

    def _check_term(self, term: int) -> None:
        if term < self._term:
            error = Unavailable(
                f"A server of term {term} answered after one of term {self._term}.", "It leads no more."
            )
            self._connection.leave(error)
            raise error
        self._term = term


class _Stream:
    """How far one stream has come."""

    def __init__(self) -> None:
        self.ended = False
        self.left = False
        self.watchdog = asyncio.timeout(None)


async def _close(responses: AsyncIterator[worker_pb2.WorkResponse]) -> None:
    """Ends a stream at once, instead of when the iterator happens to be collected."""
    assert isinstance(responses, AsyncGenerator)
    await responses.aclose()


def _request(reports: list[Report]) -> worker_pb2.WorkRequest:
    request = worker_pb2.WorkRequest()
    for report in reports:
        write_report(report, request.reports.add())
    return request
