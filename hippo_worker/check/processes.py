"""Processes for experiments: forked from one that has only imported torch, or interpreters of their own."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from pathlib import Path

from hippo_worker.check.experiment import Experiment, Result, carry_out

PRELOADED = "hippo_worker.hosting.preload"
MODULE = "hippo_worker.check.experiment"
Job = Callable[[], Result]

_starting = threading.Lock()


class ExperimentDied(Exception):
    """The process of an experiment ended without a result."""


def forked(experiment: Experiment, answer: Path) -> Result:
    """Carries an experiment out in a fork of a process that has imported torch and done nothing with it."""
    context = multiprocessing.get_context("forkserver")
    with _starting:
        # Equal hashes of text in all of them, whatever the caller's are: what depends on them is tried on its own.
        with _environment("PYTHONHASHSEED", "0"):
            context.set_forkserver_preload([PRELOADED, MODULE])
            forkserver.ensure_running()
        process = context.Process(target=carry_out, args=(experiment.to_json(), str(answer)))
        process.start()
    process.join()
    return _result(answer, process.exitcode or 0)


def interpreted(experiment: Experiment, answer: Path, hash_seed: int = 0) -> Result:
    """Carries an experiment out in an interpreter of its own, with its own addresses in memory.

    Args:
        experiment: What to do.
        answer: A file for the result.
        hash_seed: What the hashes of text depend on.
    """
    request = answer.with_suffix(".request")
    request.write_text(json.dumps(experiment.to_json()))
    done = subprocess.run(
        [sys.executable, "-m", MODULE, str(request), str(answer)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return _result(answer, done.returncode)


def together(jobs: Sequence[Job], at_once: int) -> list[Result]:
    """Does several experiments, some at a time; results in the order of the jobs."""
    with ThreadPoolExecutor(max_workers=max(1, at_once)) as pool:
        return list(pool.map(lambda job: job(), jobs))


def _result(answer: Path, status: int) -> Result:
    if not answer.exists():
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        raise ExperimentDied(f"the trainer's process ended by {how}")
    return Result.from_json(json.loads(answer.read_text()))


class _environment:  # noqa: N801  reads as the statement that it is
    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def __enter__(self) -> None:
        self._before = os.environ.get(self._name)
        os.environ[self._name] = self._value

    def __exit__(self, *error: object) -> None:
        if self._before is None:
            del os.environ[self._name]
        else:
            os.environ[self._name] = self._before
