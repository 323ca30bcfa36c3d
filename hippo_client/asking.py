"""Waiting at the server for what an optimiser outside needs: points to make, and results to learn from.

The server holds each call for as long as it may, and answers once there is something to say; calls follow on each other
until there is, or until the time is over.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hippo_client.request_ids import new_request_id
from hippo_client.watching import GIVE_UP_SECONDS
from hippo_core.arguments import integer
from hippo_core.errors import InvalidStudy
from hippo_wire.v1 import study_pb2

if TYPE_CHECKING:
    from hippo_wire.v1.study_pb2_grpc import StudyServiceStub

#: For how long the server is to hold a call.
HELD_SECONDS = 20.0
MOST_POINTS = 1000
PAGE_SIZE = 1000


def ask(studies: StudyServiceStub, name: str, count: int, timeout: float | None) -> list[str]:
    """Asks for points to make; none where the study wants no more, or wanted none in time."""
    count = integer(count, "n", 1)
    if count > MOST_POINTS:
        raise InvalidStudy("n", f"must be at most {MOST_POINTS}, not {count}.", "Ask again for more.")
    for seconds in _waits(timeout):
        request = study_pb2.AskPointsRequest(
            request_id=new_request_id(), name=name, count=count, wait_seconds=seconds
        )
        answer = studies.AskPoints(request, timeout=seconds + GIVE_UP_SECONDS)
        if answer.asks or answer.over:
            return list(answer.asks)
    return []


def results(
    studies: StudyServiceStub, name: str, since: int, timeout: float | None
) -> tuple[list[study_pb2.Trial], int]:
    """The trials with news since a mark, and the next mark."""
    mark = integer(since, "since", 0)
    found: list[study_pb2.Trial] = []
    for seconds in _waits(timeout):
        while True:
            request = study_pb2.ListResultsRequest(
                name=name, since=mark, wait_seconds=0.0 if found else seconds, page_size=PAGE_SIZE
            )
            answer = studies.ListResults(request, timeout=seconds + GIVE_UP_SECONDS)
            found.extend(answer.trials)
            mark = answer.mark
            if len(answer.trials) < PAGE_SIZE:
                break
        if found or answer.ended:
            break
    return found, mark


def _waits(timeout: float | None) -> Iterator[float]:
    """How long each call waits, until the time is over: one call at least."""
    if timeout is not None and (isinstance(timeout, bool) or not timeout >= 0.0):
        raise InvalidStudy("timeout", f"must be seconds, 0 or more, or None, not {timeout!r}.")
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    while True:
        left = deadline - time.monotonic()
        yield min(HELD_SECONDS, max(0.0, left))
        if time.monotonic() >= deadline:
            return
