"""Paths that start from what others saved: across workers, without a cache, from what is damaged or gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hippo_core.engine.commands import ReleasedReport, UnusableReport
from hippo_storage.manifest import CheckpointLocation
from tests.integration.worker.conftest import Worker, make_lease, make_program, stage, until
from tests.integration.worker.scripted_server import ScriptedServer

StartWorker = Callable[..., Worker]


async def start_another(server: ScriptedServer, start_worker: StartWorker, one: Worker) -> Worker:
    """Ends a worker and starts another one with a cache of its own."""
    one.end()
    server.forget_leases()
    another = start_worker(name="two")
    await server.until(lambda: len(server.registrations) == 2)
    return another


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
    await start_another(server, start_worker, one)
    second = await server.grant(make_lease(bundle, 2, stages=(stage(1, 2, 4),), start=(1, 2, 1)))
    await server.until_over(2)
    alone = await server.grant(make_lease(bundle, 3))
    await server.until_over(3)
    assert second.metrics[1, 4]["loss"] == alone.metrics[1, 4]["loss"]
    assert second.steps == [2, 3]


@pytest.mark.parametrize("damage", ["missing", "byte", "another"])
async def test_a_start_that_cannot_be_used_is_told_and_the_lease_given_back(
    server: ScriptedServer, start_worker: StartWorker, bundle: str, tmp_path: Path, damage: str
) -> None:
    """
    1. a checkpoint is published by another worker, then it is removed, or damaged, or another one is recorded
    2. the lease that starts from it says so, and is given back without training
    """
    one = start_worker(name="one")
    await server.grant(make_lease(bundle, 1, stages=(stage(1, 0, 2),)))
    await server.until_over(1)
    folder = tmp_path / "storage" / CheckpointLocation(plan=1, node=1, step=2, fence=1).path
    if damage == "missing":
        (folder / "manifest.json").unlink()
    elif damage == "byte":
        tensors = folder / "tensors.safetensors"
        content = bytearray(tensors.read_bytes())
        content[-1] ^= 1
        tensors.unlink()
        tensors.write_bytes(content)
    await start_another(server, start_worker, one)
    recorded = "0" * 64 if damage == "another" else ""
    told = await server.grant(
        make_lease(bundle, 2, stages=(stage(1, 2, 4),), start=(1, 2, 1), start_digest=recorded)
    )
    await server.until_over(2)
    (unusable,) = told.of(UnusableReport)
    assert (unusable.node, unusable.step, unusable.fence, unusable.missing) == (1, 2, 1, damage == "missing")
    (released,) = told.of(ReleasedReport)
    assert told.items == [unusable, released]


async def test_without_a_cache_every_start_is_fetched(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    worker = start_worker("--cache", "0")
    await server.grant(make_lease(bundle, 1, stages=(stage(1, 0, 2),)))
    await server.until_over(1)
    for runner in worker.runners():
        runner.kill()
    await until(lambda: not worker.runners(), "the runner's end")
    told = await server.grant(make_lease(bundle, 2, stages=(stage(1, 2, 4),), start=(1, 2, 1)))
    await server.until_over(2)
    assert told.steps == [2, 3]
    await until(lambda: not list(worker.folder.joinpath("checkpoints").iterdir()), "an empty cache")


async def test_the_next_lease_is_asked_for_before_a_long_path_ends(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. a path takes more than a second: its slot asks for a lease to wait behind it while its last step stands
    2. that comes, and is told to the runner before the first has ended
    """
    worker = start_worker()
    program = make_program(options={"pause": 0.2, "gate": 7})
    first = await server.grant(make_lease(bundle, 1, program=program, stages=(stage(1, 0, 8),)))
    await worker.until_at_gate()
    await server.until(lambda: server.ahead == [(0, 1, 1)], "that it is asked for")
    second = await server.grant(make_lease(bundle, 2, stages=(stage(2, 0, 2),)))
    worker.open_gate()
    await server.until_over(1, 2)
    assert first.steps == list(range(8))
    assert second.steps == [0, 1]
