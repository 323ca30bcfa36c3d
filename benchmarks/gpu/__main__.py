"""``python -m benchmarks.gpu [--tiny]``: the figures as lines, without the frame of the other subjects."""

from __future__ import annotations

import sys

import torch

from benchmarks.gpu import SKIPPED
from benchmarks.gpu.scales import FULL, TINY, measure_at

tiny = sys.argv[1:] == ["--tiny"]
if not tiny and not torch.cuda.is_available():
    sys.exit(SKIPPED)
if not tiny:
    print(torch.cuda.get_device_name(), "torch", torch.__version__)
for figure in measure_at(TINY if tiny else FULL, "cpu" if tiny else "cuda"):
    values = " ".join(f"{value:.4g}" for value in figure.values)
    aim = "" if figure.aim is None else f"  (aim {figure.aim:g})"
    print(f"{figure.name}: {figure.median:.4g} {figure.unit}{aim}  [{values}]", flush=True)
