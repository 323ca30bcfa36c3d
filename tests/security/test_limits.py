"""How much one caller may ask, in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippo_core.errors import InvalidStudy, TooManyCalls
from hippo_server.auth import limits
from hippo_server.auth.limits import CallLimits, Door, stranger


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def waits(door: Door) -> float | None:
    """After how many seconds a call would be let in; None: it was."""
    try:
        door.call("ada")
    except TooManyCalls as refused:
        return refused.retry_seconds
    return None


@given(
    rate=st.integers(1, 100),
    burst=st.integers(1, 50),
    gaps=st.lists(st.floats(0, 2), max_size=60),
)
def test_no_window_holds_more_than_the_burst_and_the_rate(rate: int, burst: int, gaps: list[float]) -> None:
    """S15. However calls come, so many pass in any stretch of time, and none is refused that might have passed."""
    clock, passed = Clock(), []
    door = Door(CallLimits(calls_per_second=rate, burst=burst), clock)
    for gap in gaps:
        clock.now += gap
        wait = waits(door)
        if wait is None:
            passed.append(clock.now)
        else:
            assert 0.0 < wait <= 1.0 / rate + 1e-9
    for first, start in enumerate(passed):
        for last, end in enumerate(passed[first:], first):
            assert last - first + 1 <= burst + (end - start) * rate + 1e-6


def test_after_the_time_that_was_told_a_call_passes_and_no_earlier() -> None:
    clock = Clock()
    door = Door(CallLimits(calls_per_second=4, burst=1), clock)
    door.call("ada")
    with pytest.raises(TooManyCalls) as refused:
        door.call("ada")
    clock.now += refused.value.retry_seconds - 0.01
    with pytest.raises(TooManyCalls):
        door.call("ada")
    clock.now += 0.01 + 1e-9
    door.call("ada")


def test_callers_do_not_feel_each_other() -> None:
    door = Door(CallLimits(calls_per_second=1, burst=1, streams=1), Clock())
    door.call("ada")
    door.call("bob")
    with door.stream("ada"), door.stream("bob"), pytest.raises(TooManyCalls), door.stream("ada"):
        raise AssertionError("it is not let in")
    with door.stream("ada"):
        pass


def test_callers_that_never_come_again_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """S15. Memory is bounded, and whoever is remembered is one of the latest."""
    monkeypatch.setattr(limits, "MOST_CALLERS", 3)
    door = Door(CallLimits(calls_per_second=1, burst=1), Clock())
    for number in range(100):
        door.call(f"host {number}")
    assert len(door._buckets) == 3
    with pytest.raises(TooManyCalls):
        door.call("host 99")


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:127.0.0.1:4711", "host ipv4:127.0.0.1"),
        ("ipv6:[::1]:4711", "host ipv6:[::1]"),
        ("ipv6:%5B::1%5D:4711", "host ipv6:%5B::1%5D"),
    ],
)
def test_strangers_are_counted_by_their_hosts(peer: str, host: str) -> None:
    assert stranger(peer) == host


@pytest.mark.parametrize("field", ["calls_per_second", "burst", "streams"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_that_let_nobody_in_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(InvalidStudy, match=field):
        CallLimits(**{field: value})
