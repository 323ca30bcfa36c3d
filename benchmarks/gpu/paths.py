"""Paths of the residual network, trained in this process as a runner trains them, or by a bare loop."""

from __future__ import annotations

import itertools
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.unsteered import Unsteered
from hippo_core.formulas import Table
from hippo_core.laws import Form, law
from hippo_core.program import Program
from hippo_core.sequence import Laws
from hippo_storage.manifest import FileEntry
from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.link import Trained
from hippo_worker.hosting.order import PathOrder, StageOrder, StartFrom
from hippo_worker.hosting.runtime import prepare

TRAINING = Path(__file__).resolve().parent / "training"
SEED = 7
_fences = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is trained.

    Attributes:
        channels: Of the network's first layers; 64 is the paper's.
        blocks: In each of its four groups; 2 make 18 layers.
        images: How many there are.
        batch_size: How many a step takes.
        steps: How many steps a path has.
    """

    channels: int
    blocks: int
    images: int
    batch_size: int
    steps: int

    def rate(self, step: int) -> float:
        """The learning rate: another at each step."""
        return 0.05 * (1 + cos(pi * step / self.steps))


class Notes(Unsteered):
    """Keeps where states were written, for how long each save blocked, and which failed."""

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[int, Path] = {}
        self.blocked: list[float] = []
        self.failed: list[str] = []

    def checkpoint_written(
        self,
        node: int,
        step: int,
        folder: Path,
        files: Mapping[str, FileEntry],
        blocked_seconds: float,
    ) -> None:
        """Keeps it."""
        self.written[step] = folder
        self.blocked.append(blocked_seconds)

    def save_failed(self, node: int, step: int, reason: str, full: bool) -> None:
        """Keeps why."""
        self.failed.append(reason)


def train(
    host: PathHost, size: Size, spool: Path, *, start: StartFrom | None = None, every: int | None = None
) -> tuple[Notes, float]:
    """Trains a path to its end.

    Args:
        host: Trains it; the trainer that it holds is used again where it can be.
        size: What is trained.
        spool: Where states are written: the last one, and those asked for.
        start: The state to start from; None: step 0.
        every: After how many steps a state is written; None: where the host finds it due.

    Returns:
        What was told, and the seconds from before the first step to after the evaluation of the last state.
    """
    rates = tuple(size.rate(step) for step in range(size.steps))
    laws = Laws.of({"lr": law(Table(rates), 0, Form.PLAIN)})
    options = {
        "channels": size.channels,
        "blocks": size.blocks,
        "images": size.images,
        "batch_size": size.batch_size,
    }
    program = Program(
        trainer="residual_trainer:Residual", code_digest="", seed=SEED, options=options, unit="iteration",
        evaluate_every=size.steps,
    )  # fmt: skip
    first = 0 if start is None else start.step
    order = PathOrder(
        fence=next(_fences), plan=1, program=program, program_key=program.key, code=TRAINING, setup_laws=laws,
        start=start, stages=(StageOrder(node=1, start=first, stop=size.steps, laws=laws),),
        save_points=frozenset(), checkpoint_every=every, spool=spool, data_dir=spool,
    )  # fmt: skip
    notes = Notes()
    result = host.run(order, notes)
    host.finish_saves()
    if not isinstance(result, Trained) or notes.failed:
        raise RuntimeError(f"{result} {notes.failed}")
    moments: list[float] = sys.modules["residual_trainer"].MOMENTS
    seconds = moments[-1] - moments[0]
    moments.clear()
    return notes, seconds


def train_bare(size: Size, device: str) -> float:
    """The same by a bare loop; seconds from before the first step to after the evaluation of the last state."""
    work_class = _work_class()
    prepare(device, 1, True)
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)
    work = work_class(size.channels, size.blocks, size.images, size.batch_size, device)
    _wait(device)
    began = time.perf_counter()
    for step in range(size.steps):
        work.apply(size.rate(step))
        work.step(step)
    work.evaluate()
    _wait(device)
    return time.perf_counter() - began


def _work_class() -> Any:
    if str(TRAINING) not in sys.path:
        sys.path.insert(0, str(TRAINING))
    from residual_network import Work

    return Work


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
