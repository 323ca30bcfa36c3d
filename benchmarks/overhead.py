"""One trial, nothing shared, against the bare loop: each run of Hippo's stands between two of the other's."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import machine
from benchmarks.figures import Figure

ROUNDS = 5
CASES = ((0.2, 20, 1.01), (0.005, 400, 1.05))
"""Seconds a step, steps, and what is aimed at."""


def measure(device: str = "cpu") -> Iterator[Figure]:
    """Overhead by wall clock and by processor time, for steps of several lengths.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
    """
    for step_seconds, steps, aim in CASES:
        yield from overhead(step_seconds, steps, aim, device)


def calibrated(seconds: float, device: str) -> int:
    """How many repeats of the workload take about so long on a core, or a GPU, of its own."""
    probe = 50
    took = machine.bare(probe, 20, device).processor_seconds / 20
    return max(1, round(probe * seconds / took))


def overhead(step_seconds: float, steps: int, aim: float, device: str) -> Iterator[Figure]:
    """One length of a step."""
    repeats = calibrated(step_seconds, device)
    walls, processors = [], []
    with machine.home() as folder:
        machine.hippo(folder, "up", "--slots", "1", "--grpc-port", "0", "--http-port", "0")
        before = machine.bare(repeats, steps, device)
        for turn in range(ROUNDS):
            file, notes = machine.study(folder, f"overhead-{turn}", repeats, steps)
            machine.hippo(folder, "run", str(file), "--slots", "1")
            shared, after = machine.read_clock(notes), machine.bare(repeats, steps, device)
            walls.append(2 * shared.seconds / (before.seconds + after.seconds))
            processors.append(
                2 * shared.processor_seconds / (before.processor_seconds + after.processor_seconds)
            )
            before = after
    name = f"{step_seconds * 1000:g} ms steps on {device}"
    note = f"{steps} steps of one trial, each evaluated, against bare loops before and after"
    yield Figure(f"{name}, wall", tuple(walls), "x bare loop", aim, note=note)
    yield Figure(
        f"{name}, processor", tuple(processors), "x bare loop", aim, note="the training process alone"
    )
