"""What the workload noted of its epochs, whichever system trained them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Alike:
    """Epochs of one batch size, which is what decides how long one takes.

    Attributes:
        count: How many were trained.
        seconds: What they took, evaluation included, one after the other.
    """

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Epochs:
    """The epochs of a run.

    Attributes:
        count: How many were trained.
        distinct: How many differ in their history of values.
        first: When the first one began, by the wall clock.
        last: When the last one ended.
        of_batch_size: The epochs of each batch size.
        processor_seconds: What their processes used meanwhile.
        processes: How many trained.
    """

    count: int
    distinct: int
    first: float
    last: float
    of_batch_size: Mapping[int, Alike]
    processor_seconds: float
    processes: int

    @property
    def seconds(self) -> float:
        """What all took, evaluation included, one after the other."""
        return sum(each.seconds for each in self.of_batch_size.values())

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
    took: dict[int, list[float]] = defaultdict(list)
    for _, _, batch_size, began, ended, _ in lines:
        took[batch_size].append(ended - began)
    return Epochs(
        count=len(lines),
        distinct=len({prefix for prefix, *_ in lines}),
        first=min(began for _, _, _, began, _, _ in lines),
        last=max(ended for *_, ended, _ in lines),
        of_batch_size={size: Alike(len(each), sum(each)) for size, each in took.items()},
        processor_seconds=sum(used for *_, used in lines),
        processes=len(files),
    )
