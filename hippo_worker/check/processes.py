"""Processes for experiments: forks of zygotes, which differ in the hashes of text and in addresses in memory."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

from hippo_worker.check.experiment import Experiment, Result

Job = Callable[[], Result]


class ExperimentDied(Exception):
    """The process of an experiment ended without a result."""


class Zygote:
    """The near side of one `hippo_worker.check.zygote`; started at its first use, if not before.

    Args:
        hash_seed: What the hashes of text depend on in its forks.
        addresses: What the order of addresses in memory depends on in its forks.
        variables: The study's environment variables.
    """

    def __init__(self, hash_seed: int, addresses: int, variables: Mapping[str, str]) -> None:
        self._hash_seed = hash_seed
        self._addresses = addresses
        self._variables = variables
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, so that it is ready the sooner; does not wait for that."""
        with self._lock:
            self._started()

    def carry_out(self, experiment: Experiment, answer: Path) -> Result:
        """Carries an experiment out in a fork; may be called from several threads.

        Args:
            experiment: What to do.
            answer: A file for the result.

        Raises:
            ExperimentDied: The fork ended without one.
        """
        request = answer.with_suffix(".request")
        request.write_text(json.dumps(experiment.to_json()))
        read, write = os.pipe()
        with os.fdopen(read) as ended:
            try:
                self._ask(f"{request}\n{answer}", write)
            finally:
                os.close(write)
            status = ended.read()
        return _result(answer, status)

    def close(self) -> None:
        """Lets it go."""
        if self._channel is not None and self._process is not None:
            self._channel.close()
            self._process.wait()

    def _ask(self, message: str, pipe: int) -> None:
        with self._lock:
            channel = self._started()
            socket.send_fds(channel, [message.encode()], [pipe])
            if not channel.recv(1):
                raise ExperimentDied("the process that experiments are forked from has ended")

    def _started(self) -> socket.socket:
        if self._channel is None:
            near, far = socket.socketpair()
            with far:
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-P", "-m", "hippo_worker.check.zygote"),
                        *(str(far.fileno()), str(self._addresses)),
                    ],
                    env={**os.environ, **self._variables, "PYTHONHASHSEED": str(self._hash_seed)},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(far.fileno(),),
                )
            self._channel = near
        return self._channel


class Zygotes:
    """Zygotes by hash seed and addresses, for as long as they are of use.

    Args:
        variables: The study's environment variables, for libraries that read them when they are loaded.
    """

    def __init__(self, variables: Mapping[str, str] = MappingProxyType({})) -> None:
        self._variables = variables
        self._lock = threading.Lock()
        self._started: dict[tuple[int, int], Zygote] = {}

    def get(self, hash_seed: int = 0, addresses: int = 0) -> Zygote:
        """The zygote with such hashes and addresses."""
        with self._lock:
            return self._started.setdefault(
                (hash_seed, addresses), Zygote(hash_seed, addresses, self._variables)
            )

    def close(self) -> None:
        """Lets all go."""
        for zygote in self._started.values():
            zygote.close()


def together(jobs: Sequence[Job], at_once: int) -> list[Result]:
    """Does several experiments, some at a time; results in the order of the jobs."""
    with ThreadPoolExecutor(max_workers=max(1, at_once)) as pool:
        return list(pool.map(lambda job: job(), jobs))


def _result(answer: Path, status: str) -> Result:
    if answer.exists():
        return Result.from_json(json.loads(answer.read_text()))
    how = f"exit status {status}"
    if status.startswith("-"):
        how = signal.Signals(-int(status)).name
    raise ExperimentDied(
        f"the trainer's process ended by {how}" if status else "the trainer's process was killed"
    )
