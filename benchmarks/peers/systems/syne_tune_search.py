"""Syne Tune with its LocalBackend, and its ASHA, which stops trials and resumes none.

``python syne_tune_search.py PART FOLDER``. A trial is a process of its own, as this backend has it; its script saves a
checkpoint after each epoch, and begins from the one that it finds, as the documentation has it. The tuner looks for
results ten times a second, in place of every five seconds: with its default, trials of seconds would mostly wait.
"""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from pathlib import Path

import workload
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import randint
from syne_tune.optimizer.baselines import ASHA, RandomSearch

SLEEP_SECONDS = 0.1


def main() -> None:
    part, folder = sys.argv[1:]
    print(f"versions: Syne Tune {version('syne-tune')}")
    logging.getLogger().setLevel(logging.WARNING)
    count = len(workload.points())
    space = {"point": randint(0, count - 1)}
    given = [{"point": number} for number in range(count)]
    if part == "asha":
        scheduler = ASHA(
            space,
            metric="loss",
            time_attr="epoch",
            max_t=workload.EPOCHS,
            grace_period=workload.FIRST_RUNG,
            reduction_factor=workload.REDUCTION_FACTOR,
            do_minimize=True,
            random_seed=0,
            points_to_evaluate=given,
        )
    else:
        scheduler = RandomSearch(space, metrics=["loss"], random_seed=0, points_to_evaluate=given)
    tuner = Tuner(
        trial_backend=LocalBackend(entry_point=str(Path(__file__).with_name("syne_tune_trial.py"))),
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_started=count - 1),  # it is met beyond that number
        n_workers=workload.SLOTS,
        sleep_time=SLEEP_SECONDS,
        wait_trial_completion_when_stopping=True,
        tuner_name=part,
        trial_backend_path=folder,
    )
    tuner.run()


if __name__ == "__main__":
    main()
