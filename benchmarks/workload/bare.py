"""The bare loop: ``python bare.py REPEATS STEPS EVERY CHANGES DEVICE NOTES.json``.

It trains, evaluates after every so many steps, and notes when. With changes (1, else 0) the learning rate follows half
a cosine wave, which it works out before each step.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products on a GPU

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from trainer import Work, note, now


def main() -> None:
    repeats, steps, every, changes = (int(each) for each in sys.argv[1:5])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    work = Work(repeats, sys.argv[5])
    notes = Path(sys.argv[6])
    lr = 0.1
    started = now()
    for step in range(steps):
        if changes:
            lr = 0.1 * (1 + math.cos(math.pi * step / steps)) / 2
        work.step(lr)
        if (step + 1) % every == 0:
            work.evaluate()
            note(notes, started, work)


if __name__ == "__main__":
    main()
