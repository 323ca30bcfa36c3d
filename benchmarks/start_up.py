"""From ``hippo run`` to the first step, with a database that exists, beside what any PyTorch loop must do first.

A bare loop imports torch, and torch's compiler once it makes its optimiser. Hippo imports both before it forks runners,
also for a trainer that makes none, as the one here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import processes
from benchmarks.figures import Figure

ROUNDS = 5


def measure() -> Iterator[Figure]:
    """Seconds beyond a bare loop's start, and beyond torch's import; the round that makes the database is left out."""
    beyond_loop, beyond_torch = [], []
    with processes.home() as folder:
        for turn in range(ROUNDS):
            file, notes = processes.study(folder, f"start-{turn}", 1, 1)
            if turn > 0:
                processes.hippo(folder, "down")
            torch, bare = processes.torch_import_seconds(), processes.bare_start_seconds()
            began = time.time()
            processes.hippo(folder, "run", str(file), "--slots", "1")
            took = processes.read_clock(notes).started - began
            beyond_loop.append(took - bare)
            beyond_torch.append(took - torch)
    note = "hippo run to the first step"
    yield Figure(
        "warm database", tuple(beyond_loop[1:]), "s beyond a bare loop with an optimiser", 1.5, note=note
    )
    yield Figure("warm database, torch alone", tuple(beyond_torch[1:]), "s beyond torch's import")
