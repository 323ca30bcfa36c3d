"""How long is waited before a call is made again."""

from __future__ import annotations

from itertools import islice

import pytest

from hippo_wire.retries import pauses
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
