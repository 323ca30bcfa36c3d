"""The stream of one worker's daemon: reports up; grants, offers, stops and acknowledgements down.

What goes down is level-triggered: the engine says what the worker ought to know now (``directives``), and the stream
sends what it has not yet sent on this connection. Reports are decided as they come, with those of other workers that
come at the same time (``hippo_server.reporting``); they are acknowledged after their commit, in one message with
whatever else there is to say. So the more there is to do, the fewer messages there are for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import assert_never

from hippo_core.engine import commands
from hippo_core.engine.consultations import PolicyQuestion
from hippo_core.engine.orders import Directives
from hippo_core.engine.reports import Accepted
from hippo_core.errors import Stale, Unavailable
from hippo_core.lease_order import PrepareOrder
from hippo_server.driver import Driver
from hippo_server.reporting import Taken, together
from hippo_server.store import Record
from hippo_wire.orders import lease_to_proto, offers_to_proto, preparation_to_proto, stops_to_proto
from hippo_wire.policies import question_to_proto
from hippo_wire.reports import report_from_proto
from hippo_wire.v1 import worker_pb2

#: So many messages are decided ahead of their commit; then the worker is held back by the stream's flow control.
MOST_AHEAD = 64
MOST_WORDS = 500  #: letters of what a worker says of its devices and its storage


class WorkStream:
    """One connection of a worker.

    Args:
        driver: Decides.
        worker: The worker's name.
        incarnation: Which life of it.
    """

    def __init__(self, driver: Driver, worker: str, incarnation: str) -> None:
        self._driver = driver
        self._term = driver.current()
        self._worker = worker
        self._incarnation = incarnation
        self._wake = asyncio.Event()
        self._replaced = False
        self._acknowledged: dict[int, int] = {}
        self._revoked: dict[int, None] = {}
        self._leases: dict[int, None] = {}
        self._offers: dict[tuple[int, int, int], None] = {}
        self._stops: dict[tuple[int, bool, str], None] = {}
        self._drain = False
        self._make_room = False
        self._preparations: tuple[PrepareOrder, ...] | None = None  # None: nothing was said of any yet
        self._ended = False
        self._question = 0
        self._questions: deque[worker_pb2.PolicyQuestion] = deque()
        self._asked: dict[int, asyncio.Future[worker_pb2.PolicyAnswer]] = {}

    @property
    def worker(self) -> str:
        """The worker's name."""
        return self._worker

    async def ask(self, question: PolicyQuestion) -> worker_pb2.PolicyAnswer:
        """Asks a study's own policy on the worker.

        Raises:
            Unavailable: The connection has ended.
        """
        if self._ended:
            raise _left()
        self._question += 1
        number, answer = self._question, asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._questions.extend(await asyncio.to_thread(lambda: [*question_to_proto(question, number)]))
            self._wake.set()
            found: worker_pb2.PolicyAnswer = await answer
            return found
        finally:
            self._asked.pop(number, None)

    def replace(self) -> None:
        """Another connection of the worker has come: this one ends."""
        self._replaced = True
        self._wake.set()

    async def run(
        self, first: worker_pb2.WorkRequest, requests: AsyncIterator[worker_pb2.WorkRequest]
    ) -> AsyncIterator[worker_pb2.WorkResponse]:
        """What to send, until the worker leaves or the connection ends.

        Raises:
            Stale: The worker is not registered in this incarnation, or has another connection.
            Unavailable: The server stops, or rebuilds its state; the worker is to connect again.
        """
        with self._driver.orders.listen(self._worker) as self._wake:
            reader = asyncio.create_task(self._read(first, requests))
            reader.add_done_callback(lambda _: self._wake.set())
            self._wake.set()
            self._term.consultants.come(self)
            try:
                while True:
                    await self._wake.wait()
                    self._wake.clear()
                    ended = reader.done()
                    present = self._is_present()
                    response = self._response() if present else None
                    await self._term.settled()
                    if not present:
                        raise Stale(
                            f"the worker '{self._worker}' has begun another life.", "This one is to end."
                        )
                    if response is not None:
                        yield response
                    if ended:
                        reader.result()  # raises why it ended, unless the worker ended it
                        return
                    self._check()
            finally:
                self._ended = True
                self._term.consultants.go(self)
                for answer in self._asked.values():
                    if not answer.done():
                        answer.set_exception(_left())
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)

    def _is_present(self) -> bool:
        """Whether the engine's directives, which go by the worker's name, are for the one at the other end."""
        worker = self._term.engine.state.workers.get(self._worker)
        return worker is not None and worker.incarnation == self._incarnation

    def _check(self) -> None:
        if self._replaced:
            raise Stale(f"the worker '{self._worker}' has another connection.", "That one goes on.")
        if self._driver.closing or self._term.over:
            raise Unavailable("the server is busy with itself.", "Connect again.")

    async def _read(
        self, first: worker_pb2.WorkRequest, requests: AsyncIterator[worker_pb2.WorkRequest]
    ) -> None:
        await self._take(first)
        ahead = 1
        async for request in requests:
            await self._take(request)
            ahead += 1
            if ahead >= MOST_AHEAD:
                await self._term.settled()
                ahead = 0

    async def _take(self, request: worker_pb2.WorkRequest) -> None:
        """Decides what a message says. What was decided before an error is kept."""
        self._check()
        self._take_state(request)
        await self._take_reports(request.reports)
        for answer in request.policy_answers:
            asked = self._asked.get(answer.question)
            if asked is not None and not asked.done():
                asked.set_result(answer)
        if request.draining or request.leaving:
            self._take_end(request)

    def _take_state(self, request: worker_pb2.WorkRequest) -> None:
        """Decides what a message says of the worker, its slots and its storage."""
        with self._deciding() as records:
            if request.heartbeat:
                self._decide(commands.Heartbeat(worker=self._worker, incarnation=self._incarnation), records)
            # Before the failure of what trained there, or could not begin, so that it is not granted the next path.
            for health in request.slot_health:
                report = commands.ReportHealth(
                    worker=self._worker,
                    incarnation=self._incarnation,
                    slot=health.slot,
                    failed=health.failed,
                    reason=health.reason[:MOST_WORDS],
                )
                self._decide(report, records)
            if request.HasField("storage_failure"):
                tried = commands.ReportStorage(
                    worker=self._worker,
                    incarnation=self._incarnation,
                    failure=request.storage_failure[:MOST_WORDS],
                )
                self._decide(tried, records)
            for slot in request.slot_ahead:
                ahead = commands.AskAhead(
                    worker=self._worker,
                    incarnation=self._incarnation,
                    slot=slot.slot,
                    count=slot.count,
                    fence=slot.fence,
                )
                self._decide(ahead, records)

    async def _take_reports(self, messages: Sequence[worker_pb2.Report]) -> None:
        """Has reports decided, those of one lease one after the other.

        What came before one that cannot be true is kept.
        """
        part: dict[int, commands.Report] = {}
        most = together(len(messages))
        try:
            for message in messages:
                report = report_from_proto(message, self._worker, self._incarnation)
                if report.fence in part or len(part) == most:
                    ready, part = part, {}  # first, as a report of these may have come too soon
                    await self._report(ready)
                part[report.fence] = report
        finally:
            if part:
                await self._report(part)

    async def _report(self, part: Mapping[int, commands.Report]) -> None:
        self._check()
        await self._term.reporting.take(self._worker, [*part.values()], self._note)

    def _note(self, report: commands.Report, taken: Taken) -> None:
        """Notes what a report came to: the worker hears of it."""
        match taken:
            case Accepted():
                if taken.fresh:
                    self._driver.metrics.engine.reported(report)
                self._acknowledged[report.fence] = taken.number
                if not self._term.is_held(report.fence):  # it ended by this: nobody need tell the worker
                    self._leases.pop(report.fence, None)
            case Stale():
                self._driver.metrics.engine.fenced()
                self._revoked[report.fence] = None
                self._leases.pop(report.fence, None)
            case Unavailable():
                return
            case _:
                assert_never(taken)
        self._wake.set()

    def _take_end(self, request: worker_pb2.WorkRequest) -> None:
        """Decides that a worker drains or leaves, after what it reports."""
        with self._deciding() as records:
            if request.draining:
                self._decide(commands.DrainWorker(worker=self._worker), records)
            if request.leaving:
                leaves = commands.WorkerLeaves(worker=self._worker, incarnation=self._incarnation)
                self._decide(leaves, records)

    @contextmanager
    def _deciding(self) -> Iterator[list[Record]]:
        """What is decided together goes to the writer together, also where an error ends it."""
        records = list[Record]()
        try:
            yield records
        finally:
            if records:
                self._term.put(records)

    def _decide(self, command: commands.Command, records: list[Record]) -> object:
        cause = type(command).__name__
        result, record = self._term.decide(command, self._worker, cause)
        records.append(record)
        return result

    def _response(self) -> worker_pb2.WorkResponse | None:
        """What the worker has not heard on this connection; None: nothing."""
        directives = self._term.engine.directives(self._worker, self._leases)
        fresh = self._fresh(directives)
        for fence in [fence for fence in self._leases if not self._term.is_held(fence)]:
            del self._leases[fence]
            self._revoked[fence] = None
        for lease in fresh.leases:
            self._leases[lease.fence] = None
        acknowledged, self._acknowledged = self._acknowledged, {}
        revoked, self._revoked = self._revoked, {}
        questions = [self._questions.popleft()] if self._questions else []
        if self._questions:
            self._wake.set()  # one a message: each may be large
        reordered = directives.preparations != self._preparations
        self._preparations = directives.preparations
        if fresh == Directives() and not reordered and not acknowledged and not revoked and not questions:
            return None
        response = worker_pb2.WorkResponse(
            term=self._term.number,
            leases=[lease_to_proto(lease) for lease in fresh.leases],
            offers=offers_to_proto(fresh.offers),
            stops=stops_to_proto(fresh.stops),
            revoked=list(revoked),
            acknowledged=[
                worker_pb2.ReportAcknowledged(fence=fence, number=number)
                for fence, number in acknowledged.items()
            ],
            drain=fresh.drain,
            make_room=fresh.make_room,
            policy_questions=questions,
        )
        if reordered:
            prepared = [preparation_to_proto(each) for each in directives.preparations]
            response.preparations.CopyFrom(worker_pb2.Preparations(preparations=prepared))
        return response

    def _fresh(self, directives: Directives) -> Directives:
        fresh = Directives(
            leases=directives.leases,
            offers=tuple(offer for offer in directives.offers if offer not in self._offers),
            stops=tuple(stop for stop in directives.stops if stop not in self._stops),
            drain=directives.drain and not self._drain,
            make_room=directives.make_room and not self._make_room,
        )
        # Only what holds now is remembered: an offer that is made again later is sent again.
        self._offers = dict.fromkeys(directives.offers)
        self._stops = dict.fromkeys(directives.stops)
        self._drain = directives.drain
        self._make_room = directives.make_room
        return fresh


def _left() -> Unavailable:
    return Unavailable("the worker has left.", "Another one is asked.")
