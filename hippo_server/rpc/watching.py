"""A study as a stream: sent again whenever it changed, but no oftener than a person can see.

Level-triggered: what is sent is computed from the engine as it is, so that a slow reader misses steps in between and
never the end. One that has ended is told when all its trials were looked at since.

Workers come before watchers: of many trials a few are looked at at a time, by one watcher at a time, and then the loop
is left to others for as long as that took. The pause between two looks grows with what a look costs, unless the study
ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

from hippo_core.engine import study_views, trial_views
from hippo_core.engine.lookup import find_study
from hippo_core.engine.states import ENDED_STUDY_STATES
from hippo_core.engine.study import Study
from hippo_core.errors import NotFound, Unavailable
from hippo_server.driver import Driver
from hippo_server.rpc.rendering import rendered
from hippo_server.term import Term
from hippo_wire import render
from hippo_wire.v1 import study_pb2

T = TypeVar("T")

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
    number = await term.read(lambda engine: find_study(engine.state, project, name).id)
    watcher = _Watcher(driver, term, number, name)
    with driver.changes.listen() as changed:
        while True:
            changed.clear()
            try:
                async for message in watcher.look():
                    await term.settled()
                    yield message
            except NotFound:
                await term.settled()
                raise
            if watcher.is_over:
                return
            await watcher.pause()
            await changed.wait()
            if term.over or driver.closing:
                raise Unavailable("the server is busy with itself.", "Watch again.")


class _Watcher:
    """What one stream has told of its study, which is known by its number: another one may come to have its name.

    Attributes:
        is_over: Whether it has told of the study's end.
    """

    def __init__(self, driver: Driver, term: Term, number: int, name: str) -> None:
        self.is_over = False
        self._driver = driver
        self._term = term
        self._number = number
        self._name = name
        self._sent: study_pb2.Study | None = None
        self._trials: dict[int, trial_views.TrialView] = {}
        self._news: list[study_pb2.Trial] = []
        self._cost = 0.0

    async def look(self) -> AsyncIterator[study_pb2.WatchStudyResponse]:
        """What changed since the last look, in parts, which may not be committed yet."""
        self._cost = 0.0
        was_over, count = await self._see(lambda study: (_is_over(study), len(study.trials)))
        for first in range(0, count, TRIALS_AT_ONCE):
            numbers = range(first, min(first + TRIALS_AT_ONCE, count))
            found = await self._see(partial(self._changed, numbers))
            if self._news and found:
                yield study_pb2.WatchStudyResponse(trials=self._news, more=True)
                self._news = []
            self._news += found
        view = await self._see(self._view)
        if view.state in ENDED_STUDY_STATES and not was_over:
            return  # trials were looked at before it ended
        study = rendered(view, await self._driver.times())
        if study != self._sent or self._news:
            yield study_pb2.WatchStudyResponse(study=study, trials=self._news)
            self._sent, self._news = study, []
        self.is_over = view.state in ENDED_STUDY_STATES

    async def pause(self) -> None:
        """Waits for as long as the look asks for, at least the shortest pause; no longer where the study ends."""
        until = time.monotonic() + self._cost / LOOK_SHARE
        await asyncio.sleep(SHORTEST_PAUSE_SECONDS)
        while (left := until - time.monotonic()) > 0 and not (self._term.over or self._driver.closing):
            study = self._term.engine.state.studies.get(self._number)
            if study is None or _is_over(study):
                return
            await asyncio.sleep(min(left, SHORTEST_PAUSE_SECONDS))

    async def _see(self, look: Callable[[Study], T]) -> T:
        """What ``look`` sees of the study; then others have the loop for as long as that took."""
        async with self._driver.looking:
            study = self._term.engine.state.studies.get(self._number)
            if study is None:
                raise NotFound(f"the study '{self._name}' was deleted.", "hippo study ls lists the studies.")
            began = time.perf_counter()
            seen = look(study)
            cost = time.perf_counter() - began
            self._cost += cost
            await asyncio.sleep(cost)
        return seen

    def _changed(self, numbers: range, study: Study) -> list[study_pb2.Trial]:
        found = trial_views.changed_trial_views(self._term.engine.state, study, numbers, self._trials)
        self._trials.update((trial.number, trial) for trial in found)
        return [render.trial(trial) for trial in found]

    def _view(self, study: Study) -> study_views.StudyView:
        return study_views.study_view(self._term.engine, study.project, study.name, time.monotonic())


def _is_over(study: Study) -> bool:
    return study.state in ENDED_STUDY_STATES
