"""Two processes that train one point after the other, with nothing beside them: ``python bare_loop.py grid FOLDER``."""

from __future__ import annotations

import sys
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized

import workload


def train(taken: Synchronized[int]) -> None:
    """Takes points until none is left."""
    points = workload.points()
    while True:
        with taken.get_lock():
            number = taken.value
            taken.value += 1
        if number >= len(points):
            return
        training = workload.Training()
        for epoch in range(workload.EPOCHS):
            training.train(points[number].values(epoch))
            training.evaluate()


def main() -> None:
    print(f"versions: torch {version('torch')}, scikit-learn {version('scikit-learn')}")
    context = get_context("spawn")
    taken = context.Value("i", 0)
    processes = [context.Process(target=train, args=(taken,)) for _ in range(workload.SLOTS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(any(process.exitcode for process in processes))


if __name__ == "__main__":
    main()
