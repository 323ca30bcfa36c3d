"""On a GPU: the same bits as a plain loop there, memory that is given back and bounded, and failures that are told."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hippo_client import StudyHandle, Trial
from hippo_client.study_file import load
from tests.acceptance.conftest import LocalHome, Pool
from tests.acceptance.oracle import GRID, distinct_prefixes, study_file
from tests.acceptance.test_exactness import EPOCH_TRAINERS, expect_as_alone
from tests.waiting import until

pytestmark = pytest.mark.gpu

GIB = 1 << 30
LITTLE = 0.25  #: GiB that libraries keep on a GPU whoever trains


def submit(pool: Pool, name: str, text: str) -> StudyHandle:
    file = pool.folder / f"{name}.py"
    file.write_text(text)
    return pool.client().submit(load(str(file)))


def study_of(trainer: str, name: str, space: str) -> str:
    """A study file of one step a trial."""
    return f"""
import hippo_client as hippo
from hippo_client import space

study = hippo.Study("gpu_trainers:{trainer}", {space}, name="{name}", minimize="process", max_steps=1)
"""


def held_before(trial: Trial) -> float:
    """How many GiB its process held on the GPU before its trainer was set up."""
    found = trial.metrics["found"]
    assert found is not None
    return found


def failures(pool: Pool) -> list[tuple[Any, ...]]:
    return pool.query("SELECT failure, message FROM failures ORDER BY id")


def workers_ready(pool: Pool, count: int) -> None:
    until(
        lambda: pool.query("SELECT count(*) FROM workers WHERE state = 'live'")[0][0] == count,
        f"{count} workers",
    )


@pytest.mark.parametrize("trainer", EPOCH_TRAINERS)
def test_a_grid_equals_plain_loops_on_the_same_gpu(local: LocalHome, trainer: str) -> None:
    """Dropout and noise draw from the GPU's generator; Adam's moments, running statistics, bf16 and a scheduler."""
    result = local.json("run", local.write("first.py", study_file(trainer, "first")))
    (worker,) = local.json("worker", "ls")
    devices = [(slot["device"], slot["model"]) for slot in worker["slots"]]
    assert devices == [("cuda", torch.cuda.get_device_name(i)) for i in range(torch.cuda.device_count())]
    with local.client() as client:
        taken = expect_as_alone(client, "first", trainer, device="cuda")
    assert result["trials"]["completed"] == len(GRID)
    assert result["savings"]["steps_trained"] == distinct_prefixes(taken)
    assert result["savings"]["steps_retrained"] == 0


def test_iterations_equal_a_plain_loop_on_the_same_gpu(local: LocalHome) -> None:
    """Loader processes are forked from a process that has begun to use the GPU."""
    text = study_file("Iterations", "first", "max_steps=8, unit='iteration', evaluate_every=2")
    local.run("run", local.write("first.py", text))
    with local.client() as client:
        expect_as_alone(client, "first", "Iterations", evaluate_every=2, device="cuda")


def test_two_workers_on_one_gpu_give_the_same_bits(pool: Pool) -> None:
    """1. Two workers share a GPU, each with a slot on it. 2. A state that one has saved is loaded by the other's new
    runner, and later by warm ones. 3. All trials equal the plain loop."""
    for name in ("one", "two"):
        pool.start_worker(name, 1, "--gpu-memory-fraction", "0.4")
    workers_ready(pool, 2)
    model = torch.cuda.get_device_name(0)
    assert pool.query("SELECT device, model FROM slots") == [("cuda", model), ("cuda", model)]
    handle = submit(
        pool, "first", study_file("BatchNormAdam", "first", "max_steps=8, options={'pause': 0.05}")
    )
    handle.wait()
    expect_as_alone(pool.client(), "first", "BatchNormAdam", device="cuda")
    assert handle.savings()["steps_trained"] == distinct_prefixes(GRID)
    loads = pool.query(
        """
        SELECT l.fence = (SELECT min(fence) FROM leases f WHERE f.worker = l.worker), writer.worker <> l.worker
        FROM leases l JOIN leases writer ON writer.fence = l.start_fence WHERE NOT l.in_memory
        """
    )
    assert (True, True) in loads, "a cold runner loads what the other worker has saved"
    assert False in {first for first, _ in loads}, "a warm runner loads a state"


def test_two_slots_of_one_worker_share_a_gpu(pool: Pool) -> None:
    """Each has its part of the memory, and both together train what the plain loop does."""
    pool.start_worker("one", 2, "--slots-per-gpu", "2")
    workers_ready(pool, 1)
    model = torch.cuda.get_device_name(0)
    assert pool.query("SELECT device, model FROM slots") == [("cuda", model), ("cuda", model)]
    handle = submit(
        pool, "first", study_file("BatchNormAdam", "first", "max_steps=8, options={'pause': 0.05}")
    )
    handle.wait()
    expect_as_alone(pool.client(), "first", "BatchNormAdam", device="cuda")
    assert pool.query("SELECT count(DISTINCT slot) FROM leases") == [(2,)]


def test_a_trainer_that_goes_gives_its_memory_back(local: LocalHome) -> None:
    """Two trials need trainers of their own, in one process: each finds the GPU as good as empty."""
    text = study_of("Filler", "fill", '{"kept": space.choice([1, 2]), "taken": 1}')
    local.run("run", local.write("fill.py", text), "--slots", "1")
    with local.client() as client:
        trials = client.study("fill").trials()
    assert len(trials) == 2
    assert len({trial.metrics["process"] for trial in trials}) == 1
    assert all(held_before(trial) < LITTLE for trial in trials)


def test_a_trial_too_large_fails_with_advice_and_leaves_the_gpu_free(pool: Pool) -> None:
    """1. A step asks for more than any GPU has. 2. It is tried once more, then the trial has failed. 3. The slot, in
    the same process, trains a smaller one, and finds the memory that the failed one held."""
    pool.start_worker("one")
    large = submit(pool, "large", study_of("Filler", "large", '{"kept": 2, "taken": 4096}'))
    large.wait()
    (trial,) = large.trials()
    assert trial.state == "failed"
    assert "OutOfMemoryError" in trial.reason
    assert "lower the batch size" in trial.reason
    assert [failure for failure, _ in failures(pool)] == ["memory", "memory"]
    small = submit(pool, "small", study_of("Filler", "small", '{"kept": 1, "taken": 1}'))
    small.wait()
    assert small.trials()[0].state == "completed"
    assert held_before(small.trials()[0]) < LITTLE
    assert pool.query("SELECT count(DISTINCT (worker, incarnation)) FROM leases") == [(1,)]


def test_a_slot_takes_no_more_than_its_part_of_the_gpu(pool: Pool) -> None:
    """Half of the GPU is refused where a quarter is allowed, and the refusal names the option."""
    pool.start_worker("one", 1, "--gpu-memory-fraction", "0.25")
    half = torch.cuda.get_device_properties(0).total_memory // GIB // 2
    study = submit(
        pool, "cap", study_of("Filler", "cap", f'{{"kept": 1, "taken": space.choice([1, {half}])}}')
    )
    study.wait()
    within, beyond = study.trials()
    assert within.state == "completed"
    assert beyond.state == "failed"
    assert "--gpu-memory-fraction" in beyond.reason
    assert {failure for failure, _ in failures(pool)} == {"memory"}


def test_a_gpu_that_a_trial_made_fail_trains_the_next_one(pool: Pool) -> None:
    """1. A kernel looks beyond a table's end, and every later call in that process fails. 2. That is the trainer's
    error, told as such after one retry. 3. The slot trains the next trial, in another process."""
    pool.start_worker("one")
    wrong = submit(pool, "wrong", study_of("Picker", "wrong", '{"row": 10}'))
    wrong.wait()
    (trial,) = wrong.trials()
    assert trial.state == "failed"
    assert "device-side assert" in trial.reason
    assert [failure for failure, _ in failures(pool)] == ["user", "user"]
    right = submit(pool, "right", study_of("Picker", "right", '{"row": 9}'))
    right.wait()
    assert right.trials()[0].state == "completed"
