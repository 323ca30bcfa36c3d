"""What is paid before anything is done: the command's help, and a server that has nothing to do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.core.apart import proportional_bytes
from benchmarks.figures import Figure
from benchmarks.processes import HIPPO

ROUNDS = 20
HELP_SECONDS = 0.15
IDLE_MIB = 150.0


def measure() -> Iterator[Figure]:
    """Whole processes, in turn with one that does nothing."""
    for_help, for_nothing = [], []
    for _ in range(ROUNDS):
        for_help.append(_seconds([*HIPPO, "--help"]))
        for_nothing.append(_seconds([sys.executable, "-c", "pass"]))
    yield Figure("hippo --help", tuple(for_help), "s", HELP_SECONDS)
    yield Figure("python -c pass", tuple(for_nothing), "s", note="what any command of Python takes")
    with processes.home() as folder:
        processes.hippo(folder, "up", "--slots", "1", "--grpc-port", "0", "--http-port", "0")
        time.sleep(5.0)  # what starting took is given back
        said = json.loads((folder / "home" / "server" / "server.json").read_text())
        mib = proportional_bytes(said["pid"]) / 2**20
    note = "PSS, without PostgreSQL; a worker is connected"
    yield Figure("memory of an idle server", (mib,), "MiB", IDLE_MIB, note=note)


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=Path("/"))
    return time.perf_counter() - began
