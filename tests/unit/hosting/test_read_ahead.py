"""Reading the next path's state while the present one trains: when it is read, when it counts, and when not."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hippo_storage.reading_memory import LEAST_BYTES, StateMemory
from hippo_storage.state import capture, read, write
from hippo_worker.hosting import read_ahead
from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.link import Trained
from hippo_worker.hosting.order import StartFrom
from hippo_worker.hosting.read_ahead import ReadAhead
from tests.unit.hosting.memory_link import MemoryLink
from tests.unit.hosting.orders import make_order
from tests.waiting import until

VALUES = [{"lr": 0.1 if step < 3 else 0.01, "batch_size": 32} for step in range(8)]
TRAINER = "exact_trainers:Dropout"
PATIENCE = 30.0


class Reads:
    """Who reads what, in order. Reading waits until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: list[tuple[str, str]] = []  #: the folder's name, the thread's
        self.begun = threading.Semaphore(0)
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        monkeypatch.setattr(read_ahead, "read", self._read)

    def _read(self, folder: Path, device: str, memory: StateMemory) -> Any:
        self.read.append((folder.name, threading.current_thread().name))
        self.begun.release()
        assert self.may_go_on.wait(PATIENCE)
        return read(folder, device, memory)

    def until_begun(self) -> None:
        assert self.begun.acquire(timeout=PATIENCE)

    @property
    def beside(self) -> list[str]:
        """What was read on the thread beside training."""
        return [folder for folder, thread in self.read if thread == "hippo-reader"]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


@pytest.fixture
def ahead() -> Iterator[ReadAhead]:
    made = ReadAhead("cpu")
    yield made
    made.close()


def state(folder: Path, name: str, padding: str = "") -> Path:
    write(capture({"name": name, "padding": padding} if padding else {"name": name}), folder / name)
    return folder / name


def test_a_state_is_read_before_its_turn_and_once(reads: Reads, ahead: ReadAhead, tmp_path: Path) -> None:
    folder = state(tmp_path, "a")
    ahead.expect(1, folder)
    reads.until_begun()
    assert ahead.take(1, folder) == {"name": "a"}
    assert reads.read == [("a", "hippo-reader")]


def test_one_state_waits_at_most(reads: Reads, ahead: ReadAhead, tmp_path: Path) -> None:
    """
    1. two paths are expected: the state of the first one is read
    2. its turn comes: the second one's is read once the first one has its state, and not before
    """
    one, two = state(tmp_path, "a"), state(tmp_path, "b")
    ahead.expect(1, one)
    ahead.expect(2, two)
    reads.until_begun()
    assert ahead.take(1, one) == {"name": "a"}
    assert reads.beside == ["a"]
    ahead.has_started(1)
    reads.until_begun()
    assert reads.beside == ["a", "b"]
    assert ahead.take(2, two) == {"name": "b"}
    assert len(reads.read) == 2


def test_a_path_that_is_given_back_leaves_room_for_the_next(
    reads: Reads, ahead: ReadAhead, tmp_path: Path
) -> None:
    """Whether its state is being read, or waits to be."""
    reads.may_go_on.clear()
    for fence, name in enumerate("abc", start=1):
        ahead.expect(fence, state(tmp_path, name))
    reads.until_begun()
    ahead.forget(1)
    ahead.forget(2)
    reads.may_go_on.set()
    reads.until_begun()
    assert reads.beside == ["a", "c"]
    assert ahead.take(3, tmp_path / "c") == {"name": "c"}


def test_what_cannot_be_read_ahead_is_read_in_its_turn(
    reads: Reads, ahead: ReadAhead, tmp_path: Path
) -> None:
    """The file is not there yet when it is read ahead; so the path's own look is what counts."""
    away, folder = state(tmp_path, "a"), tmp_path / "b"
    ahead.expect(1, folder)
    with pytest.raises(Exception, match="b"):
        ahead.take(1, folder)
    shutil.move(away, folder)
    assert ahead.take(1, folder) == {"name": "a"}


