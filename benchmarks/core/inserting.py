"""Sequences into a plan: how many in a second, what each takes of memory, and how it grows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.core.apart import apart, settled_bytes
from benchmarks.core.studies import ITERATIONS, STEPS, iterations, large
from benchmarks.figures import Curve, Figure
from hippo_core.plan import Plan
from hippo_core.study import StudySpec

SIZES = (1_000, 10_000, 100_000)
ROUNDS = 3
INSERTIONS = 20_000


@dataclass(frozen=True, slots=True)
class Inserted:
    """What inserting so many sequences took, in CPU seconds and bytes."""

    trials: int
    sequences: float
    insertions: float
    trial_bytes: float
    node_count: int


def measure() -> Iterator[Figure | Curve]:
    """R1 grown to 100,000 trials; and 1,000,000 value steps of schedules that change with each."""
    found = [apart(insert, "large", size) for size in SIZES]
    largest = [*[apart(insert, "large", SIZES[-1]) for _ in range(ROUNDS - 1)], found[-1]]
    yield _rate(f"insert, {SIZES[-1]} trials of {STEPS} steps", largest)
    yield Figure(
        "a trial's sequence from its draws", tuple(each.trials / each.sequences for each in largest),
        "trials/s", more_is_better=True,
    )  # fmt: skip
    note = (
        f"{largest[0].node_count / SIZES[-1]:.2f} nodes a trial; the plan alone, without the engine's trials"
    )
    values = tuple(each.trial_bytes for each in largest)
    yield Figure(f"memory of a plan of {SIZES[-1]} trials", values, "B/trial", note=note)
    trials = 1_000_000 // ITERATIONS
    yield _rate(
        f"insert, {trials} trials of {ITERATIONS} value steps",
        [apart(insert, "iterations", trials) for _ in range(ROUNDS)],
    )
    yield Curve(
        "insertion by trials there are",
        "trials",
        "CPU microseconds a trial",
        {"insert": tuple((each.trials, 1e6 * each.insertions / each.trials) for each in found)},
        logarithmic=True,
    )


def _rate(name: str, found: list[Inserted]) -> Figure:
    values = tuple(each.trials / each.insertions for each in found)
    note = f"by CPU time; {found[0].node_count} nodes"
    return Figure(name, values, "trials/s", INSERTIONS, more_is_better=True, note=note)


def insert(kind: str, trials: int) -> Inserted:
    """Inserts a study's trials into an empty plan."""
    spec: StudySpec = large(trials) if kind == "large" else iterations(trials)
    points = [spec.point(number) for number in range(trials)]
    began = time.process_time()
    sequences = [spec.sequence(point) for point in points]
    made = time.process_time()
    before = settled_bytes()
    stop = spec.max_steps_of(points[0])
    plan = Plan(1)
    again = time.process_time()
    for sequence in sequences:
        plan.insert(sequence, stop)
    ended = time.process_time()
    trial_bytes = (settled_bytes() - before) / trials
    return Inserted(trials, made - began, ended - again, trial_bytes, len(plan.nodes))
