"""Batches are functions of the seed and the position; processes and batch sizes change nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from hippo_worker.hosting.batches import Batches
from hippo_worker.hosting.failures import InvalidTrainer


class Noisy:
    """Ten items that draw from all three global generators."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> dict[str, Any]:
        noise = torch.rand(()).item() + random.random() + float(np.random.rand())
        return {"index": index, "noise": noise, "name": f"item {index}"}


def items(batches: Batches, count: int) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = []
    while len(found) < count:
        batch = next(batches)
        found += zip(batch["index"].tolist(), batch["noise"].tolist(), strict=True)
    return found[:count]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("sizes", [[1], [3], [10], [16], [4, 1, 7]])
def test_items_depend_on_the_position_alone(workers: int, sizes: list[int]) -> None:
    expected = items(Batches(Noisy(), 1, seed=5), 40)
    batches = Batches(Noisy(), sizes[0], workers=workers, seed=5)
    found: list[tuple[int, float]] = []
    while len(found) < 40:
        batches.batch_size = sizes[len(found) % len(sizes)]
        batch = next(batches)
        assert len(batch["name"]) == batches.batch_size
        found += zip(batch["index"].tolist(), batch["noise"].tolist(), strict=True)
    batches.close()
    assert found[:40] == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_a_position_taken_at_any_moment_goes_on_with_the_same_items(workers: int) -> None:
    expected = items(Batches(Noisy(), 4, seed=5), 40)
    batches = Batches(Noisy(), 4, workers=workers, seed=5)
    for count in (1, 2, 3, 5):
        for _ in range(count):
            next(batches)
        state = batches.state_dict()
        other = Batches(Noisy(), 4, workers=workers, seed=5)
        other.load_state_dict(state)
        position = state["position"]
        assert items(other, 8) == expected[position : position + 8]
        other.close()
        batches.load_state_dict({"position": 0})
    assert items(batches, 12) == expected[:12]
    batches.close()


def test_each_pass_has_all_items_in_an_order_of_its_own() -> None:
    found = [index for index, _ in items(Batches(Noisy(), 7, seed=5), 30)]
    passes = [found[start : start + 10] for start in (0, 10, 20)]
    assert all(sorted(each) == list(range(10)) for each in passes)
    assert len({tuple(each) for each in passes}) == 3
    other = [index for index, _ in items(Batches(Noisy(), 7, seed=6), 30)]
    assert other != found


def test_without_shuffling_the_order_is_the_data_sets() -> None:
    batches = Batches(Noisy(), 4, shuffle=False, seed=5)
    assert [index for index, _ in items(batches, 12)] == [*range(10), 0, 1]
    assert (batches.position, batches.passes) == (12, 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_global_random_state_is_as_before(workers: int) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    batches = Batches(Noisy(), 4, workers=workers, seed=5)
    items(batches, 12)
    batches.close()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]


def test_tensor_data_sets_are_taken_at_once_with_equal_items() -> None:
    class Slow(TensorDataset):
        """Not exactly a TensorDataset, so that items are taken one by one."""

    tensors = torch.arange(20.0).reshape(10, 2), torch.arange(10)
    fast, slow = (Batches(kind(*tensors), 4, seed=5) for kind in (TensorDataset, Slow))
    for _ in range(6):
        one, other = next(fast), next(slow)
        assert type(one) is type(other)
        assert all(map(torch.equal, one, other))


def test_a_size_may_be_asked_for_before_each_batch() -> None:
    sizes = iter([2, 2, 5, 1])  # the first is asked for when the iterator is made
    batches = Batches(Noisy(), lambda: next(sizes), seed=5)
    assert [len(next(batches)["index"]) for _ in range(3)] == [2, 5, 1]


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no length": (lambda: Batches(iter([1]), 4, seed=5), "needs a data set with __len__"),  # type: ignore[arg-type]
    "empty": (lambda: Batches([], 4, seed=5), "is empty"),
    "size": (lambda: Batches([1], 0, seed=5), "batch_size must be an int of at least 1, not 0"),
    "kind of size": (lambda: Batches([1], 2.0, seed=5), "not 2.0"),  # type: ignore[arg-type]
    "workers": (lambda: Batches([1], 1, workers=-1, seed=5), "workers must be an int of at least 0, not -1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_arguments_are_refused_with_words(case: str) -> None:
    make, words = REFUSED[case]
    with pytest.raises(InvalidTrainer, match=words.replace("(", r"\(")):
        make()


def test_a_size_that_becomes_wrong_is_refused_at_the_next_batch() -> None:
    batches = Batches([1, 2], 1, seed=5)
    batches.batch_size = 0
    with pytest.raises(InvalidTrainer, match="not 0"):
        next(batches)
