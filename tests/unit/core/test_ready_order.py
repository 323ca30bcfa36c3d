"""The order of ready ranges: what stands comes in order, and what has become void is not kept."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from hippo_core.ready_order import FEW, Entry, ReadyOrder


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_many_changes_leave_the_order_of_what_stands(seed: int, nodes: int) -> None:
    """1. Ranges of a few nodes come again and again, each time in another version. 2. Only the latest stand."""
    drawn = random.Random(seed)
    standing: dict[int, Entry] = {}
    order = ReadyOrder(lambda entry: standing.get(entry[2]) == entry)
    for version in range(1, 5 * FEW):
        node = drawn.randrange(nodes)
        standing[node] = (0, -drawn.random(), node, 0, version)
        order.push(standing[node])
        if drawn.random() < 0.1:
            standing.pop(drawn.randrange(nodes), None)
        wanted = sorted(standing.values())
        assert order.first() == (wanted[0] if wanted else None)
        assert list(order.in_order()) == wanted


def test_what_is_void_is_not_kept() -> None:
    standing: list[Entry] = []
    order = ReadyOrder(lambda entry: entry in standing)
    for version in range(10_000):
        standing[:] = [(0, -float(version % 7), 1, 0, version)]
        order.push(standing[0])
    assert len(order) <= FEW + 1
