"""Slots that are made ready for leases to come."""

from __future__ import annotations

import pytest

from hippo_core.engine.commands import FailedReport
from hippo_core.engine.states import FailureClass
from hippo_wire.v1 import worker_pb2
from tests.integration.worker.conftest import Bench, make_program, preparations_of, put_bundle, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_lease_uses_the_trainer_that_was_made_for_it(bench: Bench) -> None:
    """
    1. a slot is made ready, and nothing is said of it to the server; the lease that comes trains in the runner that is
       there, and what setup printed stands in its log
    2. the same lease in a new runner comes to the same metrics
    """
    bundle = put_bundle(bench.folder, bench.storage, "\n# made ready\n")
    first, second = bench.lease(bundle=bundle), bench.lease(bundle=bundle)
    await bench.prepare(first)
    (runner,) = bench.worker.runners()
    (told,) = await bench.train(first)
    assert {int(metrics["pid"]) for metrics in told.metrics.values()} == {runner.pid}
    logs = bench.server.logs
    await bench.server.until(lambda: b"step 3" in logs.get((first.fence, 1), b""), "the log")
    lines = logs[first.fence, 1].decode().splitlines()
    assert lines == [f"setup in {runner.pid}", "step 0", "step 1", "step 2", "step 3"]
    await bench.kill_runners()
    (again,) = await bench.train(second)
    losses = [{state: metrics["loss"] for state, metrics in each.metrics.items()} for each in (told, again)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ("how", "words"), [("abort", "killed by SIGABRT"), ("raise", "RuntimeError: no data")]
)
async def test_what_goes_wrong_while_a_slot_is_made_ready_is_told_by_the_lease_that_meets_it(
    bench: Bench, how: str, words: str
) -> None:
    """
    1. a trainer cannot be made: the server hears nothing of it
    2. the lease that comes fails as it would have, and its log has what setup printed there, once
    3. the next lease, of another program, is trained
    """
    order = bench.lease(make_program("DyingEarly", options={"how": how}))
    await bench.prepare(order, "runner_ended" if how == "abort" else "runner_prepared")
    assert not bench.server.of(order.fence).items
    told, following = await bench.train(order, bench.lease())
    (failed,) = told.of(FailedReport)
    assert failed.failure is FailureClass.USER
    assert words in failed.message
    assert (failed.node, failed.step) == (1, 0)
    logs = bench.server.logs
    await bench.server.until(lambda: b"no longer" in logs.get((order.fence, 1), b""), "the log")
    assert logs[order.fence, 1].count(b"no longer") == 1
    assert following.steps == [0, 1, 2, 3]


async def test_what_a_trainer_to_come_has_started_ends_with_it(bench: Bench) -> None:
    """1. A trainer that starts a process is made. 2. A lease of another program comes instead: both are gone."""
    await bench.prepare(bench.lease(make_program("Parent")))
    (runner,) = bench.worker.runners()
    children = runner.children()
    assert children
    await bench.train(bench.lease())
    await until(lambda: not any(each.is_running() for each in (runner, *children)), "their end")


async def test_a_path_that_is_alone_has_the_memory_of_trainers_that_were_made_before(bench: Bench) -> None:
    """The other slot has a trainer that leaves no room for another one; it is gone before the path begins."""
    program = make_program("Roomy", options={"room": bench.gate()})
    await bench.prepare(bench.lease(program, slot=1))
    (runner,) = bench.worker.runners()
    (alone,) = await bench.train(bench.lease(program, slot=0, alone=True))
    assert alone.steps == [0, 1, 2, 3]
    assert runner.pid not in [each.pid for each in bench.worker.runners()]


async def test_a_trainer_goes_when_the_server_has_it_made_no_longer(bench: Bench) -> None:
    await bench.prepare(bench.lease())
    assert len(bench.worker.runners()) == 1
    await bench.server.say(worker_pb2.WorkResponse(preparations=worker_pb2.Preparations()))
    await until(lambda: not bench.worker.runners(), "its end")


async def test_a_trainer_outlives_a_break_of_the_connection(bench: Bench) -> None:
    """
    1. a trainer is made, and the stream breaks
    2. on the next stream the server says the same again: the lease that comes is trained in the runner that is there
    """
    order = bench.lease()
    await bench.prepare(order)
    (runner,) = bench.worker.runners()
    streams = bench.server.streams
    await bench.server.cut()
    await bench.server.until(lambda: bench.server.streams > streams, "another stream")
    await bench.server.say(preparations_of(order))
    (told,) = await bench.train(order)
    assert {int(metrics["pid"]) for metrics in told.metrics.values()} == {runner.pid}
