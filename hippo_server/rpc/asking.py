"""What an optimiser outside needs: to hear when points are wanted, and what trials have come to.

Both calls wait at the server, for as long as the caller says, and look again whenever anything changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

from hippo_core.engine import trial_views
from hippo_core.engine.engine import Engine
from hippo_core.engine.lookup import find_study
from hippo_core.engine.states import ENDED_STUDY_STATES
from hippo_core.errors import Conflict, InvalidStudy
from hippo_server.asks import Asks
from hippo_server.driver import Driver
from hippo_wire import render
from hippo_wire.v1 import study_pb2

LONGEST_WAIT_SECONDS = 60.0
MOST_POINTS = 1000
T = TypeVar("T")


async def ask_points(
    driver: Driver, asks: Asks, project: str, request: study_pb2.AskPointsRequest
) -> study_pb2.AskPointsResponse:
    """Takes on to make points, once the study wants any.

    Raises:
        InvalidStudy: A number makes no sense.
        Conflict: The study's points do not come from outside.
        NotFound: There is no such study, or it was deleted meanwhile.
        Unavailable: The server stops, or rebuilds its state; ask again.
    """
    if not 1 <= request.count <= MOST_POINTS:
        raise InvalidStudy("count", f"{request.count} is not between 1 and {MOST_POINTS}")
    lapse: float | None = None

    def look(engine: Engine) -> study_pb2.AskPointsResponse | None:
        nonlocal lapse
        study = find_study(engine.state, project, request.name)
        if not study.spec.sampler.outside:
            raise Conflict(
                f"the points of study '{study.name}' are made by its sampler.",
                "run.enqueue adds one of yours; a study with samplers.outside() asks for all.",
            )
        if study.state in ENDED_STUDY_STATES or study.ending or not study.unproposed:
            return study_pb2.AskPointsResponse(over=True)
        wanted = engine.points_wanted(study.id)
        taken = asks.take(study.id, request.request_id, request.count, wanted, time.monotonic())
        lapse = asks.next_lapse(study.id)
        return study_pb2.AskPointsResponse(asks=taken) if taken else None

    found = await _wait_for(driver, look, request.wait_seconds, lambda: lapse)
    return study_pb2.AskPointsResponse() if found is None else found


async def list_results(
    driver: Driver, project: str, request: study_pb2.ListResultsRequest, size: int
) -> study_pb2.ListResultsResponse:
    """The trials of which something new is known, once there are any or the study has ended.

    Raises:
        InvalidStudy: A number makes no sense.
        NotFound: There is no such study, or it was deleted meanwhile.
        Unavailable: The server stops, or rebuilds its state; ask again.
    """

    def look(engine: Engine) -> study_pb2.ListResultsResponse | None:
        found, mark = trial_views.trials_since(engine, project, request.name, request.since, size)
        ended = find_study(engine.state, project, request.name).state in ENDED_STUDY_STATES
        if not found and not ended:
            return None
        return study_pb2.ListResultsResponse(
            trials=[render.trial(view) for view in found], mark=mark, ended=ended
        )

    answer = await _wait_for(driver, look, request.wait_seconds, lambda: None)
    return study_pb2.ListResultsResponse(mark=request.since) if answer is None else answer


async def _wait_for(
    driver: Driver, look: Callable[[Engine], T | None], seconds: float, wake_at: Callable[[], float | None]
) -> T | None:
    """What ``look`` finds, once it finds something; None after so many seconds.

    Args:
        driver: Knows the engine, and when it changes.
        look: Looks at the engine.
        seconds: How long to wait.
        wake_at: When to look again though nothing changed, monotonic seconds.
    """
    if not 0.0 <= seconds <= LONGEST_WAIT_SECONDS:
        raise InvalidStudy(
            "wait_seconds",
            f"{seconds:g} is not between 0 and {LONGEST_WAIT_SECONDS:g}",
            "Ask again after it.",
        )
    deadline = time.monotonic() + seconds
    with driver.changes.listen() as changed:
        while True:
            changed.clear()
            found = await driver.current().read(look)
            now = time.monotonic()
            if found is not None or now >= deadline:
                return found
            wake = wake_at()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((deadline if wake is None else min(deadline, wake)) - now):
                    await changed.wait()
