"""Saving from a GPU, and loading to it, beside training: what is saved is the state as it was."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from hippo_storage import device_copy
from hippo_storage.host_memory import Need, allocate
from hippo_storage.state import capture, read, write
from hippo_worker.hosting.device_digest import STRETCH, device_digest
from hippo_worker.hosting.fingerprints import tensor_digest

pytestmark = pytest.mark.gpu


@pytest.fixture(params=["room", "no room"])
def room(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the device has room for a copy of the state."""
    if request.param == "no room":
        monkeypatch.setattr(device_copy, "room_bytes", lambda **memory: -1)
        monkeypatch.setattr(device_copy, "_granted", {})
    return str(request.param)


def a_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    whole = torch.randn(1 << 26, device="cuda")  # 256 MiB: it takes the way to the host some milliseconds
    return {
        "whole": whole,
        "part": whole[100:200],
        "half": torch.randn(33, device="cuda", dtype=torch.bfloat16),
        "images": torch.randn(8, 3, 16, 16, device="cuda").to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.randn(5, 7, device="cuda").t()),
        "counts": torch.arange(9, device="cuda"),
        "empty": torch.empty(0, 3, device="cuda"),
        "counter": torch.tensor(7),
        "doubles": torch.randn(5, dtype=torch.float64),
        "generator": torch.cuda.get_rng_state(),
    }


def assert_as_before(found: dict[str, Any], before: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    assert found.keys() == before.keys()
    for name, tensor in before.items():
        assert found[name].device == tensor.device, name
        assert found[name].dtype == tensor.dtype, name
        assert found[name].stride() == state[name].stride(), name
        assert torch.equal(found[name], tensor), name


def test_a_state_is_saved_as_it_was_while_training_goes_on(room: str, tmp_path: Path) -> None:
    """1. All tensors are overwritten as soon as the copy has begun, in one stream. 2. What is written, and read, is
    what was there, in its strides, views and types. 3. The next save uses the same pinned memory."""
    state = a_state()
    before = {name: tensor.detach().clone() for name, tensor in state.items()}
    captured = capture(state)
    with torch.no_grad():
        for tensor in state.values():
            tensor.fill_(1)
    assert captured.memory.pinned is not None
    assert captured.memory.pinned.is_pinned()
    assert len(captured.transfers) == 1
    assert captured.wait() >= 0.0
    write(captured, tmp_path / "state")
    found = read(tmp_path / "state", "cuda")
    assert_as_before(found, before, state)
    found["whole"][100] = 5.0
    assert found["part"][0] == 5.0
    again = capture(state, captured.memory)
    assert again.memory.buffer is captured.memory.buffer
    write(again, tmp_path / "again")
    assert_as_before(read(tmp_path / "again", "cuda"), state, state)


def test_only_where_there_is_room_does_the_device_hold_a_copy(room: str) -> None:
    state = torch.zeros(1 << 26, device="cuda")
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    captured = capture(state)
    held = torch.cuda.memory_allocated() - before
    assert held == (1 << 28 if room == "room" else 0)
    captured.wait()
    assert torch.cuda.memory_allocated() == before


def test_the_training_stream_is_the_one_that_is_current(room: str, tmp_path: Path) -> None:
    """A trainer may work in a stream of its own: the copy comes after what it has asked for there."""
    stream = torch.cuda.Stream()
    weights = torch.zeros(1 << 24, device="cuda")
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)  # cycles: some tens of milliseconds
        weights.fill_(1.0)
        captured = capture(weights)
        weights.fill_(2.0)
    write(captured, tmp_path / "state")
    assert torch.equal(read(tmp_path / "state"), torch.ones(1 << 24))


def test_a_thread_that_waits_for_a_copy_leaves_the_capture_of_a_graph_alone(room: str) -> None:
    """By default a capture forbids other threads to wait for the device, and fails where one does."""
    numbers = torch.ones(1 << 24, device="cuda")
    torch.cuda.synchronize()
    graph, found, waited = torch.cuda.CUDAGraph(), [], threading.Event()
    captured = capture(numbers)

    def wait() -> None:
        found.append(captured.wait())
        waited.set()

    with torch.cuda.graph(graph, capture_error_mode="global"):
        thread = threading.Thread(target=wait)
        thread.start()
        doubled = numbers * 2
        waited.wait(60)
    thread.join()
    graph.replay()
    assert len(found) == 1
    assert torch.equal(doubled, torch.full_like(numbers, 2.0))


def test_a_thread_that_pins_memory_leaves_the_capture_of_a_graph_alone(room: str) -> None:
    """As the writer's does after the first step, while a trainer may capture the next."""
    numbers = torch.ones(1 << 20, device="cuda")
    torch.cuda.synchronize()
    graph, made, ready = torch.cuda.CUDAGraph(), [], threading.Event()

    def make() -> None:
        made.append(allocate(Need(size_bytes=1 << 24, from_gpus=True)))
        ready.set()

    with torch.cuda.graph(graph, capture_error_mode="global"):
        thread = threading.Thread(target=make)
        thread.start()
        doubled = numbers * 2
        ready.wait(60)
    thread.join()
    graph.replay()
    assert made[0].pinned is not None
    assert torch.equal(doubled, torch.full_like(numbers, 2.0))


def test_states_larger_than_the_windows_are_loaded(tmp_path: Path) -> None:
    """Tensors that end within a window, at its end, and beyond several."""
    window = device_copy.WINDOW_BYTES
    torch.manual_seed(1)
    sizes = [window // 2, window // 2, 3 * window + 8, 8]
    state = [torch.randint(256, (size,), dtype=torch.uint8, device="cuda") for size in sizes]
    write(capture(state), tmp_path / "state")
    found = read(tmp_path / "state", "cuda")
    assert all(torch.equal(one, other) for one, other in zip(found, state, strict=True))


def test_a_device_without_room_for_a_state_says_so(tmp_path: Path) -> None:
    write(capture({"weights": torch.zeros(1 << 26, device="cuda")}), tmp_path / "state")
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (1 << 27)) / total)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            read(tmp_path / "state", "cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert read(tmp_path / "state", "cuda")["weights"].is_cuda


def test_a_digest_is_the_same_on_the_gpu_and_shows_what_torch_does_not_count() -> None:
    """A captured graph writes into a tensor without torch's counting a change."""
    torch.manual_seed(1)
    data = torch.randint(256, (2 * 8 * STRETCH + 11,), dtype=torch.uint8)
    assert device_digest(data.cuda()) == device_digest(data)
    weights = torch.zeros(1 << 20, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        weights.add_(1)
    before, version = tensor_digest(weights), weights._version
    graph.replay()
    assert weights._version == version
    assert tensor_digest(weights) != before
    weights.zero_()
    assert tensor_digest(weights) == before
