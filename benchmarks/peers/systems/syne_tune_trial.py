"""A trial of Syne Tune's, as a process of its own."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import torch
import workload
from syne_tune import Reporter
from syne_tune.constants import ST_CHECKPOINT_DIR


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--point", type=int, required=True)
    parser.add_argument(f"--{ST_CHECKPOINT_DIR}", type=Path, required=True)
    arguments, _ = parser.parse_known_args()
    folder: Path = getattr(arguments, ST_CHECKPOINT_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "state.pt"
    point = workload.points()[arguments.point]
    training, report = workload.Training(), Reporter()
    if state.exists():
        training.load_state_dict(torch.load(state))
    for epoch in range(len(training.history), workload.EPOCHS):
        training.train(point.values(epoch))
        loss = training.evaluate()
        torch.save(training.state_dict(), state)
        report(epoch=epoch + 1, loss=loss)


if __name__ == "__main__":
    main()
