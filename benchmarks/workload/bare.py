"""The bare loop: ``python bare.py REPEATS STEPS DEVICE NOTES.json`` trains and evaluates, and notes when."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products on a GPU

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from trainer import Work, now


def main() -> None:
    repeats, steps = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    work = Work(repeats, sys.argv[3])
    notes = Path(sys.argv[4])
    started = now()
    for _ in range(steps):
        work.step(0.1)
        work.evaluate()
        notes.write_text(json.dumps({"started": started, "ended": now()}))


if __name__ == "__main__":
    main()
