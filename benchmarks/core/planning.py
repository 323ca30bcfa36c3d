"""``hippo plan`` of a grid of 100,000, and virtual time with 1,000 slots: what a person waits for."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.core.apart import apart
from benchmarks.core.studies import large
from benchmarks.figures import Figure
from benchmarks.processes import HIPPO
from hippo_core.simulation import Costs, Host, simulate

PLANNED = 100_000
SLOTS = 1_000
SIMULATED = 100_000
STUDY = """
import hippo_client as hippo
from benchmarks.core.studies import grown
from hippo_client import samplers, space

study = hippo.Study(
    "trainer:Trainer",
    {name: space.choice(list(options)) for name, options in grown().items()},
    maximize="accuracy",
    sampler=samplers.grid(),
    max_trials=%d,
    max_steps=120,
)
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a simulation took."""

    wall: float
    processor: float
    peak_bytes: int
    steps: int


def measure() -> Iterator[Figure]:
    """The command as a process; the simulation in one of its own."""
    values = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.py"
        file.write_text(STUDY % PLANNED)
        root = str(Path(__file__).resolve().parent.parent.parent)
        for _ in range(2):
            began = time.perf_counter()
            done = subprocess.run(
                [*HIPPO, "plan", str(file), "--json"],
                cwd=root,
                env={**os.environ, "PYTHONPATH": root},
                capture_output=True,
                text=True,
                check=True,
            )
            values.append(time.perf_counter() - began)
    found = json.loads(done.stdout)["together"]
    note = f"{found['trials']} trials, {found['nodes']} nodes, merge rate {found['merge_rate']:.2f}"
    yield Figure(f"hippo plan, a grid of {PLANNED}", tuple(values), "s", 10.0, note=note)
    ran = apart(virtually, SIMULATED, SLOTS)
    note = (
        f"{SIMULATED} trials, {ran.wall:.0f} s, {ran.processor:.0f} s of CPU, {ran.peak_bytes / 2**20:.0f} MiB at "
        "most: the timeline of all steps is kept"
    )
    rate = (SIMULATED / ran.processor,)
    yield Figure(f"simulate, {SLOTS} slots", rate, "trials/s", more_is_better=True, note=note)


def virtually(trials: int, slots: int) -> Ran:
    """A study on so many slots in virtual time."""
    spec = large(trials)
    hosts = [Host(name=f"host-{number}", slots=8) for number in range(slots // 8)]
    began, processor = time.perf_counter(), time.process_time()
    found = simulate([spec], hosts=hosts, costs=Costs())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Ran(time.perf_counter() - began, time.process_time() - processor, peak, found.steps_trained)


if __name__ == "__main__":
    print(virtually(*map(int, sys.argv[1:])))
