"""Paths from the grant to the last checkpoint."""

from __future__ import annotations

from collections.abc import Callable
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
from hippo_storage.storage import Storage
from tests.integration.worker.conftest import Worker, make_lease, make_program, put_bundle, stage, until
from tests.integration.worker.scripted_server import ScriptedServer

StartWorker = Callable[..., Worker]


async def test_a_path_is_trained_reported_and_saved(
    server: ScriptedServer, start_worker: StartWorker, bundle: str, storage: Storage, tmp_path: Path
) -> None:
    """
    1. a path of two stages with a save point at the fork
    2. every step and every state's metrics are reported, in order, then its end
    3. the promised states and the end are durable, and readable
    """
    start_worker()
    stages = (stage(1, 0, 3), stage(2, 3, 5, lr=0.01))
    told = await server.grant(make_lease(bundle, 7, stages=stages, save_points=((1, 3),)))
    await server.until_over(7)
    assert told.steps == [0, 1, 2, 3, 4]
    assert list(told.metrics) == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5)]
    assert told.saved == [(1, 3), (2, 5)]
    assert len(told.of(TrainedReport)) == 1
    location = CheckpointLocation(plan=1, node=2, step=5, fence=7)
    storage.fetch(location, tmp_path / "fetched")
    assert read(tmp_path / "fetched")


