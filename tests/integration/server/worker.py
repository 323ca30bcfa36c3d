"""A worker as the server sees one: it registers, keeps its stream, and trains as the test says."""

from __future__ import annotations

import contextlib
import queue
import uuid
from collections.abc import Callable, Iterator

from hippo_core.engine import commands
from hippo_core.lease_order import LeaseOrder
from hippo_wire.connection import Connection
from hippo_wire.orders import lease_from_proto, offer_from_proto, stop_from_proto
from hippo_wire.registrations import register_to_proto
from hippo_wire.reports import report_to_proto
from hippo_wire.v1 import worker_pb2

ENVIRONMENT = {"python": "3.11", "torch": "2.13.0+cpu", "cuda": None, "platform": "Linux"}


class Worker:
    """A scripted worker on one connection.

    Args:
        connection: With a worker's token.
        name: Its name.
        slots: How many it has.
    """

    def __init__(self, connection: Connection, name: str = "worker", slots: int = 1) -> None:
        self.connection = connection
        self.name = name
        self.incarnation = uuid.uuid4().hex
        self.slots = slots
        self.reported: dict[int, int] = {}
        self.acknowledged: dict[int, int] = {}
        self.revoked: list[int] = []
        self.stops: list[tuple[int, bool, str]] = []
        self.drained = False
        self.made_room = 0  #: how often it was told to
        self._requests: queue.SimpleQueue[worker_pb2.WorkRequest | None] = queue.SimpleQueue()

    def register(self, *held: int, request_id: str | None = None) -> worker_pb2.RegisterWorkerResponse:
        """Makes itself known, with the leases that it holds."""
        command = commands.RegisterWorker(
            worker=self.name,
            incarnation=self.incarnation,
            host="host",
            slots=tuple(
                commands.SlotSpec(index=index, device="cpu", model="cpu", cpus=1, gpus=0)
                for index in range(self.slots)
            ),
            environment=ENVIRONMENT,
            leases=tuple(
                commands.HeldLease(fence=fence, acknowledged=self.acknowledged.get(fence, 0))
                for fence in held
            ),
        )
        request = register_to_proto(command, request_id or uuid.uuid4().hex)
        return self.connection.workers.RegisterWorker(request)

    def open(self) -> Iterator[worker_pb2.WorkResponse]:
        """Opens the stream."""
        self._requests = queue.SimpleQueue()
        self.send(worker=self.name, incarnation=self.incarnation, heartbeat=True)
        return self.connection.workers.Work(iter(self._requests.get, None))

    def send(self, **fields: object) -> None:
        """Sends a message up the stream."""
        self._requests.put(worker_pb2.WorkRequest(**fields))

    def close(self) -> None:
        """Ends its side of the stream."""
        self._requests.put(None)

    def report(self, fence: int, *items: commands.ReportItem, number: int | None = None) -> None:
        """Sends the next report of a lease."""
        if number is None:
            number = self.reported.get(fence, 0) + 1
            self.reported[fence] = number
        self.send(reports=[report_to_proto(self.report_of(fence, number, *items))])

    def report_of(self, fence: int, number: int, *items: commands.ReportItem) -> commands.Report:
        return commands.Report(
            worker=self.name, incarnation=self.incarnation, fence=fence, number=number, items=items
        )

    def note(self, response: worker_pb2.WorkResponse) -> list[LeaseOrder]:
        """Takes a message in; gives its leases."""
        self.acknowledged.update((each.fence, each.number) for each in response.acknowledged)
        self.revoked.extend(response.revoked)
        self.stops.extend(stop_from_proto(each) for each in response.stops)
        self.drained |= response.drain
        self.made_room += response.make_room
        for offer in response.offers:
            fence, node, step = offer_from_proto(offer)
            self.report(fence, commands.AnsweredReport(node=node, step=step, will=False))
        return [lease_from_proto(each) for each in response.leases]

    def train(
        self, order: LeaseOrder, accuracy: Callable[[int, int], float] = lambda node, step: step / 10
    ) -> None:
        """Reports a whole path, with the metrics and checkpoints that it asks for."""
        for stage in order.stages:
            items: list[commands.ReportItem] = [
                commands.StepsReport(
                    node=stage.node,
                    start=stage.start,
                    stop=stage.stop,
                    train_seconds=0.01 * (stage.stop - stage.start),
                    evaluate_seconds=0.0,
                )
            ]
            items += [
                commands.MetricsReport(
                    node=stage.node,
                    step=step,
                    metrics={"accuracy": accuracy(stage.node, step)},
                    training={},
                    evaluated=True,
                )
                for step in range(stage.start + 1, stage.stop + 1)
            ]
            self.report(order.fence, *items)
        self.report(order.fence, commands.TrainedReport())
        for node, step in order.save_points:
            self.report(order.fence, self.publish(order, node, step))

    def publish(self, order: LeaseOrder, node: int, step: int) -> commands.PublishedReport:
        """A checkpoint's report; tests that need the files put them there."""
        return commands.PublishedReport(
            node=node, step=step, size_bytes=3, digest="d" * 64, blocked_seconds=0.0, total_seconds=0.0
        )

    def work(self, until: Callable[[], bool], stream: Iterator[worker_pb2.WorkResponse]) -> None:
        """Trains whatever comes until a condition holds."""
        for response in stream:
            for order in self.note(response):
                self.train(order)
            if until():
                return

    def settled(self) -> bool:
        """Whether all that was reported is acknowledged."""
        return all(self.acknowledged.get(fence) == number for fence, number in self.reported.items())


@contextlib.contextmanager
def working(worker: Worker) -> Iterator[Iterator[worker_pb2.WorkResponse]]:
    """Registers, and holds a stream open."""
    worker.register()
    stream = worker.open()
    try:
        yield stream
    finally:
        worker.close()
        stream.cancel()
