"""From ``hippo run`` to the first step, beside what any PyTorch loop must do first.

A bare loop imports torch, and torch's compiler once it makes its optimiser. Hippo imports both before it forks runners,
also for a trainer that makes none, as the one here. In a new home the first run makes the database, too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.figures import Figure

HOMES = 3
WARM_ROUNDS = 2
MOST_SECONDS = 1.5


def measure() -> Iterator[Figure]:
    """Seconds beyond a bare loop's start, and beyond torch's import, with a new database and with one that exists."""
    beyond_loop: dict[str, list[float]] = {"new database": [], "warm database": []}
    beyond_torch: dict[str, list[float]] = {name: [] for name in beyond_loop}
    for _ in range(HOMES):
        with processes.home() as folder:
            for turn in range(1 + WARM_ROUNDS):
                name = "warm database" if turn else "new database"
                loop, torch = _beyond(folder, turn)
                beyond_loop[name].append(loop)
                beyond_torch[name].append(torch)
    note = "hippo run to the first step"
    for name, values in beyond_loop.items():
        unit = "s beyond a bare loop with an optimiser"
        yield Figure(name, tuple(values), unit, MOST_SECONDS, note=note)
        yield Figure(f"{name}, torch alone", tuple(beyond_torch[name]), "s beyond torch's import")


def _beyond(folder: Path, turn: int) -> tuple[float, float]:
    """One start in a home, in which nothing runs then: beyond a bare loop's, and beyond torch's import."""
    file, notes = processes.study(folder, f"start-{turn}", 1, 1)
    torch, bare = processes.torch_import_seconds(), processes.bare_start_seconds()
    began = time.time()
    processes.hippo(folder, "run", str(file), "--slots", "1")
    took = processes.read_clock(notes).started - began
    processes.hippo(folder, "down")
    return took - bare, took - torch
