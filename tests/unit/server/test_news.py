"""Which subjects an event is news about."""

from __future__ import annotations

from hippo_core.engine import events as ev
from hippo_core.engine.state import EngineState
from hippo_server.changes import Changes
from hippo_server.news import WORKERS, News


def test_what_the_page_of_workers_shows_is_news_of_workers() -> None:
    """How far a slot has come, and that a worker cannot read its storage."""
    news = News(Changes())
    trained = ev.StepsTrained(fence=1, node=1, start=0, stop=1, train_seconds=1.0, evaluate_seconds=0.0)
    for event in (trained, ev.WorkerBlocked(worker="gpu-1", reason="no such folder")):
        mark = news.mark
        news.happened(EngineState(), [event])
        assert WORKERS in news.since(mark)
