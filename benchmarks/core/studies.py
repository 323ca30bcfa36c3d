"""Studies of any number of trials: the paper's first space with more of everything, and ever changing schedules."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.scheduling.studies import Options, steps, study
from hippo_core import policies
from hippo_core.schedules import cosine, cosine_restarts, exponential, warmup
from hippo_core.study import StudySpec

STEPS = 120
EVALUATE_EVERY = 10
ITERATIONS = 10_000


def grown(peaks: int = 10) -> Options:
    """R1 with more of everything: 10,080 points for each peak of the learning rate."""
    rates = []
    for number in range(peaks):
        peak = round(0.1 * 0.9**number, 6)
        decayed = steps(peak, peak / 10, peak / 100, at=[60, 90])
        rates += [
            decayed,
            steps(peak, peak / 10, peak / 100, at=[80, 100]),
            steps(peak, peak / 10, at=[90]),
            steps(peak, peak / 5, peak / 25, peak / 125, at=[60, 80, 100]),
            warmup(5, decayed),
            warmup(5, exponential(peak, 0.95)),
            cosine_restarts(peak, 0.0, 20),
        ]
    milestones = range(30, 110, 10)
    return {
        "lr": rates,
        "batch_size": [128, 256, *(steps(128, 256, at=[at]) for at in milestones)],
        "momentum": [
            0.9,
            *(steps(0.9, 0.95, at=[at]) for at in milestones),
            *(steps(0.7, 0.8, 0.9, at=[at, at + 40]) for at in (20, 40, 60)),
        ],
        "weight_decay": [1e-4, 2e-4, 5e-4, 1e-3],
        "nesterov": [0, 1, 2],
    }


def large(trials: int) -> StudySpec:
    """A grid of so many trials, at most 100,800; the first ones of it where they are fewer."""
    spec = study("large", grown(), STEPS, policies.full(), trials=trials)
    return replace(spec, program=replace(spec.program, evaluate_every=EVALUATE_EVERY))


def iterations(trials: int) -> StudySpec:
    """A grid whose learning rates change with each of 10,000 iterations, and which parts by its batch sizes."""
    options: Options = {
        "lr": [cosine(0.1, 0.0, ITERATIONS), warmup(500, cosine(0.1, 0.0, ITERATIONS - 500))],
        "batch_size": [steps(128, 256, at=[100 * at]) for at in range(1, trials // 2 + 1)],
    }
    spec = study("iterations", options, ITERATIONS, policies.full(), trials=trials)
    program = replace(spec.program, unit="iteration", evaluate_every=ITERATIONS // 10)
    return replace(spec, program=program)