def test_a_state_without_room_is_read_in_its_turn(
    reads: Reads, ahead: ReadAhead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. A state is too large for what memory is left. 2. The next one is small enough, and is read."""
    large, small = state(tmp_path, "a", "-" * 1000), state(tmp_path, "b")
    size_bytes = sum(file.stat().st_size for file in small.iterdir())
    monkeypatch.setattr(read_ahead, "available_bytes", lambda: (size_bytes + 100) / read_ahead.MEMORY_PART)
    ahead.expect(1, large)
    ahead.expect(2, small)
    reads.until_begun()
    assert reads.beside == ["b"]
    assert ahead.take(1, large)["name"] == "a"
    assert reads.beside == ["b"]


def test_a_state_that_waits_gives_way_to_one_that_is_needed_now(
    reads: Reads, ahead: ReadAhead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. The second path's state waits. 2. There is no memory for the first one's beside it. 3. The second one's is
    read in its turn."""
    first, second = state(tmp_path, "a"), state(tmp_path, "b")
    ahead.expect(2, second)
    reads.until_begun()
    ahead.has_started(0)
    until(lambda: ahead._ready is not None, "a state that waits")

    def read_where_there_is_room(folder: Path, device: str, memory: StateMemory) -> Any:
        if ahead._ready is not None:
            raise MemoryError
        return read(folder, device, memory)

    monkeypatch.setattr(read_ahead, "read", read_where_there_is_room)
    assert ahead.take(1, first) == {"name": "a"}
    assert ahead.take(2, second) == {"name": "b"}


def test_without_a_further_thread_states_are_read_in_their_turns(
    reads: Reads, ahead: ReadAhead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    folder = state(tmp_path, "a")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            ahead.expect(1, folder)
        ahead.close()
    assert ahead.take(1, folder) == {"name": "a"}


def test_a_gpu_s_memory_is_left_to_the_trainer(reads: Reads, tmp_path: Path) -> None:
    ahead = ReadAhead("cuda")
    ahead.expect(1, tmp_path)
    ahead.close()
    assert reads.read == []


def test_training_from_a_state_that_was_read_ahead_gives_the_same_bits(reads: Reads, tmp_path: Path) -> None:
    """
    1. a path of six steps saves at step 3; a second host trains from there, which has read the state on the way
    2. a third one reads it in its turn; both end in the state of the first one, bit for bit
    """
    whole, link = PathHost("cpu", 1), MemoryLink()
    first = make_order(tmp_path, TRAINER, VALUES, [(1, 0, 3), (2, 3, 6)], save_points=[(1, 3)])
    assert whole.run(first, link) == Trained()
    whole.finish_saves()
    start = StartFrom(node=1, step=3, fence=first.fence, folder=link.folder(1, 3))
    ends = [link.folder(2, 6)]
    for is_expected in (True, False):
        host, link = PathHost("cpu", 1), MemoryLink()
        order = make_order(tmp_path, TRAINER, VALUES, [(2, 3, 6)], start=start)
        if is_expected:
            assert start.folder is not None
            host.ahead.expect(order.fence, start.folder)
            reads.until_begun()
        assert host.run(order, link) == Trained()
        host.close()
        ends.append(link.folder(2, 6))
    whole.close()
    assert reads.beside == [link_folder.name for link_folder in [start.folder] if link_folder]
    tensors = [(folder / "tensors.safetensors").read_bytes() for folder in ends]
    assert tensors[0] == tensors[1] == tensors[2]


def test_a_path_that_goes_on_from_memory_leaves_no_state_behind(reads: Reads, tmp_path: Path) -> None:
    """What was read for it beside its folder's state is let go, and the next one's is read."""
    host, link = PathHost("cpu", 1), MemoryLink()
    first = make_order(tmp_path, TRAINER, VALUES, [(1, 0, 3)])
    assert host.run(first, link) == Trained()
    host.finish_saves()
    start = StartFrom(node=1, step=3, fence=first.fence, folder=link.folder(1, 3))
    assert start.folder is not None
    second, third = (make_order(tmp_path, TRAINER, VALUES, [(2, 3, 6)], start=start) for _ in range(2))
    host.ahead.expect(second.fence, start.folder)
    host.ahead.expect(third.fence, start.folder)
    reads.until_begun()
    assert host.run(second, MemoryLink()) == Trained()
    reads.until_begun()
    assert host.run(third, MemoryLink()) == Trained()
    assert len(reads.beside) == len(reads.read) == 2
    host.close()


@pytest.mark.parametrize("is_kept", [True, False])
def test_the_next_state_is_read_over_what_nobody_has_kept_of_the_last(
    ahead: ReadAhead, tmp_path: Path, is_kept: bool
) -> None:
    """
    1. a path has loaded its state, and its trainer has kept a tensor of it, or none
    2. the next one's is read: the trainer's is as it was, and what nobody has is used again
    """
    places, kept = [], []
    for fence in (1, 2):
        weights = torch.full((LEAST_BYTES // 4,), float(fence))
        write(capture({"weights": weights}), tmp_path / str(fence))
        found = ahead.take(fence, tmp_path / str(fence))["weights"]
        assert torch.equal(found, weights)
        places.append(found.data_ptr())
        kept += [found] if is_kept else []
        del found
        ahead.has_started(fence)
    assert (places[0] == places[1]) is not is_kept
    assert not kept or kept[0].eq(1.0).all()


def test_without_memory_for_a_state_what_the_last_one_left_goes(
    ahead: ReadAhead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(capture({"weights": torch.ones(LEAST_BYTES // 4)}), tmp_path / "a")
    ahead.take(1, tmp_path / "a")
    ahead.has_started(1)

    def read_where_there_is_room(folder: Path, device: str, memory: StateMemory) -> Any:
        if ahead._memory._spare:
            raise MemoryError
        return read(folder, device, memory)

    monkeypatch.setattr(read_ahead, "read", read_where_there_is_room)
    assert ahead.take(2, tmp_path / "a")["weights"].eq(1.0).all()
    assert not ahead._memory.clear()
