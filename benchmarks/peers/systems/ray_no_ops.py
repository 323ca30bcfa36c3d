"""Ray Tune's trials that train nothing: ``python ray_no_ops.py SLOTS TRIALS SECONDS FOLDER``, so many at a time.

Actors are reused, and no checkpoint is given. After so many trials, or so many seconds, it prints one line of JSON:
when each trial was completed; and of each trial, in the order of their beginnings, which process trained it, when it
began and ended there, and the seconds that each of its reports took.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune

REPORTS = 10


class Completed(tune.Callback):
    """Notes when trials end."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.at.append(time.time())


def train(config: dict[str, Any]) -> None:
    began = time.time()
    reports = []
    for _ in range(REPORTS):
        before = time.perf_counter()
        tune.report({f"m{index}": config["lr"] for index in range(10)})
        reports.append(time.perf_counter() - before)
    with (Path(config["notes"]) / f"{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps([os.getpid(), began, time.time(), reports]) + "\n")


def main() -> None:
    slots, trials, seconds, folder = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    ray.init(num_cpus=slots, include_dashboard=False, _temp_dir=f"{folder}/ray")
    completed = Completed()
    notes = Path(folder) / "notes"
    notes.mkdir()
    tuner = tune.Tuner(
        train,
        param_space={"lr": tune.uniform(0.0, 1.0), "notes": str(notes)},
        tune_config=tune.TuneConfig(
            metric="m0",
            mode="min",
            num_samples=trials,
            max_concurrent_trials=slots,
            reuse_actors=True,
            time_budget_s=seconds if seconds < float("inf") else None,
        ),
        run_config=tune.RunConfig(storage_path=folder, name="no-ops", verbose=0, callbacks=[completed]),
    )
    tuner.fit()
    noted = [json.loads(line) for file in notes.iterdir() for line in file.read_text().splitlines()]
    print(json.dumps({"completed": completed.at, "trials": sorted(noted, key=lambda each: each[1])}))


if __name__ == "__main__":
    main()
