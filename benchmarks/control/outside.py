"""An optimiser outside: it asks for points, tells them, and hears of results, as ``run.ask()`` and its like do."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field

from benchmarks.control.serving import Served
from benchmarks.control.specs import study
from hippo_core import samplers
from hippo_wire.aio_connection import AsyncConnection
from hippo_wire.retries import ANSWER_SECONDS
from hippo_wire.v1 import study_pb2

AT_ONCE = 64
"""Points that are told at the same time while a study is filled."""
FURTHER = 10_000
"""So many points more than it is filled with may a study have."""
WAIT_SECONDS = 20.0
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Heard:
    """Seconds of each answer, in order.

    Attributes:
        ask: Until a point was wanted of the optimiser.
        enqueue: Until the trial at its point was there, and durable.
        results: Until what was new was told.
    """

    ask: list[float] = field(default_factory=list)
    enqueue: list[float] = field(default_factory=list)
    results: list[float] = field(default_factory=list)


def fill(server: Served, name: str, steps: int, count: int) -> None:
    """Submits a study whose points come from outside, which has so many ended trials and wants more."""
    server.submit(study(name, server.bundle, count + FURTHER, steps, samplers.outside()))
    asyncio.run(_tell(server, name, count))


async def _tell(server: Served, name: str, count: int) -> None:
    connection = AsyncConnection(server.address, server.token("admin"))
    studies, numbers = connection.studies, iter(range(count))

    async def tell() -> None:
        for number in numbers:
            told = await connection.call(
                studies.EnqueueTrial, _point(name, number, count), timeout=ANSWER_SECONDS
            )
            stopped = study_pb2.StopTrialRequest(
                request_id=uuid.uuid4().hex, name=name, trial=told.trial.number
            )
            await connection.call(studies.StopTrial, stopped, timeout=ANSWER_SECONDS)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(tell())


def _point(name: str, number: int, count: int, ask: str = "") -> study_pb2.EnqueueTrialRequest:
    point = json.dumps({"lr": (number + 1) / (count + 2)})
    return study_pb2.EnqueueTrialRequest(request_id=uuid.uuid4().hex, name=name, point_json=point, ask=ask)


def told_so_far(server: Served, name: str, mark: int = 0) -> int:
    """Hears all that is known of a study's trials since an earlier mark, and says from where on it is new."""
    with server.connect() as connection:
        while True:
            request = study_pb2.ListResultsRequest(name=name, since=mark, page_size=PAGE)
            answer = connection.studies.ListResults(request, timeout=ANSWER_SECONDS)
            mark = answer.mark
            if not answer.trials:
                return mark


def converse(server: Served, name: str, mark: int, numbers: range, of: int, rate: float) -> Heard:
    """Asks for a point, tells it, and hears what is new.

    Args:
        server: Has workers that want points for longer than this takes.
        name: The study's.
        mark: From where on results are new.
        numbers: The points', others than in an earlier conversation.
        of: How many points it is told altogether.
        rate: So many a second.
    """
    heard = Heard()
    with server.connect() as connection:
        studies = connection.studies
        began = time.perf_counter()
        for done, number in enumerate(numbers):
            time.sleep(max(0.0, began + done / rate - time.perf_counter()))
            first = time.perf_counter()
            wanted = studies.AskPoints(
                study_pb2.AskPointsRequest(
                    request_id=uuid.uuid4().hex, name=name, count=1, wait_seconds=WAIT_SECONDS
                ),
                timeout=ANSWER_SECONDS,
            )
            second = time.perf_counter()
            if not wanted.asks:
                raise RuntimeError("no point was wanted: the workers have ended")
            studies.EnqueueTrial(_point(name, number, of, *wanted.asks), timeout=ANSWER_SECONDS)
            third = time.perf_counter()
            request = study_pb2.ListResultsRequest(name=name, since=mark, page_size=PAGE)
            mark = studies.ListResults(request, timeout=ANSWER_SECONDS).mark
            heard.ask.append(second - first)
            heard.enqueue.append(third - second)
            heard.results.append(time.perf_counter() - third)
    return heard
