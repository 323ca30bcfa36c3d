"""How long is waited before a call is made again."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace

import grpc
import pytest

from hippo_core.errors import TooManyCalls
from hippo_wire import retries
from hippo_wire.errors import to_wire
from hippo_wire.retries import CONTROL_SECONDS, pause_before_retry, pauses
from hippo_wire.route import Route


@pytest.mark.parametrize(
    ("servers", "doublings", "most"),
    [("127.0.0.1:1", 7, 10.0), ("127.0.0.1:1,127.0.0.1:2", 4, 1.0)],
    ids=["one server", "one of two"],
)
def test_pauses_are_drawn_below_a_bound_that_doubles(servers: str, doublings: int, most: float) -> None:
    route = Route(servers, encrypted=False, open_channel=str)
    bounds = [0.1 * 2**number for number in range(doublings)] + [most] * 8
    drawn = [list(islice(pauses(route), len(bounds))) for _ in range(50)]
    for pauses_of_one in drawn:
        assert all(0.0 <= pause <= bound for pause, bound in zip(pauses_of_one, bounds, strict=True))
    assert max(map(max, drawn)) > most / 2


def refusal(code, details="", metadata=()):
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*metadata), details)


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(retries, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_a_call_is_tried_again_until_its_time_is_over(clock, monkeypatch):
    """Also where each pause is as long as it may be: none uses up what is left."""
    monkeypatch.setattr(retries.random, "uniform", lambda least, most: most)
    route = Route("127.0.0.1:1", encrypted=False, open_channel=str)
    deadline = clock.now + CONTROL_SECONDS
    for pause in pauses(route):
        wait = pause_before_retry(refusal(grpc.StatusCode.UNAVAILABLE), pause, route, deadline)
        if wait is None:
            break
        assert wait <= (deadline - clock.now) / 2
        clock.now += wait
    assert deadline - 0.5 <= clock.now < deadline


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_what_trying_again_does_not_help_is_not_tried_again(clock, code):
    route = Route("127.0.0.1:1", encrypted=False, open_channel=str)
    assert pause_before_retry(refusal(code), 0.1, route, clock.now + 5.0) is None


@pytest.mark.parametrize(("left", "wait"), [(5.0, 2.1), (2.0, None)])
def test_the_time_that_a_server_names_is_not_shortened(clock, left, wait):
    route = Route("127.0.0.1:1", encrypted=False, open_channel=str)
    wire = to_wire(TooManyCalls("too many calls.", retry_seconds=2.0))
    error = refusal(wire.code, wire.details, wire.metadata)
    assert pause_before_retry(error, 0.1, route, clock.now + left) == wait
