"""Ray Tune's trials that train nothing, two at a time: ``python ray_no_ops.py TRIALS FOLDER``.

Actors are reused, and no checkpoint is given. It prints one line of JSON: when each trial was completed.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import ray
from ray import tune

REPORTS = 10
SLOTS = 2


class Completed(tune.Callback):
    """Notes when trials end."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.at.append(time.time())


def train(config: dict[str, Any]) -> None:
    for _ in range(REPORTS):
        tune.report({f"m{index}": config["lr"] for index in range(10)})


def main() -> None:
    trials, folder = int(sys.argv[1]), sys.argv[2]
    ray.init(num_cpus=SLOTS, include_dashboard=False, _temp_dir=f"{folder}/ray")
    completed = Completed()
    tuner = tune.Tuner(
        train,
        param_space={"lr": tune.uniform(0.0, 1.0)},
        tune_config=tune.TuneConfig(
            metric="m0", mode="min", num_samples=trials, max_concurrent_trials=SLOTS, reuse_actors=True
        ),
        run_config=tune.RunConfig(storage_path=folder, name="no-ops", verbose=0, callbacks=[completed]),
    )
    tuner.fit()
    print(json.dumps(completed.at))


if __name__ == "__main__":
    main()
