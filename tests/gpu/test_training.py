"""Paths on a GPU that are cut end in the bits of those that are not: captured, compiled, in mixed precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hippo_storage.state import capture, read, write
from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.link import Trained
from hippo_worker.hosting.order import PathOrder, StartFrom
from tests.unit.hosting.memory_link import MemoryLink
from tests.unit.hosting.orders import BUNDLE, Values, make_order
from tests.unit.hosting.untouched import untouched

pytestmark = pytest.mark.gpu

VALUES: Values = [{"lr": 0.01 / (step + 1)} for step in range(6)]
TRAINERS = ("Plain", "Captured", "Compiled", "MixedPrecision", "OwnGenerator")
Make = Callable[[list[tuple[int, int, int]], StartFrom | None], PathOrder]


@pytest.fixture(autouse=True)
def untouched_process() -> Iterator[None]:
    with untouched():
        yield


def run(host: PathHost, order: PathOrder) -> MemoryLink:
    link = MemoryLink()
    result = host.run(order, link)
    assert result == Trained(), result
    host.finish_saves()
    return link


def final_state(link: MemoryLink, node: int) -> dict[str, Any]:
    state: dict[str, Any] = read(link.folder(node, 6))["trainer"]
    return state


def assert_same(one: Any, other: Any, path: str = "") -> None:
    assert type(one) is type(other), path
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, path
        assert torch.equal(*(each.detach().reshape(-1).view(torch.uint8) for each in (one, other))), path
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_same(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), path
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same(left, right, f"{path}/{index}")
    else:
        assert one == other, path


def all_ways(make: Make) -> list[tuple[MemoryLink, int]]:
    """1. Without a cut. 2. A trunk that goes on in memory. 3. From its saved state, by the trainer that has gone on.
    4. From its saved state, by a new host. Gives who was told of each end, and its node."""
    host, other, fresh = (PathHost("cuda", 1) for _ in range(3))
    straight = run(host, make([(1, 0, 6)], None))
    trunk = run(other, make([(2, 0, 3)], None))
    saved = StartFrom(node=2, step=3, fence=1, folder=trunk.folder(2, 3))
    in_memory = run(other, make([(3, 3, 6)], StartFrom(node=2, step=3, fence=1)))
    warm = run(other, make([(4, 3, 6)], saved))
    new = run(fresh, make([(5, 3, 6)], saved))
    for each in (host, other, fresh):
        each.close()
    return [(straight, 1), (in_memory, 3), (warm, 4), (new, 5)]


def assert_equal_ends(ends: list[tuple[MemoryLink, int]]) -> None:
    (straight, node), *others = ends
    expected = final_state(straight, node)
    for link, end in others:
        assert_same(final_state(link, end), expected)
        told = straight.evaluations()
        assert link.evaluations() == {step: told[step] for step in (4, 5, 6)}


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_path_that_is_cut_ends_in_the_same_bits(trainer: str, tmp_path: Path) -> None:
    def make(stages: list[tuple[int, int, int]], start: StartFrom | None) -> PathOrder:
        code = Path(__file__).parent / "bundle"
        return make_order(tmp_path, f"graph_trainers:{trainer}", VALUES, stages, start=start, code=code)

    ends = all_ways(make)
    losses = {metrics["loss"] for metrics in ends[0][0].evaluations().values()}
    assert len(losses) == 6, "each step changes the weights"
    assert_equal_ends(ends)


@pytest.mark.parametrize("backend", [None, "inductor"])
def test_a_compiled_model_is_compiled_once_and_its_tensors_stay(backend: str | None, tmp_path: Path) -> None:
    def make(stages: list[tuple[int, int, int]], start: StartFrom | None) -> PathOrder:
        trainer, options = "captured_trainers:Addressed", {"backend": backend}
        return make_order(tmp_path, trainer, VALUES, stages, start=start, code=BUNDLE, options=options)

    ends = all_ways(make)
    for link, _ in ends:
        counts = [(each["moved"], each["compiled"]) for each in link.evaluations().values()]
        assert set(counts) == {(0.0, 0.0)}
    assert_equal_ends(ends)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are not two GPUs")
def test_a_state_is_loaded_to_another_gpu_of_its_kind(tmp_path: Path) -> None:
    state = {"weights": torch.randn(5, device="cuda:0"), "generator": torch.cuda.get_rng_state(0)}
    write(capture(state), tmp_path / "state")
    found = read(tmp_path / "state", "cuda:1")
    assert found["weights"].device == torch.device("cuda", 1)
    assert torch.equal(found["weights"].cpu(), state["weights"].cpu())
    torch.cuda.set_rng_state(found["generator"], 1)
    assert torch.equal(torch.cuda.get_rng_state(1), state["generator"])
