"""A rebuilt engine's metrics are packed beside its answers."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from hippo_core.engine.engine import SLICE_WORK, Engine
from hippo_core.plan import Node
from hippo_core.sequence import Laws
from hippo_core.series import MOST_UNREAD, Series
from hippo_server.packing import pack_metrics

ROWS = 100
NODES = 40


def restored() -> Engine:
    """An engine whose nodes have more metrics than are packed in two slices; those of the last are few."""
    engine = Engine()
    steps = range(1, ROWS + 1)
    text = json.dumps([*steps, *({"loss": step / 7} for step in steps)])
    assert NODES * len(text) > 2 * SLICE_WORK
    for number in range(NODES):
        node = engine.state.nodes[number] = Node(number, 1, None, 0, Laws({}), ())
        node.know(Series.unread(text), Series.unread(text))
    node = engine.state.nodes[NODES] = Node(NODES, 1, None, 0, Laws({}), ())
    node.know(Series.unread('[1,{"loss":0.5}]'), Series())
    return engine


def unread(engine: Engine) -> int:
    """How many series are text still."""
    found = [each for node in engine.state.nodes.values() for each in (node.metrics, node.training)]
    return sum(isinstance(each, Series) and each._text is not None for each in found)


def characters(engine: Engine) -> list[int]:
    return [
        len(node.metrics._text)
        for node in engine.state.nodes.values()
        if isinstance(node.metrics, Series) and node.metrics._text is not None
    ]


async def test_all_that_takes_less_memory_so_is_packed_and_others_work_meanwhile() -> None:
    """1. Between two slices something else goes on. 2. In the end few characters are left, of which some are text."""
    engine = restored()
    expected = dict(engine.state.nodes[NODES // 2].metrics)
    term: Any = SimpleNamespace(engine=engine, over=False)
    packing = asyncio.create_task(pack_metrics(term))
    left = []
    while not packing.done():
        await asyncio.sleep(0)
        left.append(unread(engine))
    assert any(1 < each < left[0] for each in left)
    assert [each <= MOST_UNREAD for each in characters(engine)] == [True]
    assert dict(engine.state.nodes[0].training) == expected


async def test_a_term_that_is_over_is_left_as_it_is() -> None:
    engine = restored()
    term: Any = SimpleNamespace(engine=engine, over=True)
    await pack_metrics(term)
    assert unread(engine) > 1
