"""Saving and loading: what training waits for, against a bare copy, and what makes a state durable, against ``dd``.

All sizes are those of one tensor of single precision; the storage is a folder of the disk that temporary files lie on.
What is compared is measured in turn.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.figures import Figure
from hippo_storage.host_memory import allocate
from hippo_storage.local import LocalStorage
from hippo_storage.manifest import CheckpointLocation
from hippo_storage.state import Captured, capture, need_of, read, write
from hippo_storage.storage import Spooled

ROUNDS = 5
MEGABYTE = 1 << 20
SIZES = (1, 100, 500)
MANY = 40  #: states of 1 MB that are saved one after the other


def measure() -> Iterator[Figure]:
    """Seconds that a save blocks, durable writes, and loads."""
    torch.set_num_threads(1)
    for size in SIZES:
        with _folder() as folder:
            yield from of_size(folder, size)
    with _folder() as folder:
        yield from many(folder)


def of_size(folder: Path, megabytes: int) -> Iterator[Figure]:
    """One state of so many MB."""
    state = {"weights": torch.randn(megabytes * MEGABYTE // 4)}
    plain = torch.zeros_like(state["weights"])
    source = folder / "source"
    source.write_bytes(state["weights"].numpy().tobytes())
    storage = LocalStorage(folder / "storage")
    memory = allocate(
        need_of(state)
    )  # as a runner does beside training, once it is known how much a state takes
    blocks, saves, dds, ratios, loads = [], [], [], [], []
    for turn in range(ROUNDS):
        copy = _seconds(partial(plain.copy_, state["weights"]))
        blocks.append(_seconds(partial(capture, state, memory)) / copy)
        dds.append(_seconds(partial(_dd, source, folder / f"dd-{turn}")))
        captured = capture(state, memory)
        saves.append(_seconds(partial(_save_all, storage, folder, captured, [turn])))
        ratios.append(saves[-1] / dds[-1])
        fetched = folder / f"fetched-{turn}"
        loads.append(_seconds(partial(_load, storage, turn, fetched, plain)))
        for path in (folder / f"dd-{turn}", fetched):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    size = f"{megabytes} MB"
    yield Figure(f"{size}, training waits", tuple(blocks), "x copy into a buffer", 1.25)
    note = "written, hashed with blake3, published and durable"
    yield Figure(f"{size}, durable", tuple(saves), "s", note=note)
    yield Figure(f"{size}, dd with fsync", tuple(dds), "s")
    yield Figure(f"{size}, durable against dd", tuple(ratios), "x dd with fsync", 2.0)
    yield Figure(f"{size}, load", tuple(loads), "s", note="fetched, hashed, read and copied into a tensor")


def many(folder: Path) -> Iterator[Figure]:
    """Many small states, one after the other, as slots of one worker bring them."""
    state = {"weights": torch.randn(MEGABYTE // 4)}
    storage = LocalStorage(folder / "storage")
    captured = capture(state)
    source = folder / "source"
    source.write_bytes(state["weights"].numpy().tobytes())
    saves, dds = [], []
    for turn in range(ROUNDS):
        targets = [folder / f"dd-{turn}-{number}" for number in range(MANY)]
        steps = range(1000 * (turn + 1), 1000 * (turn + 1) + MANY)
        dds.append(_seconds(partial(_dd, source, *targets)))
        saves.append(_seconds(partial(_save_all, storage, folder, captured, steps)))
    note = "written one after the other, published together"
    yield Figure(f"{MANY} of 1 MB, durable", tuple(saves), "s", note=note)
    yield Figure(f"{MANY} of 1 MB, dd with fsync", tuple(dds), "s")
    ratios = tuple(one / other for one, other in zip(saves, dds, strict=True))
    yield Figure(f"{MANY} of 1 MB, durable against dd", ratios, "x dd with fsync", 2.0)


def _save_all(storage: LocalStorage, folder: Path, captured: Captured, steps: Iterable[int]) -> None:
    states = []
    for step in steps:
        spool = folder / f"spool-{step}"
        states.append(Spooled(folder=spool, location=_place(step), files=write(captured, spool)))
    for outcome in storage.publish_all(states):
        if isinstance(outcome, Exception):
            raise outcome


def _load(storage: LocalStorage, step: int, into: Path, target: torch.Tensor) -> None:
    storage.fetch(_place(step), into)
    state: dict[str, Any] = read(into)
    target.copy_(state["weights"])


def _place(step: int) -> CheckpointLocation:
    return CheckpointLocation(plan=1, node=1, step=step, fence=1)


def _dd(source: Path, *targets: Path) -> None:
    for target in targets:
        subprocess.run(
            ["dd", f"if={source}", f"of={target}", "bs=1M", "conv=fsync", "status=none"], check=True
        )


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hippo-bench-") as folder:
        yield Path(folder)
