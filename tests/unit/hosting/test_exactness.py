"""Paths that are cut, resumed and forked give, bit for bit, what a bare loop gives that trains the trial alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hippo_storage.state import read
from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.link import Trained
from hippo_worker.hosting.order import PathOrder, StartFrom
from tests.unit.hosting.bare_loops import LOOPS, train_alone
from tests.unit.hosting.fresh_process import run_in_fresh_process
from tests.unit.hosting.memory_link import MemoryLink
from tests.unit.hosting.orders import Values, make_order, setup_of
from tests.unit.hosting.untouched import untouched

STEPS = 6
TRAINERS = list(LOOPS)

#: Two trials that part at step 3, where the rate of both changes, and later the batch size of one.
TRUNK: Values = [{"lr": 0.1, "batch_size": 8}] * 3
FIRST: Values = [*TRUNK, {"lr": 0.01, "batch_size": 8}, *[{"lr": 0.01, "batch_size": 12}] * 2]
SECOND: Values = [*TRUNK, *[{"lr": 0.05, "batch_size": 16}] * 3]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = read(folder)["trainer"]["objects"]["model"]
    return found


def require_alone(trainer: str, values: Values, metrics: dict[int, dict[str, float]], folder: Path) -> None:
    """The metrics by state and the weights are those of the trial trained alone."""
    alone, final = train_alone(trainer, values, 1)
    assert metrics == alone
    found = weights(folder)
    assert found.keys() == final.keys()
    for name, tensor in final.items():
        assert torch.equal(found[name].view(torch.uint8) if tensor.dim() else found[name],
                           tensor.view(torch.uint8) if tensor.dim() else tensor), name  # fmt: skip


@pytest.fixture
def host() -> Iterator[PathHost]:
    made = PathHost("cpu", 1)
    yield made
    made.close()


def run(host: PathHost, order: PathOrder, link: MemoryLink | None = None) -> MemoryLink:
    link = link or MemoryLink()
    result = host.run(order, link)
    assert result == Trained(), result
    host.finish_saves()
    return link


@pytest.mark.parametrize("trainer", TRAINERS)
def test_uninterrupted_path_equals_the_bare_loop(trainer: str, host: PathHost, tmp_path: Path) -> None:
    link = run(host, make_order(tmp_path, f"exact_trainers:{trainer}", FIRST, [(1, 0, 3), (2, 3, STEPS)]))
    require_alone(trainer, FIRST, link.evaluations(), link.folder(2, STEPS))


@pytest.mark.parametrize("trainer", TRAINERS)
def test_saving_at_every_step_changes_nothing(trainer: str, host: PathHost, tmp_path: Path) -> None:
    order = make_order(tmp_path, f"exact_trainers:{trainer}", FIRST, [(1, 0, STEPS)], checkpoint_every=1)
    link = run(host, order)
    assert [step for _, step, _ in link.of("written")] == list(range(1, STEPS + 1))
    require_alone(trainer, FIRST, link.evaluations(), link.folder(1, STEPS))


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_path_on_a_trainer_made_before_equals_the_bare_loop(
    trainer: str, host: PathHost, tmp_path: Path
) -> None:
    """1. A trainer is made, others draw random numbers in the process, and a trial is trained. 2. In new hosts, made
    ready likewise, the second trial starts from the trunk's state: the trainer is made for its own values at step 0, or
    for others, which ``setup`` may have seen."""
    name = f"exact_trainers:{trainer}"
    order = make_order(tmp_path, name, FIRST, [(1, 0, 3), (2, 3, STEPS)], save_points=[(1, 3)])
    host.make_ready(setup_of(order))
    random.random(), np.random.normal(), torch.rand(3)
    link = run(host, order)
    require_alone(trainer, FIRST, link.evaluations(), link.folder(2, STEPS))
    fork = StartFrom(node=1, step=3, fence=1, folder=link.folder(1, 3))
    trunk = {step: each for step, each in link.evaluations().items() if step <= 3}
    for made_for in (SECOND, [{"lr": 0.7, "batch_size": 4}] * STEPS):
        other = PathHost("cpu", 1)
        path = make_order(tmp_path, name, SECOND, [(3, 3, STEPS)], start=fork)
        other.make_ready(setup_of(make_order(tmp_path, name, made_for, [(3, 3, STEPS)], start=fork)))
        random.random(), np.random.normal(), torch.rand(3)
        second = run(other, path)
        require_alone(trainer, SECOND, trunk | second.evaluations(), second.folder(3, STEPS))
        other.close()


@pytest.mark.parametrize("trainer", TRAINERS)
def test_forks_resume_warm_in_memory_and_in_a_fresh_host(trainer: str, tmp_path: Path) -> None:
    """1. The trunk is trained, saved at 2 and 3. 2. The first trial goes on in memory. 3. The second starts from the
    saved state, in the same host, whose trainer has trained the first. 4. And in a new host. 5. Both trials end again
    from the trunk's state at 2, inside a pass over the data."""
    name = f"exact_trainers:{trainer}"
    warm, fresh = PathHost("cpu", 1), PathHost("cpu", 1)
    trunk = run(warm, make_order(tmp_path, name, FIRST, [(1, 0, 3)], save_points=[(1, 2)]))
    fork = StartFrom(node=1, step=3, fence=1, folder=trunk.folder(1, 3))
    inside = StartFrom(node=1, step=2, fence=1, folder=trunk.folder(1, 2))
    assert warm.holds() is not None
    assert warm.holds()[:2] == (1, 3)

    in_memory = StartFrom(node=1, step=3, fence=1)
    first = run(warm, make_order(tmp_path, name, FIRST, [(2, 3, STEPS)], start=in_memory))
    require_alone(trainer, FIRST, trunk.evaluations() | first.evaluations(), first.folder(2, STEPS))

    for host in (warm, fresh):
        second = run(host, make_order(tmp_path, name, SECOND, [(3, 3, STEPS)], start=fork))
        require_alone(trainer, SECOND, trunk.evaluations() | second.evaluations(), second.folder(3, STEPS))
        for values in (SECOND, FIRST):
            stages = [(1, 2, 3), (4, 3, STEPS)]
            again = run(host, make_order(tmp_path, name, values, stages, start=inside))
            require_alone(trainer, values, trunk.evaluations() | again.evaluations(), again.folder(4, STEPS))
        host.close()


