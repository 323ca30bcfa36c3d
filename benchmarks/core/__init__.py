"""How the core scales: the plan, the engine's decisions, planning and virtual time, a restart, and starting."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.core import deciding, inserting, planning, restarting, starting
from benchmarks.figures import Curve, Figure


def measure() -> Iterator[Figure | Curve]:
    """Each part, in processes of its own."""
    for part in (inserting, deciding, planning, starting, restarting):
        yield from part.measure()
