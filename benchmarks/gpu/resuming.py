"""Whether a path that was cut ends in the same bits: by a warm trainer, and by a new one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.figures import Figure
from benchmarks.gpu.paths import Size, train
from hippo_storage.state import read
from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.order import StartFrom


def measure(size: Size, device: str, spool: Path) -> Iterator[Figure]:
    """How many tensors of the last state differ; deterministic algorithms are on."""
    half = size.steps // 2
    host = PathHost(device, 1)
    straight, _ = train(host, size, spool / "straight", every=half)
    start = StartFrom(node=1, step=half, fence=1, folder=straight.written[half])
    warm, _ = train(host, size, spool / "warm", start=start)
    host.close()
    fresh_host = PathHost(device, 1)
    fresh, _ = train(fresh_host, size, spool / "fresh", start=start)
    fresh_host.close()
    expected = tensors(read(straight.written[size.steps]))
    for name, notes in (("a warm trainer", warm), ("a new trainer", fresh)):
        found = tensors(read(notes.written[size.steps]))
        yield Figure(
            f"resumed by {name}", (float(differing(expected, found)),), "tensors of other bits", 0.0,
            note=f"of {len(expected)}, {size.steps - half} steps after the state that was loaded",
        )  # fmt: skip


def tensors(state: Any, path: str = "") -> dict[str, torch.Tensor]:
    """All tensors in a state, by path."""
    if isinstance(state, torch.Tensor):
        return {path: state}
    items: Any = ()
    if isinstance(state, dict):
        items = state.items()
    elif isinstance(state, (list, tuple)):
        items = enumerate(state)
    found: dict[str, torch.Tensor] = {}
    for key, value in items:
        found |= tensors(value, f"{path}/{key}")
    return found


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> int:
    """How many differ by type, shape or bits, or are there once."""
    return sum(
        path not in one or path not in other or not _same(one[path], other[path])
        for path in one.keys() | other.keys()
    )


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(*(each.contiguous().reshape(-1).view(torch.uint8) for each in (one, other)))