async def test_a_path_starts_from_what_another_worker_saved(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. one worker trains steps 0..2; another, with a cache of its own, goes on from its checkpoint to 4
    2. a third lease trains 0..4 in one go
    3. the metrics at state 4 are the same bits
    """
    one = start_worker(name="one")
    first = await server.grant(make_lease(bundle, 1, stages=(stage(1, 0, 2),)))
    await server.until_over(1)
    assert first.saved == [(1, 2)]
    one.end()
    server.forget_leases()
    start_worker(name="two")
    await server.until(lambda: len(server.registrations) == 2)
    second = await server.grant(make_lease(bundle, 2, stages=(stage(1, 2, 4),), start=(1, 2, 1)))
    await server.until_over(2)
    alone = await server.grant(make_lease(bundle, 3))
    await server.until_over(3)
    assert second.metrics[1, 4]["loss"] == alone.metrics[1, 4]["loss"]
    assert second.steps == [2, 3]


async def test_a_runner_stays_warm_and_goes_on_in_memory(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. two leases follow each other on one slot; the second starts in memory
    2. it names a checkpoint that does not exist, so only memory can have served it
    3. both ran in one process
    """
    start_worker()
    first = await server.grant(make_lease(bundle, 1, stages=(stage(1, 0, 2),)))
    await server.until_over(1)
    second = await server.grant(
        make_lease(bundle, 2, stages=(stage(1, 2, 4),), start=(1, 2, 999), in_memory=True)
    )
    await server.until_over(2)
    assert second.steps == [2, 3]
    assert first.metrics[1, 2]["pid"] == second.metrics[1, 4]["pid"]


async def test_another_bundle_gets_another_runner(
    server: ScriptedServer, start_worker: StartWorker, bundle: str, tmp_path: Path, storage: Storage
) -> None:
    worker = start_worker()
    first = await server.grant(make_lease(bundle, 1))
    await server.until_over(1)
    changed = put_bundle(tmp_path, storage, "\n# another line\n")
    second = await server.grant(make_lease(changed, 2))
    await server.until_over(2)
    assert first.metrics[1, 4]["pid"] != second.metrics[1, 4]["pid"]
    assert first.metrics[1, 4]["loss"] == second.metrics[1, 4]["loss"]
    assert [runner.pid for runner in worker.runners()] == [int(second.metrics[1, 4]["pid"])]


async def test_a_lease_in_memory_whose_state_is_gone_and_not_saved_is_given_back(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """No checkpoint is blamed: it was never said to exist."""
    start_worker()
    told = await server.grant(
        make_lease(bundle, 1, stages=(stage(1, 2, 4),), start=(1, 2, 999), in_memory=True)
    )
    await server.until_over(1)
    assert told.of(UnusableReport) == []
    assert len(told.of(ReleasedReport)) == 1
    assert told.steps == []


async def test_a_lease_in_memory_whose_runner_is_gone_loads_what_was_saved(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    worker = start_worker()
    first = await server.grant(make_lease(bundle, 1, stages=(stage(1, 0, 2),)))
    await server.until_over(1)
    for runner in worker.runners():
        runner.kill()
    await until(lambda: not worker.runners(), "the runner's end")
    second = await server.grant(
        make_lease(bundle, 2, stages=(stage(1, 2, 4),), start=(1, 2, 1), in_memory=True)
    )
    await server.until_over(2)
    assert second.steps == [2, 3]
    assert first.metrics[1, 2]["pid"] != second.metrics[1, 4]["pid"]


@pytest.mark.parametrize("missing", [True, False])
async def test_a_start_that_cannot_be_used_is_told_and_the_lease_given_back(
    server: ScriptedServer, start_worker: StartWorker, bundle: str, tmp_path: Path, missing: bool
) -> None:
    """
    1. a checkpoint is published by another worker, then it is damaged or removed
    2. the lease that starts from it says so, and is given back without training
    """
    one = start_worker(name="one")
    await server.grant(make_lease(bundle, 1, stages=(stage(1, 0, 2),)))
    await server.until_over(1)
    folder = tmp_path / "storage" / CheckpointLocation(plan=1, node=1, step=2, fence=1).path
    if missing:
        (folder / "manifest.json").unlink()
    else:
        tensors = folder / "tensors.safetensors"
        content = bytearray(tensors.read_bytes())
        content[-1] ^= 1
        tensors.unlink()
        tensors.write_bytes(content)
    one.end()
    server.forget_leases()
    start_worker(name="two")
    await server.until(lambda: len(server.registrations) == 2)
    told = await server.grant(make_lease(bundle, 2, stages=(stage(1, 2, 4),), start=(1, 2, 1)))
    await server.until_over(2)
    (unusable,) = told.of(UnusableReport)
    assert (unusable.node, unusable.step, unusable.fence, unusable.missing) == (1, 2, 1, missing)
    assert len(told.of(ReleasedReport)) == 1
    assert told.items.index(unusable) < told.items.index(told.of(ReleasedReport)[0])
    assert told.steps == []


async def test_a_damaged_cache_is_not_trusted(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. a worker publishes a checkpoint; its cached copy is damaged, the shared one is good
    2. a lease from it, in another runner, trains on from the good one
    """
    worker = start_worker()
    await server.grant(make_lease(bundle, 1, stages=(stage(1, 0, 2),)))
    await server.until_over(1)
    (cached,) = worker.folder.joinpath("checkpoints").glob("1-1-2-1/tensors.safetensors")
    content = bytearray(cached.read_bytes())
    content[-1] ^= 1
    cached.unlink()  # its bytes may be shared with the storage
    cached.write_bytes(content)
    for runner in worker.runners():
        runner.kill()
    await until(lambda: not worker.runners(), "the runner's end")
    told = await server.grant(make_lease(bundle, 2, stages=(stage(1, 2, 4),), start=(1, 2, 1)))
    await server.until_over(2)
    assert told.steps == [2, 3]
    assert "not usable" in worker.log.read_text()


async def test_two_slots_train_at_the_same_time(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """Each path waits at a gate until both have come to it, which none could if they took turns."""
    worker = start_worker(slots=2)
    gated = make_program(options={"gate": 2})
    leases = [make_lease(bundle, fence, program=gated, slot=fence - 1) for fence in (1, 2)]
    for lease in leases:
        await server.grant(lease)
    await worker.until_at_gate(2)
    (worker.data / "gate").touch()
    await server.until_over(1, 2)
    assert server.of(1).steps == server.of(2).steps == [0, 1, 2, 3]
    assert server.of(1).metrics[1, 4]["pid"] != server.of(2).metrics[1, 4]["pid"]
    assert server.of(1).metrics[1, 4]["loss"] == server.of(2).metrics[1, 4]["loss"]


async def test_offers_are_answered_once(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. at step 2 a path is offered state 3, which is to come, and state 1, which has passed; 3 is offered twice
    2. it answers both, once each, and saves state 3 before the end
    3. offers after the end are answered by what was saved
    """
    worker = start_worker()
    gated = make_program(options={"gate": 2})
    told = await server.grant(make_lease(bundle, 1, program=gated))
    await worker.until_at_gate(1)
    for step in (3, 1, 3):
        await server.offer(1, 1, step)
    (worker.data / "gate").touch()
    await server.until_over(1)
    answers = [(item.step, item.will) for item in told.of(AnsweredReport)]
    assert sorted(answers) == [(1, False), (3, True)]
    assert told.saved == [(1, 3), (1, 4)]


async def test_an_offer_to_a_path_that_waits_for_its_slot_is_answered_by_the_daemon(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    worker = start_worker()
    gated = make_program(options={"gate": 2})
    await server.grant(make_lease(bundle, 1, program=gated))
    waiting = await server.grant(make_lease(bundle, 2, program=gated))
    await worker.until_at_gate(1)
    await server.offer(2, 1, 3)
    await server.offer(2, 1, 9)
    await server.until(lambda: len(waiting.of(AnsweredReport)) == 2)
    assert [(item.step, item.will) for item in waiting.of(AnsweredReport)] == [(3, True), (9, False)]
    (worker.data / "gate").touch()
    await server.until_over(1, 2)
    assert waiting.saved == [(1, 3), (1, 4)]


@pytest.mark.parametrize("save", [True, False])
async def test_a_stopped_path_saves_if_it_is_to_and_is_given_back(
    server: ScriptedServer, start_worker: StartWorker, bundle: str, save: bool
) -> None:
    worker = start_worker()
    told = await server.grant(make_lease(bundle, 1, program=make_program(options={"gate": 2})))
    await worker.until_at_gate(1)
    await server.stop_path(1, save, "nobody needs it")
    (worker.data / "gate").touch()
    await server.until_over(1)
    (released,) = told.of(ReleasedReport)
    assert "nobody needs it" in released.reason
    assert told.items[-1] == released
    assert told.steps == [0, 1, 2]
    assert told.saved == ([(1, 3)] if save else [])


async def test_a_failed_path_publishes_what_it_saved_before_it_says_so(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    start_worker()
    program = make_program("Dying", options={"how": "raise"})
    told = await server.grant(make_lease(bundle, 1, program=program, save_points=((1, 1), (1, 2))))
    await server.until_over(1)
    (failed,) = told.of(FailedReport)
    assert failed.failure is FailureClass.USER
    assert "the trainer broke" in failed.message
    assert (failed.node, failed.step) == (1, 2)
    assert told.saved == [(1, 1), (1, 2)]
    assert told.items[-1] == failed


async def test_a_lost_bundle_is_the_infrastructures_failure(
    server: ScriptedServer, start_worker: StartWorker
) -> None:
    start_worker()
    told = await server.grant(make_lease("ab" * 32, 1))
    await server.until_over(1)
    (failed,) = told.of(FailedReport)
    assert failed.failure is FailureClass.INFRASTRUCTURE
    assert "ab" * 32 in failed.message


async def test_checkpoint_bytes_are_bounded(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """With no room at all every start is fetched, and nothing stays on the disk."""
    worker = start_worker("--cache", "0")
    await server.grant(make_lease(bundle, 1, stages=(stage(1, 0, 2),)))
    await server.until_over(1)
    for runner in worker.runners():
        runner.kill()
    told = await server.grant(make_lease(bundle, 2, stages=(stage(1, 2, 4),), start=(1, 2, 1)))
    await server.until_over(2)
    assert told.steps == [2, 3]
    await until(lambda: not list(worker.folder.joinpath("checkpoints").iterdir()), "an empty cache")


async def test_many_short_steps_are_gathered_into_few_reports(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """2000 steps come to far fewer reports, without a gap and in order."""
    start_worker()
    program = make_program(evaluate_every=2000)
    told = await server.grant(make_lease(bundle, 1, program=program, stages=(stage(1, 0, 2000),)))
    await server.until_over(1)
    assert told.steps == list(range(2000))
    assert len(told.reports) < 200
    assert sum(item.train_seconds for item in told.of(StepsReport)) > 0.0
    assert [item.step for item in told.of(MetricsReport)] == [2000]
