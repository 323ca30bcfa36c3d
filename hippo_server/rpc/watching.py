"""A study as a stream: sent again whenever it changed, but no oftener than a person can see.

Level-triggered: what is sent is computed from the engine as it is, so that a slow reader misses steps in between and
never the end. The pause between two looks grows with what a look costs, so that many watchers of a large study cannot
take the loop away from the workers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from hippo_core.engine import study_views, trial_views
from hippo_core.engine.states import ENDED_STUDY_STATES
from hippo_core.errors import Unavailable
from hippo_server.driver import Driver
from hippo_server.rpc.rendering import rendered
from hippo_wire import render
from hippo_wire.v1 import study_pb2

SHORTEST_PAUSE_SECONDS = 0.1
LOOK_SHARE = 0.05  #: of the loop's time that one watcher may cost


async def watch(driver: Driver, project: str, name: str) -> AsyncIterator[study_pb2.WatchStudyResponse]:
    """The study and the trials that changed, until it has ended.

    Raises:
        NotFound: There is no such study, or it was deleted meanwhile.
        Unavailable: The server stops, or rebuilds its state; watch again.
    """
    term = driver.current()
    sent_study: study_pb2.Study | None = None
    sent_trials: dict[int, trial_views.TrialView] = {}
    with driver.changes.listen() as changed:
        while True:
            changed.clear()
            began = time.perf_counter()
            view = study_views.study_view(term.engine, project, name, time.monotonic())
            trials = trial_views.trial_views(term.engine, project, name)
            fresh = [trial for trial in trials if sent_trials.get(trial.number) != trial]
            cost = time.perf_counter() - began
            await term.settled()
            times = await driver.times()
            study = rendered(view, times)
            if study != sent_study or fresh:
                yield study_pb2.WatchStudyResponse(
                    study=study, trials=[render.trial(trial) for trial in fresh]
                )
                sent_study = study
                sent_trials.update((trial.number, trial) for trial in fresh)
            if view.state in ENDED_STUDY_STATES:
                return
            await asyncio.sleep(max(SHORTEST_PAUSE_SECONDS, cost / LOOK_SHARE))
            await changed.wait()
            if term.over or driver.closing:
                raise Unavailable("the server is busy with itself.", "Watch again.")
