"""How long is waited before a call is made again."""

from __future__ import annotations

from itertools import islice

from hippo_wire.retries import pauses


def test_pauses_are_drawn_below_a_bound_that_doubles_to_ten_seconds() -> None:
    bounds = [0.1 * 2**number for number in range(7)] + [10.0] * 5
    for _ in range(50):
        for pause, bound in zip(islice(pauses(), len(bounds)), bounds, strict=True):
            assert 0.0 <= pause <= bound
