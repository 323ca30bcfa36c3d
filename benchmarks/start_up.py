"""From ``hippo run`` to the first training step, with a database that exists; torch's import subtracted."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import processes
from benchmarks.figures import Figure

ROUNDS = 5


def measure() -> Iterator[Figure]:
    """Seconds beyond torch's import. The first round makes the database, and is left out."""
    values = []
    with processes.home() as folder:
        for turn in range(ROUNDS):
            file, notes = processes.study(folder, f"start-{turn}", 1, 1)
            if turn > 0:
                processes.hippo(folder, "down")
            imported = processes.torch_import_seconds()
            began = time.time()
            processes.hippo(folder, "run", str(file), "--slots", "1")
            values.append(processes.read_clock(notes).started - began - imported)
    note = "hippo run to the first step"
    yield Figure("warm database", tuple(values[1:]), "s beyond torch's import", 3.0, note=note)
