"""A study as a stream: sent again whenever it changed, but no oftener than a person can see.

Level-triggered: what is sent is computed from the engine as it is, so that a slow reader misses steps in between and
never the end. The study is looked at before its trials, so that those of one that has ended are told as they ended.

Workers come before watchers: of many trials a few are looked at at a time, and the pause between two looks grows with
what a look costs, unless the study ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from hippo_core.engine import study_views, trial_views
from hippo_core.engine.lookup import find_study
from hippo_core.engine.states import ENDED_STUDY_STATES
from hippo_core.errors import Unavailable
from hippo_server.driver import Driver
from hippo_server.rpc.rendering import rendered
from hippo_server.term import Term
from hippo_wire import render
from hippo_wire.v1 import study_pb2

SHORTEST_PAUSE_SECONDS = 0.1
LOOK_SHARE = 0.05  #: of the loop's time that one watcher may cost
TRIALS_AT_ONCE = 100  #: while they are looked at, the engine decides nothing


async def watch(driver: Driver, project: str, name: str) -> AsyncIterator[study_pb2.WatchStudyResponse]:
    """The study and the trials that changed, until it has ended.

    Raises:
        NotFound: There is no such study, or it was deleted meanwhile.
        Unavailable: The server stops, or rebuilds its state; watch again.
    """
    term = driver.current()
    sent_study: study_pb2.Study | None = None
    sent: dict[int, trial_views.TrialView] = {}
    with driver.changes.listen() as changed:
        while True:
            changed.clear()
            began = time.perf_counter()
            view = study_views.study_view(term.engine, project, name, time.monotonic())
            cost = time.perf_counter() - began
            count = len(find_study(term.engine.state, project, name).trials)
            news: list[trial_views.TrialView] = []
            for first in range(0, count, TRIALS_AT_ONCE):
                began = time.perf_counter()
                numbers = range(first, min(first + TRIALS_AT_ONCE, count))
                found = trial_views.changed_trial_views(term.engine, project, name, numbers, sent)
                cost += time.perf_counter() - began
                if news and found:
                    await term.settled()
                    yield study_pb2.WatchStudyResponse(trials=map(render.trial, news), more=True)
                    news = []
                news += found
                sent.update((trial.number, trial) for trial in found)
                await asyncio.sleep(0)
            await term.settled()
            study = rendered(view, await driver.times())
            if study != sent_study or news:
                yield study_pb2.WatchStudyResponse(study=study, trials=map(render.trial, news))
                sent_study = study
            if view.state in ENDED_STUDY_STATES:
                return
            await _pause(term, view, cost / LOOK_SHARE)
            await changed.wait()
            if term.over or driver.closing:
                raise Unavailable("the server is busy with itself.", "Watch again.")


async def _pause(term: Term, view: study_views.StudyView, seconds: float) -> None:
    """Waits for so long, at least the shortest pause; no longer where the study ends."""
    until = time.monotonic() + seconds
    await asyncio.sleep(SHORTEST_PAUSE_SECONDS)
    while (left := until - time.monotonic()) > 0 and not term.over:
        study = term.engine.state.studies.get(view.id)
        if study is None or study.state in ENDED_STUDY_STATES:
            return
        await asyncio.sleep(min(left, SHORTEST_PAUSE_SECONDS))
