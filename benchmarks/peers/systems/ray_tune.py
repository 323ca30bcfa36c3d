"""Ray Tune: a function that reports each epoch with a checkpoint, and ``ASHAScheduler``.

``python ray_tune.py PART FOLDER``. ASHAScheduler stops trials, and resumes none; its documentation's examples report a
checkpoint with each result all the same, which is what a trial goes on from after a failure. Actors are reused, as the
documentation says of trials that start and stop often.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import ray
import torch
import workload
from ray import tune
from ray.tune.schedulers import ASHAScheduler


def train(config: dict[str, Any]) -> None:
    point = workload.points()[config["point"]]
    training = workload.Training()
    checkpoint = tune.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as folder:
            training.load_state_dict(torch.load(Path(folder) / "state.pt"))
    for epoch in range(len(training.history), workload.EPOCHS):
        training.train(point.values(epoch))
        loss = training.evaluate()
        with tempfile.TemporaryDirectory() as folder:
            torch.save(training.state_dict(), Path(folder) / "state.pt")
            tune.report({"loss": loss}, checkpoint=tune.Checkpoint.from_directory(folder))


def main() -> None:
    part, folder = sys.argv[1:]
    print(f"versions: Ray {ray.__version__}")
    ray.init(num_cpus=workload.SLOTS, include_dashboard=False, _temp_dir=f"{folder}/ray")
    scheduler = ASHAScheduler(
        max_t=workload.EPOCHS,
        grace_period=workload.FIRST_RUNG,
        reduction_factor=workload.REDUCTION_FACTOR,
    )
    tuner = tune.Tuner(
        train,
        param_space={"point": tune.grid_search(list(range(len(workload.points()))))},
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            scheduler=scheduler if part == "asha" else None,
            max_concurrent_trials=workload.SLOTS,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=folder, name=part, verbose=0),
    )
    results = tuner.fit()
    print(f"best: {results.get_best_result().metrics['loss']:.4f}")
    sys.exit(bool(results.errors))


if __name__ == "__main__":
    main()
