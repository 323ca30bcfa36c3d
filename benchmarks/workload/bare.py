"""The bare loop: ``python bare.py REPEATS STEPS`` prints the seconds that training and evaluating took."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from trainer import Work


def main() -> None:
    repeats, steps = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    work = Work(repeats)
    notes = Path(sys.argv[3])
    started = time.time()
    for _ in range(steps):
        work.step(0.1)
        work.evaluate()
        notes.write_text(json.dumps({"started": started, "ended": time.time()}))
    print(json.dumps({"seconds": time.time() - started}))


if __name__ == "__main__":
    main()
