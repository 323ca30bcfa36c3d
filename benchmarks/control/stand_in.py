"""Workers without torch: they speak the real protocol over real gRPC, and train nothing.

``main``, in a process of its own with the options as JSON, plays so many daemons for so long. It says
``begin`` on a line when the time begins that is measured, and what was measured, as JSON, when it ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.control.specs import METRICS
from hippo_core.engine import commands
from hippo_wire.aio_connection import AsyncConnection
from hippo_wire.registrations import register_to_proto
from hippo_wire.reports import report_to_proto
from hippo_wire.v1 import worker_pb2

ENVIRONMENT = {"python": "3.11", "torch": "none", "cuda": None, "platform": "Linux"}
WARM_UP_SECONDS = 1.0
REGISTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is played.

    Attributes:
        address: The server's.
        token_file: With a token for workers.
        daemons: How many, each with a stream of its own.
        slots: Of each.
        batch: How many reports go in one message; 0: all of a trial, as soon as it is granted.
        rate: How many messages a second all send together, answered or not; 0: each waits for its acknowledgement.
        ahead: How many leases each slot asks for beside the one that trains; a real one whose paths are short: 8.
        train_seconds: How long a trial trains before it is reported, where no batch is given: each for half of this to
            one and a half, so that they do not end together.
        seconds: How long it is measured.
    """

    address: str
    token_file: str
    daemons: int
    slots: int
    batch: int = 0
    rate: float = 0.0
    ahead: int = 0
    train_seconds: float = 0.0
    seconds: float = 5.0


@dataclass(slots=True)
class Counted:
    """What happened while it was measured.

    Attributes:
        seconds: How long that was.
        processor_seconds: What this process used for it.
        trials: How many were trained and acknowledged.
        reports: How many reports were acknowledged.
        report_seconds: From sending a message, or from when it was due, to its acknowledgement.
        lease_seconds: From saying that a slot is free to the next lease for it.
    """

    seconds: float = 0.0
    processor_seconds: float = 0.0
    trials: int = 0
    reports: int = 0
    report_seconds: list[float] = field(default_factory=list)
    lease_seconds: list[float] = field(default_factory=list)


