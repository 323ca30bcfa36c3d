"""Captured CUDA graphs, and what torch.compile has made, go on over leases: tensors stay where they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hippo_storage.state import read
from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.link import Trained
from hippo_worker.hosting.module_state import in_place
from hippo_worker.hosting.order import PathOrder, StartFrom
from tests.unit.hosting.memory_link import MemoryLink
from tests.unit.hosting.orders import Values, make_order

VALUES: Values = [{"lr": 0.1 / (step + 1)} for step in range(6)]


@pytest.fixture
def host() -> Iterator[PathHost]:
    made = PathHost("cpu", 1)
    yield made
    made.close()


def run(host: PathHost, order: PathOrder) -> MemoryLink:
    link = MemoryLink()
    assert host.run(order, link) == Trained()
    host.finish_saves()
    return link


def train_over_leases(host: PathHost, spool: Path, backend: str | None) -> list[MemoryLink]:
    """1. A trunk. 2. Goes on in memory. 3. From the trunk's saved state, in the trainer that has trained on. 4. And
    once more, in two stages."""

    def order(stages: list[tuple[int, int, int]], start: StartFrom | None = None) -> PathOrder:
        trainer = "captured_trainers:Addressed"
        return make_order(spool, trainer, VALUES, stages, start=start, options={"backend": backend})

    trunk = run(host, order([(1, 0, 3)]))
    in_memory = StartFrom(node=1, step=3, fence=1)
    saved = StartFrom(node=1, step=3, fence=1, folder=trunk.folder(1, 3))
    first = run(host, order([(2, 3, 6)], in_memory))
    second = run(host, order([(3, 3, 6)], saved))
    third = run(host, order([(4, 3, 5), (5, 5, 6)], saved))
    return [trunk, first, second, third]


def test_hand_overs_and_loads_leave_every_tensor_where_it_was(host: PathHost, tmp_path: Path) -> None:
    """Parameters, buffers, gradients, the optimiser's moments, counters and rate, and a tensor of the trainer's own."""
    links = train_over_leases(host, tmp_path, None)
    for link in links:
        assert {metrics["moved"] for metrics in link.evaluations().values()} == {0.0}
    ends = [read(link.folder(node, 6)) for link, node in zip(links[1:], (2, 3, 5), strict=True)]
    for other in ends[1:]:
        for name, tensor in ends[0]["trainer"]["objects"]["net"].items():
            assert torch.equal(other["trainer"]["objects"]["net"][name], tensor)


def test_a_compiled_model_trains_over_leases_to_the_same_bits_and_is_compiled_once(
    host: PathHost, tmp_path: Path
) -> None:
    """Another trainer of the same process is not compiled again either."""
    from torch._dynamo.utils import counters  # the compiler: seconds, which no other test is to pay

    compiled = train_over_leases(host, tmp_path / "compiled", "eager")
    frames = counters["frames"]["total"]
    another = PathHost("cpu", 1)
    train_over_leases(another, tmp_path / "another", "eager")
    another.close()
    assert counters["frames"]["total"] == frames > 0
    plain_host = PathHost("cpu", 1)
    plain = train_over_leases(plain_host, tmp_path / "plain", None)
    plain_host.close()
    for one, other in zip(compiled, plain, strict=True):
        found = one.evaluations()
        assert {step: metrics["loss"] for step, metrics in found.items()} == {
            step: metrics["loss"] for step, metrics in other.evaluations().items()
        }
        assert {(metrics["moved"], metrics["compiled"]) for metrics in found.values()} == {(0.0, 0.0)}


@pytest.mark.parametrize(
    "current",
    [
        None, 0.1, torch.zeros(3), torch.zeros(2, 2), torch.zeros(2, dtype=torch.float64),
        torch.zeros(4)[::2], torch.empty(2, device="meta"),
    ],
)  # fmt: skip
def test_what_is_not_alike_is_replaced(current: object) -> None:
    saved = torch.ones(2)
    assert in_place(current, saved) is saved
    assert in_place(torch.zeros(2), 0.5) == 0.5
