"""Deadlines that have passed, and follow each other closely."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any, cast

from prometheus_client import CollectorRegistry

from hippo_core.engine.commands import Command, Tick
from hippo_core.engine.engine import Engine, Outcome
from hippo_server.answers import Answers
from hippo_server.changes import Changes
from hippo_server.commits import GroupCommit
from hippo_server.metrics import Metrics
from hippo_server.news import News
from hippo_server.term import TICKS_APART_SECONDS, Term

TICKS = 4


class Hurried(Engine):
    """At any moment something is due."""

    def __init__(self) -> None:
        super().__init__()
        self.ticked: list[float] = []
        self.enough = asyncio.Event()

    def handle(self, command: Command, now: float) -> Outcome:
        """Notes when it is told to look."""
        assert command == Tick()
        self.ticked.append(now)
        if len(self.ticked) >= TICKS:
            self.enough.set()
        return super().handle(command, now)

    def next_deadline(self) -> float | None:
        """It has passed."""
        return time.monotonic() - 1.0


def test_what_is_due_again_and_again_is_looked_at_no_more_often_and_no_less() -> None:
    """Whatever is decided meanwhile, which sets the timer again."""

    async def run() -> list[float]:
        engine = Hurried()
        term = Term(
            number=1,
            engine=engine,
            commits=cast("GroupCommit", None),  # nothing happens that is to be written
            answers=Answers(()),
            silence_seconds=10.0,
            heard=time.monotonic(),
            metrics=Metrics(CollectorRegistry()),
            news=News(Changes()),
            orders=Changes(),
            give_up=give_up,
        )
        while not engine.enough.is_set():
            term.put([])
            await asyncio.sleep(0)
        term.over = True
        return engine.ticked

    ticked = asyncio.run(asyncio.wait_for(run(), 60.0))
    assert all(later - earlier > 0.99 * TICKS_APART_SECONDS for earlier, later in pairwise(ticked))


def give_up(term: Any, error: Exception) -> None:
    raise error
