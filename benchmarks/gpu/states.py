"""What a state of a given size costs: while it is copied from the device, written, and loaded again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.figures import Figure
from hippo_storage.state import capture, read, write

MEGABYTE = 1 << 20
TENSORS = 25  #: that a state is made of


def measure(megabytes: int, rounds: int, device: str, folder: Path) -> Iterator[Figure]:
    """One size, where the device has room for a second copy of the state and where it has none."""
    size = f"{megabytes} MB"
    count = megabytes * MEGABYTE // 4 // TENSORS
    state = {str(number): torch.randn(count, device=device) for number in range(TENSORS)}
    folder.mkdir()
    captured = capture(state)
    captured.wait()
    for words in ("", ", no room for a copy on the device") if device == "cuda" else ("",):
        host, held, there = [], [], []
        for _ in range(rounds):
            _wait(device)
            with _room(not words):
                began = time.perf_counter()
                captured = capture(state, captured.memory)
                host.append(1e3 * (time.perf_counter() - began))
            held.append(1e3 * captured.wait())
            there.append(1e3 * (time.perf_counter() - began))
        yield Figure(f"{size}, training's thread waits{words}", tuple(host), "ms")
        if device == "cuda":
            yield Figure(
                f"{size}, the device is kept{words}", tuple(held), "ms", note="from training, by the copy"
            )
            yield Figure(f"{size}, in host memory{words}", tuple(there), "ms", note="after so long")
    written, loaded, copied = [], [], []
    for turn in range(rounds):
        began = time.perf_counter()
        write(captured, folder / str(turn))
        written.append(time.perf_counter() - began)
        began = time.perf_counter()
        found = read(folder / str(turn), device)
        _wait(device)
        loaded.append(time.perf_counter() - began)
        for name, tensor in state.items():
            tensor.copy_(found[name])
        _wait(device)
        copied.append(time.perf_counter() - began)
        del found
        shutil.rmtree(folder / str(turn))
    yield Figure(f"{size}, written", tuple(written), "s", note="and hashed with blake3, not yet durable")
    yield Figure(f"{size}, read to the device", tuple(loaded), "s", note="from files that are in memory")
    yield Figure(f"{size}, loaded", tuple(copied), "s", note="read, and copied into the trainer's tensors")


@contextmanager
def _room(there_is: bool) -> Iterator[None]:
    """Lets this process have no more of the device than it has, for a while."""
    if there_is:
        yield
        return
    _, total = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved() / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
