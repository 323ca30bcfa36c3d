"""One trial, nothing shared, against the bare loop: each run of Hippo's stands between two of the other's.

The bare loop is compared with itself, too, each run with those before and after it: what that spreads by, a shared
machine does, and a difference below it is none. Judged are medians of such ratios, over more rounds where an aim is
narrower than a round spreads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks import processes
from benchmarks.figures import Figure


@dataclass(frozen=True, slots=True)
class Case:
    """One length of a step.

    Attributes:
        step_seconds: How long a step takes in the bare loop.
        steps: How many there are.
        every: After how many steps both evaluate.
        changes: Whether the learning rate changes at each step: the bare loop works it out by its formula.
        rounds: How often Hippo runs.
        aim: At most so many times the bare loop's time.
    """

    step_seconds: float
    steps: int
    every: int
    changes: bool
    rounds: int
    aim: float


CASES = (
    Case(0.001, 3000, 500, True, 5, 1.02),
    Case(0.005, 600, 100, True, 5, 1.01),
    Case(0.05, 60, 10, False, 9, 1.005),
    Case(0.2, 15, 5, False, 7, 1.005),
)


def measure(device: str = "cpu") -> Iterator[Figure]:
    """Overhead by wall clock and by processor time, for steps of several lengths.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
    """
    for case in CASES:
        yield from overhead(case, device)


def calibrated(seconds: float, device: str) -> int:
    """How many repeats of the workload take about so long on a core, or a GPU, of its own."""
    probe = 50
    took = processes.bare(probe, 20, device).processor_seconds / 20
    return max(1, round(probe * seconds / took))


def overhead(case: Case, device: str) -> Iterator[Figure]:
    """One length of a step."""
    repeats, steps = calibrated(case.step_seconds, device), case.steps
    walls, processors, loops, bares = [], [], [], []

    def bare() -> processes.Clock:
        return processes.bare(repeats, steps, device, every=case.every, changes=case.changes)

    with processes.home() as folder:
        processes.hippo(folder, "up", "--slots", "1", "--grpc-port", "0", "--http-port", "0")
        before = bare()
        bares.append(before)
        for turn in range(case.rounds):
            file, notes = processes.study(
                folder, f"overhead-{turn}", repeats, steps, every=case.every, changes=case.changes
            )
            processes.hippo(folder, "run", str(file), "--slots", "1")
            shared, after = processes.read_clock(notes), bare()
            walls.append(2 * shared.seconds / (before.seconds + after.seconds))
            processors.append(
                2 * shared.processor_seconds / (before.processor_seconds + after.processor_seconds)
            )
            more = shared.between_seconds - (before.between_seconds + after.between_seconds) / 2
            loops.append(1 + 2 * more / (before.seconds + after.seconds))
            before = after
            bares.append(before)
    name = f"{case.step_seconds * 1000:g} ms steps on {device}"
    values = "a learning rate that changes at each" if case.changes else "constant values"
    note = (
        f"{steps} steps of one trial with {values}, evaluated every {case.every}; bare loops before and after"
    )
    yield Figure(f"{name}, wall", tuple(walls), "x bare loop", case.aim, note=note)
    note = "the training process alone"
    yield Figure(f"{name}, processor", tuple(processors), "x bare loop", case.aim, note=note)
    note = "what passes between steps; the rest of the ratio is that steps of the same work took longer"
    yield Figure(f"{name}, wall, were all steps alike", tuple(loops), "x bare loop", note=note)
    yield Figure(
        f"{name}, wall, the bare loop itself", _itself([each.seconds for each in bares]), "x bare loop"
    )
    itself = _itself([each.processor_seconds for each in bares])
    yield Figure(f"{name}, processor, the bare loop itself", itself, "x bare loop")


def _itself(runs: Sequence[float]) -> tuple[float, ...]:
    """Each run against those before and after it."""
    return tuple(
        2 * each / (before + after) for before, each, after in zip(runs, runs[1:], runs[2:], strict=False)
    )