def test_draws_between_two_paths_change_nothing(host: PathHost, tmp_path: Path) -> None:
    trunk = run(host, make_order(tmp_path, "exact_trainers:Dropout", FIRST, [(1, 0, 3)]))
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    start = StartFrom(node=1, step=3, fence=1)
    first = run(host, make_order(tmp_path, "exact_trainers:Dropout", FIRST, [(2, 3, STEPS)], start=start))
    require_alone("Dropout", FIRST, trunk.evaluations() | first.evaluations(), first.folder(2, STEPS))


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[MemoryLink, list[list[Any]]]]:
    """By trainer, what was told of steps 0 to 3 here, and of the rest in a process that started afterwards."""
    trunks, orders = {}, []
    for trainer in TRAINERS:
        folder, name, host = tmp_path_factory.mktemp(trainer), f"exact_trainers:{trainer}", PathHost("cpu", 1)
        with untouched():
            trunks[trainer] = run(host, make_order(folder, name, FIRST, [(1, 0, 4)]))
            host.close()
        start = StartFrom(node=1, step=4, fence=1, folder=trunks[trainer].folder(1, 4))
        orders.append(make_order(folder, name, FIRST, [(2, 4, STEPS)], start=start))
    told = run_in_fresh_process(orders)
    return {trainer: (trunks[trainer], told[index]) for index, trainer in enumerate(TRAINERS)}


@pytest.mark.parametrize("trainer", TRAINERS)
def test_resuming_in_a_fresh_process_gives_the_same_bits(
    trainer: str, resumed: dict[str, tuple[MemoryLink, list[list[Any]]]]
) -> None:
    trunk, told = resumed[trainer]
    assert told[-1] == ["result", "Trained", ""]
    metrics = {entry[2]: entry[3] for entry in told if entry[0] == "metrics" and entry[5]}
    (folder,) = [Path(entry[3]) for entry in told if entry[0] == "written"]
    require_alone(trainer, FIRST, trunk.evaluations() | metrics, folder)
