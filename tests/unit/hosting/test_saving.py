"""What is left for the writer's thread: the rest of a copy from a GPU, and encoding. Its failures are told."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from hippo_storage import state
from hippo_storage.host_memory import HostMemory, Need, allocate
from hippo_storage.manifest import FileEntry
from hippo_storage.state import capture, read
from hippo_worker.hosting import saving
from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.link import Trained
from hippo_worker.hosting.saving import Cadence, Destination, Saver
from tests.unit.hosting.memory_link import MemoryLink
from tests.unit.hosting.orders import Values, make_order


class Copy:
    """A copy from a GPU."""

    def __init__(self, fails: bool) -> None:
        self.fails = fails

    def wait(self) -> float:
        if self.fails:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return 0.25


class TimedLink(MemoryLink):
    def checkpoint_written(
        self,
        node: int,
        step: int,
        folder: Path,
        files: Mapping[str, FileEntry],
        blocked_seconds: float,
    ) -> None:
        self._tell("written", node, step, folder, blocked_seconds)


def save(folder: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool) -> tuple[Saver, TimedLink]:
    def capture_from_gpu(state: Any, into: Any) -> Any:
        captured = capture(state, into)
        captured.transfers.append(Copy(fails))  # type: ignore[arg-type]
        return captured

    monkeypatch.setattr(saving, "capture", capture_from_gpu)
    saver, link = Saver(), TimedLink()
    saver.save(lambda: {"weights": 1}, Destination(node=1, step=2, folder=folder, link=link))
    saver.close()
    return saver, link


@pytest.fixture
def makers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads that make memory for states, each time that one does."""
    found: list[str] = []

    def note(need: Need) -> HostMemory:
        found.append(threading.current_thread().name)
        return allocate(need)

    for module in (saving, state):
        monkeypatch.setattr(module, "allocate", note)
    return found


def test_memory_is_made_once_beside_training_before_the_first_save(tmp_path: Path, makers: list[str]) -> None:
    """A path saves its last state, and another one after it; optimizers have their tensors from the first step on."""
    host = PathHost("cpu", 1)
    values: Values = [{"lr": 0.1, "batch_size": 8}] * 4
    for node in (1, 2):
        link = MemoryLink()
        order = make_order(tmp_path, "exact_trainers:BatchNorm", values, [(node, 0, 4)])
        assert host.run(order, link) == Trained()
        host.finish_saves()
        assert link.of("written")
    host.close()
    assert makers == ["hippo-writer"]


def test_a_state_that_does_not_fit_gets_memory_of_its_own(tmp_path: Path, makers: list[str]) -> None:
    saver, link = Saver(), MemoryLink()
    saver.reserve(lambda: {"weights": torch.zeros(10)})
    for step, count in ((1, 10), (2, 11), (3, 11)):
        to = Destination(node=1, step=step, folder=tmp_path / str(step), link=link)
        saver.save(lambda count=count: {"weights": torch.full((count,), 0.5)}, to)
    saver.close()
    assert makers == ["hippo-writer", threading.current_thread().name]
    for step, count in ((1, 10), (2, 11), (3, 11)):
        assert torch.equal(read(tmp_path / str(step))["weights"], torch.full((count,), 0.5))


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("the device has failed")], ids=repr)
def test_where_memory_cannot_be_made_the_save_makes_its_own(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(need: Need) -> HostMemory:
        raise error

    monkeypatch.setattr(saving, "allocate", fail)
    saver, link = Saver(), MemoryLink()
    saver.reserve(lambda: {"weights": torch.zeros(10)})
    to = Destination(node=1, step=1, folder=tmp_path / "state", link=link)
    saver.save(lambda: {"weights": torch.ones(10)}, to)
    saver.close()
    assert torch.equal(read(tmp_path / "state")["weights"], torch.ones(10))


def test_a_state_that_cannot_be_made_yet_is_no_failure_before_it_is_saved(
    tmp_path: Path, makers: list[str]
) -> None:
    def fail() -> object:
        raise RuntimeError("not yet")

    saver, link = Saver(), MemoryLink()
    saver.reserve(fail)
    assert not saver.lacks_memory, "it is not asked again at each step"
    to = Destination(node=1, step=1, folder=tmp_path / "state", link=link)
    with pytest.raises(RuntimeError, match="not yet"):
        saver.save(fail, to)
    saver.save(lambda: {"weights": torch.zeros(10)}, to)
    saver.close()
    assert link.of("written") == [(1, 1, tmp_path / "state")]


def test_the_time_that_a_gpu_is_kept_is_time_that_saving_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver, link = save(tmp_path / "state", monkeypatch, fails=False)
    ((_, _, _, blocked_seconds),) = link.of("written")
    assert blocked_seconds >= 0.25
    cadence = Cadence(None, counts_writing=False, now=0.0)
    cadence.saved(0.0, 0.05, saver)
    assert not cadence.is_due(1, 29.9, saver), "0.3 s are a hundredth of 30 s"
    assert cadence.is_due(1, 30.1, saver)


def test_a_gpu_that_fails_meanwhile_is_a_failed_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saver, link = save(tmp_path / "state", monkeypatch, fails=True)
    ((node, step, reason, full),) = link.of("save_failed")
    assert (node, step, full) == (1, 2, False)
    assert "illegal memory access" in reason
    assert not (tmp_path / "state").exists()
    saver.wait()


@pytest.mark.parametrize(
    "error", [ValueError("a list is too long"), OverflowError(), MemoryError()], ids=repr
)
def test_a_state_that_cannot_be_encoded_is_a_failed_save(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(value: Any) -> bytes:
        raise error

    monkeypatch.setattr(state, "pack", fail)
    saver, link = Saver(), MemoryLink()
    folder = tmp_path / "state"
    saver.save(lambda: {"weights": 1}, Destination(node=1, step=2, folder=folder, link=link))
    saver.wait()
    ((node, step, reason, full),) = link.of("save_failed")
    assert (node, step, full) == (1, 2, False)
    assert f"cannot be encoded: {str(error) or type(error).__name__}." in reason
    assert not folder.exists()
    monkeypatch.undo()
    saver.save(lambda: {"weights": 1}, Destination(node=1, step=3, folder=folder, link=link))
    saver.close()
    assert link.of("written") == [(1, 3, folder)]
