"""What the workload noted of its epochs, whichever system trained them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Epochs:
    """The epochs of a run.

    Attributes:
        count: How many were trained.
        distinct: How many differ in their history of values.
        first: When the first one began, by the wall clock.
        last: When the last one ended.
        seconds: What they took, evaluation included, one after the other.
        processor_seconds: What their processes used meanwhile.
        processes: How many trained.
    """

    count: int
    distinct: int
    first: float
    last: float
    seconds: float
    processor_seconds: float
    processes: int

    def idle_seconds(self, slots: int) -> float:
        """Of all slots together, between the first and the last epoch: when none was trained."""
        return slots * (self.last - self.first) - self.seconds


def read(folder: Path) -> Epochs:
    """Reads the notes of a run.

    Raises:
        ValueError: Nothing was trained.
    """
    files = sorted(folder.glob("*.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    if not lines:
        raise ValueError(f"no epoch is noted in {folder}")
    return Epochs(
        count=len(lines),
        distinct=len({prefix for prefix, *_ in lines}),
        first=min(began for _, _, began, _, _ in lines),
        last=max(ended for _, _, _, ended, _ in lines),
        seconds=sum(ended - began for _, _, began, ended, _ in lines),
        processor_seconds=sum(used for *_, used in lines),
        processes=len(files),
    )
