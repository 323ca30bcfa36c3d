"""Optuna's trials that train nothing, on a PostgreSQL storage. It prints one line of JSON.

``python optuna_no_ops.py rate PROCESSES SECONDS``: so many processes of one study complete what they can, from when all
are there; printed is when each trial was completed, but for the first quarter of the time. Points are drawn at random,
which costs the least.

``python optuna_no_ops.py growth TRIALS``: a study that holds so many completed trials of ten reports is opened by a new
process; printed are the seconds of opening it, and of what it asks and tells then.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import optuna

NAME = "no-ops"
REPORTS = 10
ASKED = 200
ASKED_TPE = 30
FILLING = """
INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete)
    SELECT number, {study}, 'COMPLETE', now(), now() FROM generate_series(0, {trials} - 1) AS number;
INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
    SELECT trial_id, 'lr', random(), '{distribution}' FROM trials;
INSERT INTO trial_values (trial_id, objective, value, value_type)
    SELECT trial_id, 0, random(), 'FINITE' FROM trials;
INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
    SELECT trial_id, step, random(), 'FINITE' FROM trials, generate_series(1, {reports}) AS step;
ANALYZE;
"""


def objective(trial: optuna.Trial) -> float:
    value = trial.suggest_float("lr", 0.0, 1.0)
    for step in range(REPORTS):
        trial.report(value, step + 1)
    return value


def work(seconds: float) -> None:
    """One of the processes."""
    study = optuna.load_study(
        study_name=NAME, storage=os.environ["PEERS_DATABASE"], sampler=optuna.samplers.RandomSampler()
    )
    print("ready", flush=True)
    sys.stdin.readline()
    completed: list[float] = []
    study.optimize(objective, timeout=seconds, callbacks=[lambda *_: completed.append(time.time())])
    print(json.dumps(completed))


def rate(count: int, seconds: float) -> list[float]:
    optuna.create_study(study_name=NAME, storage=os.environ["PEERS_DATABASE"])
    command = [sys.executable, __file__, "work", str(seconds)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    began = time.time()
    found = sorted(at for process in processes for at in json.loads(process.communicate()[0]))
    return [at for at in found if seconds / 4 <= at - began <= seconds]


def fill(trials: int) -> None:
    import psycopg2

    study = optuna.create_study(study_name=NAME, storage=os.environ["PEERS_DATABASE"])
    distribution = optuna.distributions.distribution_to_json(optuna.distributions.FloatDistribution(0.0, 1.0))
    statements = FILLING.format(
        study=study._study_id, trials=trials, distribution=distribution, reports=REPORTS
    )
    address = os.environ["PEERS_DATABASE"].replace("+psycopg2", "")
    connection = psycopg2.connect(address)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statements)
    connection.close()


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def look() -> None:
    """The new process."""
    began = time.perf_counter()
    study = optuna.load_study(
        study_name=NAME, storage=os.environ["PEERS_DATABASE"], sampler=optuna.samplers.RandomSampler()
    )
    study.ask().suggest_float("lr", 0.0, 1.0)
    found: dict[str, list[float]] = {"first ask": [time.perf_counter() - began]}
    found |= {"ask": [], "report": [], "tell": [], "ask, TPE": []}
    for _ in range(ASKED):
        began = time.perf_counter()
        trial = study.ask()
        trial.suggest_float("lr", 0.0, 1.0)
        found["ask"].append(time.perf_counter() - began)
        for step in range(REPORTS):
            found["report"].append(timed(lambda trial=trial, step=step: trial.report(0.5, step + 1)))
        found["tell"].append(timed(lambda trial=trial: study.tell(trial, 0.5)))
    study.sampler = optuna.samplers.TPESampler(seed=0)
    for _ in range(ASKED_TPE):
        began = time.perf_counter()
        trial = study.ask()
        trial.suggest_float("lr", 0.0, 1.0)
        found["ask, TPE"].append(time.perf_counter() - began)
        study.tell(trial, 0.5)
    print(json.dumps(found))


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    match sys.argv[1:]:
        case ["work", seconds]:
            work(float(seconds))
        case ["rate", count, seconds]:
            print(json.dumps(rate(int(count), float(seconds))))
        case ["growth", trials]:
            fill(int(trials))
            subprocess.run([sys.executable, __file__, "look"], check=True)
        case ["look"]:
            look()


if __name__ == "__main__":
    main()
