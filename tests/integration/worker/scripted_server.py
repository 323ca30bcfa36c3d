"""A server with a script: it hands out leases as a test says, and checks the protocol of what it is told.

Checked always: reports of a lease are numbered from 1 without a gap; one that comes again under its number is the
same; nothing is reported after a lease's end; the first message of a stream says who speaks; terms, heartbeats and
registrations are as the contract says. What is wrong is collected in ``broken`` and fails the test at its end.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from hippo_core.engine.commands import (
    FailedReport,
    MetricsReport,
    PublishedReport,
    RegisterWorker,
    ReleasedReport,
    ReportItem,
    SaveFailedReport,
    StepsReport,
    TrainedReport,
)
from hippo_core.lease_order import LeaseOrder
from hippo_wire.orders import lease_to_proto, offers_to_proto, stops_to_proto
from hippo_wire.registrations import register_from_proto
from hippo_wire.reports import report_from_proto
from hippo_wire.v1 import worker_pb2, worker_pb2_grpc

TOKEN = "hippo_test-worker-token"
PATIENCE_SECONDS = 90.0


@dataclass(slots=True)
class Told:
    """What was reported of one lease."""

    items: list[ReportItem] = field(default_factory=list)
    reports: dict[int, worker_pb2.Report] = field(default_factory=dict)
    repeats: int = 0

    def of(self, kind: type[Any]) -> list[Any]:
        """The items of one kind, in order."""
        return [item for item in self.items if isinstance(item, kind)]

    @property
    def steps(self) -> list[int]:
        """Every step that was reported as trained, in order."""
        return [step for item in self.of(StepsReport) for step in range(item.start, item.stop)]

    @property
    def saved(self) -> list[tuple[int, int]]:
        """The states that became durable, in order."""
        return [(item.node, item.step) for item in self.of(PublishedReport)]

    @property
    def metrics(self) -> dict[tuple[int, int], dict[str, float]]:
        """Evaluations by state."""
        return {
            (item.node, item.step): dict(item.metrics) for item in self.of(MetricsReport) if item.evaluated
        }

    @property
    def ended(self) -> bool:
        """Whether the path has ended."""
        return bool(self.of(TrainedReport) or self.of(FailedReport) or self.of(ReleasedReport))


def _held_port() -> socket.socket:
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(("127.0.0.1", 0))
    return held


class ScriptedServer(worker_pb2_grpc.WorkerServiceServicer):
    """The worker service, played by a test. To be closed.

    Args:
        storage: The shared storage's address.
    """

    def __init__(self, storage: str) -> None:
        self.storage = storage
        self.term = 1
        self.heartbeat_seconds = 0.2
        self.lease_seconds = 30.0
        self.orphan_seconds = 600.0
        self.told: dict[int, Told] = {}
        self.logs: dict[tuple[int, int], bytearray] = {}
        self.registrations: list[RegisterWorker] = []
        self.broken: list[str] = []
        self.heartbeats = 0
        self.streams = 0
        self.left = False
        self.draining = False
        self.health: list[tuple[int, bool, str]] = []  #: of slots, as they were told
        self.ahead: list[
            tuple[int, int, int]
        ] = []  #: what slots want ahead, as they were told: slot, count, fence
        self.silent = False  #: takes reports in without acknowledging them
        self.deaf = False  #: throws away what it is sent
        self.revoked_at_registration: list[int] = []
        self._leases: dict[int, LeaseOrder] = {}
        self._changed = asyncio.Condition()
        self._outgoing: asyncio.Queue[worker_pb2.WorkResponse | None] | None = None
        self._breaks_with = grpc.StatusCode.UNAVAILABLE
        self._server: grpc.aio.Server | None = None
        # Held while nobody listens: no connection may be given the port as its own meanwhile. gRPC shares it.
        self._port = _held_port()
        self.port: int = self._port.getsockname()[1]

    async def start(self) -> None:
        """Listens; after a stop on the same port again."""
        self._server = grpc.aio.server()
        worker_pb2_grpc.add_WorkerServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def start_elsewhere(self) -> None:
        """Listens on another port, after a stop."""
        former, self._port = self._port, _held_port()
        former.close()
        self.port = self._port.getsockname()[1]
        await self.start()

    async def stop(self) -> None:
        """Ends at once, as a server that died."""
        assert self._server is not None
        await self._server.stop(None)

    async def close(self) -> None:
        """Stops, for good."""
        await self.stop()
        self._port.close()

    # What the script says.

    async def grant(self, order: LeaseOrder) -> Told:
        """Grants a lease."""
        self._leases[order.fence] = order
        await self.say(worker_pb2.WorkResponse(leases=[lease_to_proto(order)]))
        return self.of(order.fence)

    async def grant_when_connected(self, order: LeaseOrder, streams: int) -> Told:
        """Grants a lease on the stream of this number."""
        await self.until(lambda: self.streams >= streams)
        return await self.grant(order)

    def forget_leases(self) -> None:
        """Says no lease again to whoever connects next."""
        self._leases.clear()

    def of(self, fence: int) -> Told:
        """What was told of a lease."""
        return self.told.setdefault(fence, Told())

    async def say(self, response: worker_pb2.WorkResponse) -> None:
        """Says something on the present stream; without one it is lost."""
        if not response.term:
            response.term = self.term
        if self._outgoing is not None:
            await self._outgoing.put(response)

    async def offer(self, fence: int, node: int, step: int) -> None:
        """Offers a save point."""
        await self.say(worker_pb2.WorkResponse(offers=offers_to_proto([(fence, node, step)])))

    async def stop_path(self, fence: int, save: bool, reason: str) -> None:
        """Ends a path."""
        await self.say(worker_pb2.WorkResponse(stops=stops_to_proto([(fence, save, reason)])))

    async def cut(self, status: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        """Breaks the present stream."""
        assert self._outgoing is not None
        self._breaks_with = status
        await self._outgoing.put(None)

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Waits until something is so."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(condition), PATIENCE_SECONDS)
            except TimeoutError:
                raise AssertionError(f"never came: {what or condition}; told: {self.told}") from None

    async def until_over(self, *fences: int) -> None:
        """Waits until the paths have ended and every state that they promised has come or failed."""
        await self.until(lambda: all(self._is_over(fence) for fence in fences), f"the end of {fences}")

    def _is_over(self, fence: int) -> bool:
        told, order = self.of(fence), self._leases[fence]
        if not told.ended:
            return False
        promised = {*order.save_points, (order.stages[-1].node, order.stages[-1].stop)}
        known = {*told.saved, *((item.node, item.step) for item in told.of(SaveFailedReport))}
        return not told.of(TrainedReport) or promised <= known

    # What workers call.

    async def RegisterWorker(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Takes a worker in."""
        await self._check_token(context)
        command = register_from_proto(request)
        self.registrations.append(command)
        held = [lease.fence for lease in command.leases]
        await self._notify()
        return worker_pb2.RegisterWorkerResponse(
            term=self.term,
            storage=self.storage,
            revoked=[fence for fence in self.revoked_at_registration if fence in held],
            heartbeat_seconds=self.heartbeat_seconds,
            lease_seconds=self.lease_seconds,
            orphan_seconds=self.orphan_seconds,
        )

    async def Work(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """One stream."""
        await self._check_token(context)
        self.streams += 1
        outgoing = self._outgoing = asyncio.Queue()
        # As the real one: on a new stream all that still holds is said again.
        for order in self._leases.values():
            if not self.of(order.fence).ended:
                await self.say(worker_pb2.WorkResponse(leases=[lease_to_proto(order)]))
        reading = asyncio.create_task(self._read(requests, outgoing))
        await self._notify()
        try:
            while True:
                response = await outgoing.get()
                if response is None:
                    if self.left:
                        return
                    await context.abort(self._breaks_with, "cut by the script")
                yield response
        finally:
            reading.cancel()
            if self._outgoing is outgoing:
                self._outgoing = None

    async def _read(self, requests: AsyncIterator[Any], outgoing: asyncio.Queue[Any]) -> None:
        first = True
        async for request in requests:
            if self.deaf:
                first = False
                continue
            if first and not (request.worker and request.incarnation):
                self.broken.append("the first message does not say who speaks")
            first = False
            self.heartbeats += request.heartbeat
            self.draining = self.draining or request.draining
            self.health += [(each.slot, each.failed, each.reason) for each in request.slot_health]
            self.ahead += [(each.slot, each.count, each.fence) for each in request.slot_ahead]
            acknowledged = [self._take(report) for report in request.reports]
            if request.leaving:
                self.left = True
                await outgoing.put(None)
            if acknowledged and not self.silent:
                await outgoing.put(worker_pb2.WorkResponse(term=self.term, acknowledged=acknowledged))
            await self._notify()

    def _take(self, report: Any) -> Any:
        told = self.of(report.fence)
        known = told.reports.get(report.number)
        if known is not None:
            told.repeats += 1
            if known != report:
                self.broken.append(f"report {report.number} of {report.fence} came again as another")
        elif report.number != len(told.reports) + 1:
            self.broken.append(f"report {report.number} of {report.fence} follows {len(told.reports)}")
        else:
            if told.of(FailedReport) or told.of(ReleasedReport):
                self.broken.append(f"report {report.number} of {report.fence} came after its end")
            told.reports[report.number] = report
            told.items += report_from_proto(report, "", "").items
        return worker_pb2.ReportAcknowledged(fence=report.fence, number=len(told.reports))

    async def AppendLog(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Keeps what was printed."""
        await self._check_token(context)
        log = self.logs.setdefault((request.fence, request.node), bytearray())
        if request.offset > len(log):
            self.broken.append(f"a piece of the log of {request.fence} begins at {request.offset}")
        log[request.offset : request.offset + len(request.data)] = request.data
        await self._notify()
        return worker_pb2.AppendLogResponse(next_offset=len(log))

    async def _check_token(self, context: Any) -> None:
        if ("authorization", f"Bearer {TOKEN}") not in [
            tuple(pair) for pair in context.invocation_metadata()
        ]:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such token")

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
