"""When a slot asks for leases beside the one that trains."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from hippo_core.engine.commands import StepsReport
from hippo_worker.slots import ahead
from hippo_worker.slots.ahead import AHEAD_SECONDS, LONG_SECONDS, MOST_AHEAD, LeasesAhead
from tests.unit.worker.orders import make_lease


class Timer:
    """A call that is due later."""

    def __init__(self, seconds: float, call: Callable[[], Any]) -> None:
        self.seconds = seconds
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Stage:
    """The number of a slot, what is told of it, and an event loop's timers."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []
        self.timers: list[Timer] = []
        self.ahead = LeasesAhead(lambda count, fence: self.told.append((count, fence)))

    def call_later(self, seconds: float, call: Callable[..., Any], *arguments: Any) -> Timer:
        self.timers.append(Timer(seconds, lambda: call(*arguments)))
        return self.timers[-1]

    @property
    def due(self) -> list[Timer]:
        """Those that were not cancelled."""
        return [timer for timer in self.timers if not timer.cancelled]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    found = Stage()
    monkeypatch.setattr(ahead, "asyncio", SimpleNamespace(get_running_loop=lambda: found))
    return found


def steps(node: int, start: int, stop: int, seconds: float) -> StepsReport:
    """Each took a while to train, and a third of that to evaluate."""
    count = stop - start
    return StepsReport(
        node=node,
        start=start,
        stop=stop,
        train_seconds=0.75 * seconds * count,
        evaluate_seconds=0.25 * seconds * count,
    )


def test_short_paths_wait_as_many_as_fill_the_time_that_a_lease_takes(stage: Stage) -> None:
    stage.ahead.took(AHEAD_SECONDS / 2)
    assert stage.told == [(2, 0)]
    stage.ahead.took(0.0)
    assert stage.told == [(2, 0), (3, 0)]
    for _ in range(50):
        stage.ahead.took(0.0)
    assert stage.told[-1] == (MOST_AHEAD, 0)
    for _ in range(50):
        stage.ahead.took(2 * LONG_SECONDS)
    assert stage.told[-1] == (0, 0)


def test_the_next_lease_is_asked_for_as_a_long_path_comes_near_its_end(stage: Stage) -> None:
    """1. Lease 7, of five steps, has come a step further, and another. 2. What is left follows from the latest."""
    lease = make_lease()
    stage.ahead.trained(lease, steps(1, 0, 1, 10.0))
    (timer,) = stage.due
    assert timer.seconds == pytest.approx(40.0 - LONG_SECONDS)
    stage.ahead.trained(lease, steps(1, 1, 3, 20.0))
    (timer,) = stage.due
    assert timer.seconds == pytest.approx(40.0 - LONG_SECONDS)
    stage.ahead.trained(lease, steps(2, 3, 4, 1.0))
    (timer,) = stage.due
    assert timer.seconds == pytest.approx(1.0 - LONG_SECONDS)
    assert stage.told == []
    timer.call()
    assert stage.told == [(1, 7)]
    timer.cancel()
    stage.ahead.trained(lease, steps(2, 3, 4, 1.0))
    assert stage.due == [], "it is said once"


def test_it_is_asked_for_at_once_where_the_end_is_near(stage: Stage) -> None:
    stage.ahead.trained(make_lease(), steps(1, 0, 1, LONG_SECONDS / 5))
    assert [timer.seconds for timer in stage.due] == [0.0]


def test_nothing_is_asked_for_at_the_end_or_once_the_path_has_ended(stage: Stage) -> None:
    lease = make_lease()
    stage.ahead.trained(lease, steps(1, 0, 1, 10.0))
    stage.ahead.trained(lease, steps(2, 3, 5, 10.0))
    assert stage.due == []
    stage.ahead.trained(lease, steps(1, 0, 1, 10.0))
    stage.ahead.took(50.0)
    assert stage.due == []


def test_where_leases_wait_behind_each_path_none_is_asked_for_near_an_end(stage: Stage) -> None:
    stage.ahead.took(AHEAD_SECONDS)
    stage.ahead.trained(make_lease(), steps(1, 0, 1, 10.0))
    assert stage.due == []
