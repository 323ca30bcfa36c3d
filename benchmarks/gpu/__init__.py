"""On a GPU: what Hippo adds to real steps, what a state costs, and whether a resumed path has the same bits.

``python -m benchmarks gpu`` measures it where torch sees a GPU. On a machine that is lent for minutes ``sh
benchmarks/gpu/everything.sh`` runs the tests that need a GPU and this subject in one go; its top says what it needs.
``python -m benchmarks.gpu`` measures without the frame of the other subjects; with ``--tiny`` on the processor, in
seconds, to see that it runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figures import Figure

SKIPPED = "skipped: no CUDA device"


def measure() -> Iterator[Figure]:
    """All figures; none where torch sees no GPU, which is said."""
    import torch

    from benchmarks.gpu.scales import FULL, measure_at

    if not torch.cuda.is_available():
        print(f"  {SKIPPED}", flush=True)
        return
    yield from measure_at(FULL, "cuda")
