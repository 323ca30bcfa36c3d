"""Paths from the grant to the last checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hippo_core.engine.commands import (
    AnsweredReport,
    FailedReport,
    MetricsReport,
    ReleasedReport,
    StepsReport,
    TrainedReport,
    UnusableReport,
)
from hippo_core.engine.states import FailureClass
from hippo_storage.manifest import CheckpointLocation
from hippo_storage.state import read
from hippo_wire.v1 import worker_pb2
from tests.integration.worker.conftest import Bench, make_program, put_bundle, stage, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_path_is_trained_reported_and_saved(bench: Bench, tmp_path: Path) -> None:
    """
    1. a path of two stages with a save point at the fork
    2. every step and every state's metrics are reported, in order, then its end
    3. the promised states and the end are durable, and readable
    """
    order = bench.lease(stages=(stage(1, 0, 3), stage(2, 3, 5, lr=0.01)), save_points=((1, 3),))
    (told,) = await bench.train(order)
    assert told.steps == [0, 1, 2, 3, 4]
    assert list(told.metrics) == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5)]
    assert told.saved == [(1, 3), (2, 5)]
    assert len(told.of(TrainedReport)) == 1
    location = CheckpointLocation(plan=1, node=2, step=5, fence=order.fence)
    bench.storage.fetch(location, tmp_path / "fetched")
    assert read(tmp_path / "fetched")


async def test_a_runner_stays_warm_and_goes_on_in_memory(bench: Bench) -> None:
    """
    1. two leases follow each other on one slot; the second starts in memory
    2. it names a checkpoint that does not exist, so only memory can have served it
    3. both ran in one process
    """
    first, second = await bench.train(
        bench.lease(stages=(stage(1, 0, 2),)),
        bench.lease(stages=(stage(1, 2, 4),), start=(1, 2, 999_999), in_memory=True),
    )
    assert second.steps == [2, 3]
    assert first.metrics[1, 2]["pid"] == second.metrics[1, 4]["pid"]


async def test_another_bundle_gets_another_runner(bench: Bench) -> None:
    changed = put_bundle(bench.folder, bench.storage, "\n# another line\n")
    first, second = await bench.train(bench.lease(), bench.lease(bundle=changed))
    pids = [int(told.metrics[1, 4]["pid"]) for told in (first, second)]
    assert pids[0] != pids[1]
    assert first.metrics[1, 4]["loss"] == second.metrics[1, 4]["loss"]
    running = [runner.pid for runner in bench.worker.runners()]
    assert pids[0] not in running
    assert pids[1] in running


async def test_a_lease_in_memory_whose_state_is_gone_and_not_saved_is_given_back(bench: Bench) -> None:
    """No checkpoint is blamed: it was never said to exist."""
    (told,) = await bench.train(
        bench.lease(stages=(stage(1, 2, 4),), start=(1, 2, 999_999), in_memory=True, plan=2)
    )
    assert told.of(UnusableReport) == []
    assert len(told.of(ReleasedReport)) == 1
    assert told.steps == []


async def test_a_lease_in_memory_whose_runner_is_gone_loads_what_was_saved(bench: Bench) -> None:
    order = bench.lease(stages=(stage(1, 0, 2),))
    (first,) = await bench.train(order)
    await bench.kill_runners()
    (second,) = await bench.train(
        bench.lease(stages=(stage(1, 2, 4),), start=(1, 2, order.fence), in_memory=True)
    )
    assert second.steps == [2, 3]
    assert first.metrics[1, 2]["pid"] != second.metrics[1, 4]["pid"]


async def test_a_damaged_cache_is_not_trusted(bench: Bench) -> None:
    """
    1. a worker publishes a checkpoint; its cached copy is damaged, the shared one is good
    2. a lease from it, in another runner, trains on from the good one
    """
    order = bench.lease(stages=(stage(1, 0, 2),))
    await bench.train(order)
    location = CheckpointLocation(plan=1, node=1, step=2, fence=order.fence)
    digest = bench.storage.manifest(location).digest
    cached = bench.worker.folder / "checkpoints" / digest / "tensors.safetensors"
    content = bytearray(cached.read_bytes())
    content[-1] ^= 1
    cached.unlink()  # its bytes may be shared with the storage
    cached.write_bytes(content)
    await bench.kill_runners()
    (told,) = await bench.train(
        bench.lease(stages=(stage(1, 2, 4),), start=(1, 2, order.fence), start_digest=digest)
    )
    assert told.steps == [2, 3]
    assert "cached_checkpoint_is_not_usable" in bench.worker.log.read_text()


async def test_two_slots_train_at_the_same_time(bench: Bench) -> None:
    """Each path waits at a gate until both have come to it, which none could if they took turns."""
    gate = bench.gate()
    gated = make_program(options={"gate": 2, "file": gate})
    orders = [bench.lease(gated, slot=slot) for slot in (0, 1)]
    told = [await bench.server.grant(order) for order in orders]
    await bench.worker.until_at_gate(gate, count=2)
    bench.worker.open_gate(gate)
    await bench.server.until_over(*(order.fence for order in orders))
    assert told[0].steps == told[1].steps == [0, 1, 2, 3]
    assert told[0].metrics[1, 4]["pid"] != told[1].metrics[1, 4]["pid"]
    assert told[0].metrics[1, 4]["loss"] == told[1].metrics[1, 4]["loss"]


async def test_offers_are_answered_once(bench: Bench) -> None:
    """
    1. at step 2 a path is offered state 3, which is to come, and state 1, which has passed; 3 is offered twice
    2. it answers both, once each, and saves state 3 before the end
    """
    gate = bench.gate()
    order = bench.lease(make_program(options={"gate": 2, "file": gate}))
    told = await bench.server.grant(order)
    await bench.worker.until_at_gate(gate)
    for step in (3, 1, 3):
        await bench.server.offer(order.fence, 1, step)
    # One stream, in order: when the stranger's end has come, the offers have.
    await bench.train(bench.lease(slot=1))
    bench.worker.open_gate(gate)
    await bench.server.until_over(order.fence)
    answers = [(item.step, item.will) for item in told.of(AnsweredReport)]
    assert sorted(answers) == [(1, False), (3, True)]
    assert told.saved == [(1, 3), (1, 4)]


async def test_an_offer_to_a_path_that_waits_for_its_slot_is_answered_by_the_daemon(bench: Bench) -> None:
    gate = bench.gate()
    gated = make_program(options={"gate": 2, "file": gate})
    first, second = bench.lease(gated), bench.lease(gated)
    await bench.server.grant(first)
    waiting = await bench.server.grant(second)
    await bench.worker.until_at_gate(gate)
    await bench.server.offer(second.fence, 1, 3)
    await bench.server.offer(second.fence, 1, 9)
    await bench.server.until(lambda: len(waiting.of(AnsweredReport)) == 2)
    assert [(item.step, item.will) for item in waiting.of(AnsweredReport)] == [(3, True), (9, False)]
    bench.worker.open_gate(gate)
    await bench.server.until_over(first.fence, second.fence)
    assert waiting.saved == [(1, 3), (1, 4)]


@pytest.mark.parametrize("save", [True, False])
async def test_a_stopped_path_saves_if_it_is_to_and_is_given_back(bench: Bench, save: bool) -> None:
    gate = bench.gate()
    order = bench.lease(make_program(options={"told": 2, "file": gate}))
    told = await bench.server.grant(order)
    await bench.worker.until_at_gate(gate)
    await bench.server.stop_path(order.fence, save, "nobody needs it")
    await bench.server.until_over(order.fence)
    (released,) = told.of(ReleasedReport)
    assert "nobody needs it" in released.reason
    assert told.items[-1] == released
    assert told.steps == [0, 1, 2]
    assert told.saved == ([(1, 3)] if save else [])


async def test_a_failed_path_publishes_what_it_saved_before_it_says_so(bench: Bench) -> None:
    program = make_program("Dying", options={"how": "raise"})
    (told,) = await bench.train(bench.lease(program, save_points=((1, 1), (1, 2))))
    (failed,) = told.of(FailedReport)
    assert failed.failure is FailureClass.USER
    assert "the trainer broke" in failed.message
    assert (failed.node, failed.step) == (1, 2)
    assert told.saved == [(1, 1), (1, 2)]
    assert told.items[-1] == failed


async def test_a_lost_bundle_is_the_infrastructures_failure(bench: Bench) -> None:
    (told,) = await bench.train(replace(bench.lease(), bundle="ab" * 32))
    (failed,) = told.of(FailedReport)
    assert failed.failure is FailureClass.INFRASTRUCTURE
    assert "ab" * 32 in failed.message


async def test_many_short_steps_are_gathered_into_few_reports(bench: Bench) -> None:
    """2000 steps come to far fewer reports, without a gap and in order."""
    program = make_program(evaluate_every=2000)
    (told,) = await bench.train(bench.lease(program, stages=(stage(1, 0, 2000),)))
    assert told.steps == list(range(2000))
    assert len(told.reports) < 200
    assert sum(item.train_seconds for item in told.of(StepsReport)) > 0.0
    assert [item.step for item in told.of(MetricsReport)] == [2000]


async def test_nothing_of_a_lease_stays_on_the_disk_beside_the_caches(bench: Bench) -> None:
    await bench.train(bench.lease(), bench.lease(stages=(stage(1, 0, 2),)))
    spool = bench.worker.folder / "spool"
    await until(lambda: not list(spool.glob("states/*")), "an empty spool")
    await until(lambda: not list(spool.glob("logs/*")), "no logs that were shipped")


async def test_a_path_that_is_alone_has_the_memory_that_slots_kept(bench: Bench) -> None:
    """
    1. both slots train, and keep their trainers, the second one of another program than the first
    2. on the first one a third program finds no room beside the second's
    3. alone it does, and no other runner than its own is left
    4. the same holds for the other slot after that
    """
    room = bench.gate()
    kept, last = (make_program("Roomy", options={"room": room, "is": number}) for number in (1, 2))
    await bench.train(bench.lease(slot=1, program=kept))
    (beside,) = await bench.train(bench.lease(slot=0, program=last))
    assert [failed.failure for failed in beside.of(FailedReport)] == [FailureClass.MEMORY]
    (alone,) = await bench.train(bench.lease(slot=0, program=last, alone=True))
    assert alone.steps == [0, 1, 2, 3]
    assert [runner.pid for runner in bench.worker.runners()] == [int(alone.metrics[1, 4]["pid"])]
    (again,) = await bench.train(bench.lease(slot=1, program=kept, alone=True))
    assert again.steps == [0, 1, 2, 3]


async def test_two_paths_that_are_alone_do_not_wait_for_each_other(bench: Bench) -> None:
    for told in await bench.train(bench.lease(slot=0, alone=True), bench.lease(slot=1, alone=True)):
        assert told.steps == [0, 1, 2, 3]


async def test_a_worker_lets_go_of_what_it_keeps_for_another_one_of_its_host(bench: Bench) -> None:
    """What trains goes on; when it has ended, its trainer is let go of, too."""
    gate = bench.gate()
    waiting = bench.lease(slot=1, program=make_program(options={"gate": 2, "file": gate}))
    await bench.train(bench.lease(slot=0))
    told = await bench.server.grant(waiting)
    await bench.worker.until_at_gate(gate)
    await bench.server.say(worker_pb2.WorkResponse(make_room=True))
    await until(lambda: len(bench.worker.runners()) == 1, "the end of the runner that idles")
    bench.worker.open_gate(gate)
    await bench.server.until_over(waiting.fence)
    assert told.steps == [0, 1, 2, 3]
    await until(lambda: not bench.worker.runners(), "the end of the other one")
