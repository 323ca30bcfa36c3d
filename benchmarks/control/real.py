"""A real worker with real runners on a server, and what a trial costs each of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from benchmarks.control.serving import Served, Usage, family_seconds
from benchmarks.control.specs import study

POLL_SECONDS = 1.0
START_SECONDS = 120.0
WARM_TRIALS_A_SLOT = 3


@dataclass(frozen=True, slots=True)
class Ran:
    """What a worker did while it was looked at.

    Attributes:
        trials: That completed.
        seconds: In which they did.
        shares: Microseconds of processor time a trial, by process.
    """

    trials: int
    seconds: float
    shares: dict[str, float]


@contextlib.contextmanager
def worker(served: Served, slots: int) -> Iterator[int]:
    """A worker of so many slots; gives its process id."""
    data = served.folder / f"worker-{slots}"
    line = [sys.executable, "-m", "hippo_worker.main", "--server", served.address, "--slots", str(slots)]
    line += ["--token-file", str(served.worker_token_file), "--data-dir", str(data), "--drain-seconds", "2"]
    with (served.folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            line, stdout=log, stderr=log, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        )
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(data, ignore_errors=True)


def run(served: Served, name: str, slots: int, seconds: float) -> Ran:
    """Trains no-op trials on a new worker for some seconds, after its runners are warm."""
    trials = 200 + int(2500 * seconds)
    served.submit(study(name, served.bundle, trials, 10))
    with served.connect() as connection, worker(served, slots) as daemon:
        end = time.monotonic() + START_SECONDS
        while served.completed(connection, name) < WARM_TRIALS_A_SLOT * slots:
            if time.monotonic() > end:
                raise RuntimeError(f"the worker does not begin: {(served.folder / 'worker.log').read_text()}")
            time.sleep(POLL_SECONDS)
        first, before, ours, began = (
            served.completed(connection, name),
            served.usage(),
            _worker_seconds(daemon),
            time.perf_counter(),
        )
        time.sleep(seconds)
        after, theirs, took = served.usage(), _worker_seconds(daemon), time.perf_counter() - began
        done = served.completed(connection, name) - first
    served.stop(name)  # else the next one's worker would train its trials, too
    return Ran(done, took, _shares(before, after, ours, theirs, max(1, done)))


def _worker_seconds(daemon: int) -> tuple[float, float]:
    """Processor seconds of the daemon itself, and of its runners."""
    times = psutil.Process(daemon).cpu_times()
    own = times.user + times.system
    return own, family_seconds(daemon) - own


def _shares(
    before: Usage, after: Usage, ours: tuple[float, float], theirs: tuple[float, float], trials: int
) -> dict[str, float]:
    spent = {
        "server": after.server - before.server,
        "PostgreSQL": after.postgres - before.postgres,
        "daemon": theirs[0] - ours[0],
        "runners": theirs[1] - ours[1],
    }
    return {name: 1e6 * seconds / trials for name, seconds in spent.items()}
