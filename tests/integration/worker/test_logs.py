"""What user code prints, per lease and node."""

from __future__ import annotations

import pytest

from hippo_core.engine.commands import FailedReport
from tests.integration.worker.conftest import Bench, make_program, stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_all_ways_of_printing_come_to_the_log_of_their_node(bench: Bench) -> None:
    """
    1. a trainer prints by print, to stderr, by the descriptor and by a child process
    2. each line lies in the log of the node that was trained, in the order in which it was printed
    """
    order = bench.lease(make_program("Loud"), stages=(stage(1, 0, 1), stage(2, 1, 2)))
    await bench.train(order)
    logs = bench.server.logs
    await bench.server.until(lambda: b"by a child" in logs.get((order.fence, 2), b""), "the second log")
    first, second = (logs[order.fence, node].decode().splitlines() for node in (1, 2))
    assert first[0].startswith("setup in ")
    assert first[1:] == ["step 0", "to stderr", "by the descriptor", "by a child"]
    assert second == ["step 1", "to stderr", "by the descriptor", "by a child"]


async def test_logs_are_shipped_while_the_path_trains(bench: Bench) -> None:
    gate = bench.gate()
    order = bench.lease(make_program(options={"gate": 2, "file": gate}))
    await bench.server.grant(order)
    logs, key = bench.server.logs, (order.fence, 1)
    await bench.server.until(lambda: b"step 1\n" in logs.get(key, b""), "the first steps' lines")
    assert b"step 2\n" not in logs[key]
    bench.worker.open_gate(gate)
    await bench.server.until_over(order.fence)
    await bench.server.until(lambda: b"step 3\n" in logs[key], "the last line")


async def test_what_a_dying_runner_printed_is_kept(bench: Bench) -> None:
    order = bench.lease(make_program("Dying", options={"how": "segv", "file": bench.gate()}))
    (told,) = await bench.train(order)
    assert "trainer.py" in told.of(FailedReport)[0].traceback
    logs = bench.server.logs
    await bench.server.until(lambda: b"Segmentation fault" in logs.get((order.fence, 1), b""))


async def test_leases_of_one_runner_have_logs_of_their_own(bench: Bench) -> None:
    first = bench.lease(stages=(stage(1, 0, 2),))
    second = bench.lease(stages=(stage(1, 2, 4),), start=(1, 2, first.fence), in_memory=True)
    await bench.train(first, second)
    logs = bench.server.logs
    await bench.server.until(lambda: b"step 3" in logs.get((second.fence, 1), b""))
    assert b"step 2" not in logs[first.fence, 1]
    assert logs[second.fence, 1].decode().splitlines() == ["step 2", "step 3"]
