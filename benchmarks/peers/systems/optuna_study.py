"""Optuna with a PostgreSQL storage: two processes of one study, as its documentation has it for several processes.

``python optuna_study.py PART FOLDER``. All points are enqueued at the beginning; in the ASHA, trials end where
``SuccessiveHalvingPruner`` prunes them. Nothing is resumed, so nothing is saved.
"""

from __future__ import annotations

import os
import subprocess
import sys

NAME = "digits"


def work() -> None:
    """One of the two processes."""
    import optuna
    import workload

    points = workload.points()

    def objective(trial: optuna.Trial) -> float:
        number = trial.suggest_int("point", 0, len(points) - 1)
        if trial.number >= len(points):  # what is asked for when the queue is empty
            trial.study.stop()
            raise optuna.TrialPruned
        training = workload.Training()
        loss = 0.0
        for epoch in range(workload.EPOCHS):
            training.train(points[number].values(epoch))
            loss = training.evaluate()
            trial.report(loss, epoch + 1)
            if trial.should_prune():
                raise optuna.TrialPruned
        return loss

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(
        study_name=NAME, storage=os.environ["PEERS_DATABASE"], pruner=pruner(sys.argv[1])
    )
    study.optimize(objective)


def pruner(part: str) -> object:
    import optuna
    import workload

    if part == "grid":
        return optuna.pruners.NopPruner()
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=workload.FIRST_RUNG, reduction_factor=workload.REDUCTION_FACTOR
    )


def main() -> None:
    import optuna
    import workload

    print(f"versions: Optuna {optuna.__version__}")
    study = optuna.create_study(study_name=NAME, storage=os.environ["PEERS_DATABASE"], direction="minimize")
    for number in range(len(workload.points())):
        study.enqueue_trial({"point": number})
    command = [sys.executable, __file__, *sys.argv[1:], "work"]
    processes = [subprocess.Popen(command) for _ in range(workload.SLOTS)]
    codes = [process.wait() for process in processes]
    print(f"best: {study.best_value:.4f}")
    sys.exit(any(codes))


if __name__ == "__main__":
    work() if sys.argv[-1] == "work" else main()
