"""``python -m benchmarks.samplers``: what samplers that learn find on standard functions, beside random points.

The proposals are those of the server's processes, made here one after the other. ``--slots`` trials are under way at a
time and end in the order in which they began, as on slots of one speed: proposals see what is pending. Printed is the
median over seeds of the lowest value found, less the lowest that there is, and in how many seeds it is lower than that
of random points; several runs may share a core, as nothing here depends on time but the last column.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hippo_core import policies, samplers, space
from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_core.objective import Objective
from hippo_core.program import Program
from hippo_core.proposing.draws import Exhausted
from hippo_core.study import StudySpec

Values = Mapping[str, Any]

# Dixon, Szego: The global optimization problem (1978).
HARTMANN_A = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
HARTMANN_P = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)
HARTMANN_ALPHA = (1.0, 1.2, 3.0, 3.2)


def branin(at: Values) -> float:
    x, y = at["x0"], at["x1"]
    bowl = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return float(bowl**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


def hartmann(at: Values) -> float:
    return -sum(
        alpha
        * math.exp(
            -sum(a * (at[f"x{index}"] - p) ** 2 for index, (a, p) in enumerate(zip(row, peak, strict=True)))
        )
        for alpha, row, peak in zip(HARTMANN_ALPHA, HARTMANN_A, HARTMANN_P, strict=True)
    )


def rosenbrock(at: Values) -> float:
    x = [at[f"x{index}"] for index in range(4)]
    return float(sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairwise(x)))


def training(at: Values) -> float:
    """A made-up error of training: two optimisers, each with a best rate of its own, and a best width."""
    kind = at["optimizer"]
    rate, best = math.log10(at[f"optimizer/{kind}.lr"]), (-1.0, -3.0)[kind]
    momentum = (at["optimizer/0.momentum"] - 0.9) ** 2 if kind == 0 else 0.05
    return float((rate - best) ** 2 + momentum + (math.log2(at["width"]) - 7) ** 2 / 10)


@dataclass(frozen=True, slots=True)
class Function:
    """A function to be made small."""

    name: str
    entries: Mapping[str, Any]
    value: Callable[[Values], float]
    lowest: float


OPTIMIZERS = space.choice(
    [
        {"lr": space.loguniform(1e-5, 1.0), "momentum": space.uniform(0, 0.99)},
        {"lr": space.loguniform(1e-6, 1e-1)},
    ]
)
FUNCTIONS = (
    Function("branin", {"x0": space.uniform(-5, 10), "x1": space.uniform(0, 15)}, branin, 0.397887),
    Function("hartmann6", {f"x{index}": space.uniform(0, 1) for index in range(6)}, hartmann, -3.32237),
    Function("rosenbrock4", {f"x{index}": space.uniform(-2, 2) for index in range(4)}, rosenbrock, 0.0),
    Function(
        "training",
        {"optimizer": OPTIMIZERS, "width": space.logint(16, 1024), "drop": space.uniform(0, 0.5)},
        training,
        0.0,
    ),
)
SAMPLERS: Mapping[str, samplers.Sampler] = {
    "random": samplers.random(),
    "qmc": samplers.qmc(),
    "tpe": samplers.tpe(),
    "gp": samplers.gp(),
    "cma_es": samplers.cma_es(),
}


def study(function: Function, sampler: samplers.Sampler, seed: int, trials: int) -> StudySpec:
    searched = space.Space(function.entries)
    return StudySpec(
        name=function.name,
        space=searched,
        objectives=(Objective(metric="value", maximize=False),),
        max_trials=trials,
        max_steps=1,
        sampler=sampler,
        policy=policies.full(),
        program=Program(trainer="t:T", code_digest="", seed=seed, kinds=searched.kinds),
    )


def lowest(function: Function, spec: StudySpec, slots: int) -> float:
    """The lowest value that a search finds."""
    from hippo_server.proposals.sampling import make_point

    history: list[PastTrial] = []
    for number in range(spec.max_trials):
        if spec.sampler.learns:
            seen = tuple(past if number - past.trial >= slots else pending(past) for past in history)
            proposed = make_point(ProposalTask(spec=spec, trial=number, history=seen))
            assert not isinstance(proposed, Exhausted)  # all samplers here draw from ranges
            assignment, notes = proposed
        else:
            assignment, notes = dict(spec.point(number)), {}
        history.append(
            PastTrial(
                trial=number,
                assignment=assignment,
                notes=notes,
                state=TrialState.COMPLETED,
                values={1: (function.value(assignment),)},
                reached=1,
                sequence=number + 1,
            )
        )
    return min(past.values[1][0] for past in history)


def pending(past: PastTrial) -> PastTrial:
    return PastTrial(
        trial=past.trial,
        assignment=past.assignment,
        notes=past.notes,
        state=TrialState.WAITING,
        values={},
        reached=0,
        sequence=0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--functions", nargs="*", default=[each.name for each in FUNCTIONS])
    parser.add_argument("--samplers", nargs="*", default=list(SAMPLERS))
    chosen = parser.parse_args()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(f"{chosen.trials} trials, {chosen.slots} at a time, {chosen.seeds} seeds")
    print(f"{'function':<12} {'sampler':<8} {'median regret':>14} {'below random':>13} {'s per trial':>12}")
    for function in [each for each in FUNCTIONS if each.name in chosen.functions]:
        random: list[float] = []
        for name in ["random", *[each for each in chosen.samplers if each != "random"]]:
            sampler = SAMPLERS[name]
            if function.name == "training" and name == "cma_es":
                continue  # it would draw most of this space at random
            began = time.perf_counter()
            found = [
                lowest(function, study(function, sampler, seed, chosen.trials), chosen.slots)
                for seed in range(chosen.seeds)
            ]
            took = (time.perf_counter() - began) / chosen.seeds / chosen.trials
            random = random or found
            regret = statistics.median(found) - function.lowest
            below = sum(ours < theirs for ours, theirs in zip(found, random, strict=True))
            wins = "" if name == "random" else f"{below} of {chosen.seeds}"
            print(f"{function.name:<12} {name:<8} {regret:>14.4g} {wins:>13} {took:>12.3f}", flush=True)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
