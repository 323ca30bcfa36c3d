"""How large the subject is: as it is meant, and so small that the processor shows in seconds that it runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.gpu import overhead, resuming, states
from benchmarks.gpu.paths import Size


@dataclass(frozen=True, slots=True)
class Scale:
    """What is measured.

    Attributes:
        paths: Trained by Hippo and by bare loops, in turn.
        megabytes: Sizes of states.
        rounds: How often each is measured.
    """

    paths: tuple[Size, ...]
    megabytes: tuple[int, ...]
    rounds: int


RESNET18 = Size(channels=64, blocks=2, images=4096, batch_size=128, steps=120)
FULL = Scale(
    (RESNET18, replace(RESNET18, batch_size=1024, steps=50)),
    (100, 500, 2000),
    rounds=3,
)
TINY = Scale((Size(channels=2, blocks=1, images=16, batch_size=4, steps=4),), (1,), rounds=1)


def measure_at(scale: Scale, device: str) -> Iterator[Figure]:
    """All figures.

    Args:
        scale: What is measured.
        device: "cuda" or "cpu".
    """
    with tempfile.TemporaryDirectory(prefix="hippo-bench-") as folder:
        for number, size in enumerate(scale.paths):
            yield from overhead.measure(size, scale.rounds, device, Path(folder) / f"overhead-{number}")
        yield from resuming.measure(scale.paths[0], device, Path(folder) / "resuming")
        for megabytes in scale.megabytes:
            yield from states.measure(megabytes, scale.rounds, device, Path(folder) / f"states-{megabytes}")
