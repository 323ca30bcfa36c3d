"""A day of three users: each has its share, none starves, no slot idles, and the bills add up."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.day import SLOTS, STEP_SECONDS, WEIGHTS, Day, fair_share, run, table
from hippo_core.engine.decision import EngineSettings

#: A slot counts a turn in advance; what comes to be known a step late is late for each slot. For each of two users.
BOUND = 2 * (SLOTS + 1) * (EngineSettings().turn_seconds + STEP_SECONDS)
PAGE = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "fair-share.md"


@pytest.fixture(scope="module")
def day() -> Day:
    return run()


def test_each_has_its_share_whenever_several_have_something_to_train(day: Day) -> None:
    for stretch in day.stretches:
        if len(stretch.there) < 2:
            continue
        for user in WEIGHTS:
            fair = fair_share(stretch, user) * (stretch.end - stretch.begin)
            assert abs(stretch.used[user] - fair) <= BOUND, (stretch, user)


def test_nobody_starves(day: Day) -> None:
    for stretch in day.stretches:
        for user in stretch.there:
            if stretch.end - stretch.begin > BOUND:
                assert stretch.used[user] > 0, (stretch, user)


def test_the_pool_is_used_wholly_while_several_want_it(day: Day) -> None:
    """What is used is all that there is, but for the step at which somebody comes, or has done."""
    for stretch in day.stretches:
        if len(stretch.there) > 1:
            assert stretch.total >= SLOTS * (stretch.end - stretch.begin - 2 * STEP_SECONDS)


def test_what_is_billed_is_what_was_trained_and_nothing_is_trained_twice(day: Day) -> None:
    assert sum(day.billed.values()) == day.trained
    assert day.steps_retrained == 0
    assert day.takeovers > 0


def test_the_page_shows_this_day(day: Day) -> None:
    assert table(day) in PAGE.read_text()
