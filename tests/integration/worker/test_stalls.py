"""Paths that stand still: where they stood is kept, and the slot goes on."""

from __future__ import annotations

import pytest

from hippo_core.engine.commands import FailedReport
from hippo_core.engine.states import FailureClass
from tests.integration.worker.conftest import Bench, make_program


@pytest.mark.asyncio(loop_scope="module")
async def test_a_path_that_stands_still_is_killed_and_tells_where_it_stood(bench: Bench) -> None:
    """
    1. a trainer waits in its step 2 for what never comes, longer than the stall time-out
    2. the failure names the step after the last that was told, and the line of the trainer that it stood in; so does
       its log
    3. the slot trains the next lease
    """
    stuck = bench.lease(make_program(options={"gate": 2, "file": bench.gate()}), stall_seconds=10.0)
    told, following = await bench.train(stuck, bench.lease())
    (failed,) = told.of(FailedReport)
    assert failed.failure is FailureClass.STALLED
    assert failed.message.startswith(f"stalled at step {len(told.steps)}: no step for ")
    assert (failed.node, failed.step) == (1, len(told.steps))
    assert "in wait_for" in failed.traceback
    assert "trainer.py" in failed.traceback
    log = bench.server.logs
    await bench.server.until(
        lambda: b"in wait_for" in bytes(log.get((stuck.fence, 1), b"")), "the stacks in the log"
    )
    assert following.steps == [0, 1, 2, 3]
