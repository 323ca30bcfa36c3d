"""Memory that states are read into: it is used again exactly where nobody can still see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hippo_storage.reading_memory import LEAST_BYTES, ReadingMemory, new_memory
from hippo_storage.state import capture, read, write

COUNT = LEAST_BYTES // 4
NO_LIMIT = 1 << 40


def saved(folder: Path, number: int, count: int = COUNT) -> Path:
    write(capture({"weights": torch.full((count,), float(number))}), folder / str(number))
    return folder / str(number)


def place_of(state: dict[str, torch.Tensor]) -> int:
    return state["weights"].untyped_storage().data_ptr()


def test_a_state_is_read_to_where_one_lay_that_is_gone(tmp_path: Path) -> None:
    memory = ReadingMemory()
    places = []
    for number in range(3):
        lent = memory.for_state()
        state = read(saved(tmp_path, number), memory=lent)
        assert state["weights"].eq(number).all()
        places.append(place_of(state))
        del state
        lent.give_back(NO_LIMIT)
    assert len(set(places)) == 1


def test_memory_that_is_not_there_is_told_as_such() -> None:
    """Torch makes of it what it makes of a file that is no state."""
    with pytest.raises(MemoryError):
        new_memory(1 << 60)


KEEP: list[Callable[[torch.Tensor], Any]] = [
    lambda weights: weights,
    lambda weights: weights[5:7],
    lambda weights: weights.numpy(),
    lambda weights: torch.nn.Parameter(weights),
    lambda weights: weights.untyped_storage(),
    lambda weights: memoryview(weights.numpy()),
    lambda weights: weights.requires_grad_().square().sum(),
]


@pytest.mark.parametrize("keep", KEEP)
def test_what_somebody_has_kept_is_theirs(tmp_path: Path, keep: Callable[[torch.Tensor], Any]) -> None:
    memory = ReadingMemory()
    lent = memory.for_state()
    state = read(saved(tmp_path, 1), memory=lent)
    place, kept = place_of(state), keep(state["weights"])
    del state
    lent.give_back(NO_LIMIT)
    other = read(saved(tmp_path, 2), memory=memory.for_state())
    assert place_of(other) != place
    del kept


def test_memory_that_another_process_may_have_is_not_used_again(tmp_path: Path) -> None:
    memory = ReadingMemory()
    lent = memory.for_state()
    read(saved(tmp_path, 1), memory=lent)["weights"].share_memory_()
    lent.give_back(NO_LIMIT)
    assert not memory.clear()


def test_no_more_is_kept_than_may_be(tmp_path: Path) -> None:
    memory = ReadingMemory()
    for most_bytes, is_kept in ((LEAST_BYTES, True), (LEAST_BYTES - 1, False)):
        lent = memory.for_state()
        read(saved(tmp_path, most_bytes), memory=lent)
        lent.give_back(most_bytes)
        assert memory.clear() == is_kept


def test_a_state_of_another_size_has_memory_of_its_own(tmp_path: Path) -> None:
    memory = ReadingMemory()
    lent = memory.for_state()
    read(saved(tmp_path, 1), memory=lent)
    lent.give_back(NO_LIMIT)
    state = read(saved(tmp_path, 2, COUNT + 1), memory=memory.for_state())
    assert state["weights"].shape == (COUNT + 1,)
    assert state["weights"].eq(2).all()
    assert memory.clear(), "what suits another state waits for it"