class Daemon:
    """One worker's stream.

    Args:
        options: What is played.
        name: Its name.
        counted: What is counted.
    """

    def __init__(self, options: Options, name: str, counted: Counted) -> None:
        self._options = options
        self._name = name
        self._incarnation = uuid.uuid4().hex
        self._counted = counted
        self._connection = AsyncConnection(options.address, Path(options.token_file).read_text().strip())
        self._wake = asyncio.Event()
        self._waiting: deque[worker_pb2.Report] = deque()
        self._free: dict[int, float] = {}  # by slot: since when
        self._sent: dict[
            tuple[int, int], tuple[float, int]
        ] = {}  # by fence and number: when, how many reports
        self._paths: dict[int, tuple[int, int, int]] = {}  # by fence: node, next step, one past the last
        self._numbers: dict[int, int] = {}
        self._chance = random.Random(name)
        self.ended = False

    async def run(self) -> None:
        """Registers and works until it is told to end."""
        command = commands.RegisterWorker(
            worker=self._name,
            incarnation=self._incarnation,
            host=self._name,
            slots=tuple(
                commands.SlotSpec(index=index, device="cpu", model="cpu", cpus=1, gpus=0)
                for index in range(self._options.slots)
            ),
            environment=ENVIRONMENT,
            leases=(),
        )
        request = register_to_proto(command, uuid.uuid4().hex)
        await self._connection.call(
            self._connection.workers.RegisterWorker, request, timeout=REGISTER_SECONDS
        )
        responses = self._connection.stream(self._connection.workers.Work, self._requests())
        async for response in responses:
            self._receive(response)
            if self.ended:
                return

    def end(self) -> None:
        """Sends nothing more."""
        self.ended = True
        self._wake.set()

    async def pace(self, messages_per_second: float, first: float) -> None:
        """Sends messages when they are due, whatever has been answered."""
        due = first
        while not self.ended:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            for fence in list(self._paths):
                self._report_steps(fence, due)
            due += 1.0 / messages_per_second

    async def _requests(self) -> AsyncIterator[worker_pb2.WorkRequest]:
        slots = range(self._options.slots if self._options.ahead else 0)
        yield worker_pb2.WorkRequest(
            worker=self._name,
            incarnation=self._incarnation,
            heartbeat=True,
            slot_ahead=[worker_pb2.SlotAhead(slot=slot, count=self._options.ahead) for slot in slots],
        )
        while not self.ended:
            self._wake.clear()
            if self._waiting:
                reports = [self._waiting.popleft() for _ in range(len(self._waiting))]
                yield worker_pb2.WorkRequest(reports=reports)
                continue
            await self._wake.wait()

    def _receive(self, response: worker_pb2.WorkResponse) -> None:
        now = time.perf_counter()
        for each in response.acknowledged:
            self._acknowledge(each.fence, each.number, now)
        for message in response.leases:
            if (since := self._free.pop(message.slot, None)) is not None:
                self._counted.lease_seconds.append(now - since)
            if self._options.batch:
                (stage,) = message.stages
                self._paths[message.fence] = stage.node, stage.start, stage.stop
                if not self._options.rate:
                    self._report_steps(message.fence, now)
            elif self._options.train_seconds:
                lasts = self._options.train_seconds * self._chance.uniform(0.5, 1.5)
                asyncio.get_running_loop().call_later(lasts, self._report_trial, message)
            else:
                self._report_trial(message)
        self._wake.set()

    def _acknowledge(self, fence: int, number: int, now: float) -> None:
        for key in [key for key in self._sent if key[0] == fence and key[1] <= number]:
            since, reports = self._sent.pop(key)
            self._counted.report_seconds.append(now - since)
            self._counted.reports += reports
            if not self._options.batch:
                self._counted.trials += 1
        if fence in self._paths and not self._options.rate:
            self._report_steps(fence, now)

    def _report_steps(self, fence: int, now: float) -> None:
        """The next few steps of a long path."""
        node, start, stop = self._paths[fence]
        upto = min(stop, start + self._options.batch)
        self._paths[fence] = node, upto, stop
        if upto > start:
            self._send(fence, [(node, start, upto)], [], now)

    def _report_trial(self, message: worker_pb2.Lease) -> None:
        """A whole path, as a daemon tells it whose runner was faster than the server."""
        now = time.perf_counter()
        stages = [(stage.node, stage.start, stage.stop) for stage in message.stages]
        items: list[commands.ReportItem] = [commands.TrainedReport()]
        items += [
            commands.PublishedReport(
                node=saved.node,
                step=saved.step,
                size_bytes=1000,
                digest="d" * 64,
                blocked_seconds=0.0,
                total_seconds=0.0,
            )
            for saved in message.save_points
        ]
        self._send(message.fence, stages, items, now)
        self._free[message.slot] = now

    def _send(
        self, fence: int, stages: list[tuple[int, int, int]], after: list[commands.ReportItem], now: float
    ) -> None:
        items: list[commands.ReportItem] = []
        for node, start, stop in stages:
            items.append(
                commands.StepsReport(
                    node=node, start=start, stop=stop, train_seconds=1e-5, evaluate_seconds=1e-5
                )
            )
            items += [
                commands.MetricsReport(node=node, step=step, metrics=METRICS, training={}, evaluated=True)
                for step in range(start + 1, stop + 1)
            ]
        number = self._numbers.get(fence, 0) + 1
        self._numbers[fence] = number
        report = commands.Report(
            worker=self._name,
            incarnation=self._incarnation,
            fence=fence,
            number=number,
            items=(*items, *after),
        )
        self._sent[fence, number] = now, sum(stop - start for _, start, stop in stages)
        self._waiting.append(report_to_proto(report))
        self._wake.set()


async def play(options: Options) -> Counted:
    """Plays the daemons; says when what is measured begins."""
    counted = Counted()
    daemons = [Daemon(options, f"stand-in-{number}", counted) for number in range(options.daemons)]
    tasks = [asyncio.create_task(daemon.run()) for daemon in daemons]
    await asyncio.sleep(WARM_UP_SECONDS)
    if options.rate:
        first, each = time.perf_counter(), options.rate / options.daemons
        tasks += [
            asyncio.create_task(daemon.pace(each, first + number / options.rate))
            for number, daemon in enumerate(daemons)
        ]
        await asyncio.sleep(WARM_UP_SECONDS)
    print("begin", flush=True)
    for field_name in ("report_seconds", "lease_seconds"):
        getattr(counted, field_name).clear()
    counted.trials = counted.reports = 0
    began, used = time.perf_counter(), time.process_time()
    await asyncio.wait(tasks, timeout=options.seconds, return_when=asyncio.FIRST_EXCEPTION)
    counted.seconds = time.perf_counter() - began
    counted.processor_seconds = time.process_time() - used
    print(json.dumps(asdict(counted)), flush=True)
    for task in tasks:
        if task.done():
            task.result()
    return counted


def main() -> None:
    """Plays what the arguments say, and ends at once: streams are cut as by a worker that dies."""
    options = Options(**json.loads(sys.argv[1]))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(play(options))
    sys.stdout.flush()
    os._exit(0)
