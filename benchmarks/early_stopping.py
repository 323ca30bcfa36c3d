"""``python -m benchmarks.early_stopping``: searches that train most points a little, at equal steps trained.

The functions are those of ``benchmarks.samplers``, as learning curves over 27 steps: a point's loss at step t is its
value plus what is not learnt yet, which falls by a power of t and is larger for some points than for others, so that
early comparisons are right more often than not. A search runs in the simulator, which has the production engine, until
the steps of ``--trainings`` full trainings are trained; BOHB and DEHB propose the points that the server would.

Printed is the median over seeds of the lowest value at step 27 that was found, less the lowest that there is, and in
how many seeds it is lower than that of random points trained to the end; then how many points were trained at all, and
to the end, and the merge rate.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.samplers import FUNCTIONS, Function
from hippo_core import policies, samplers, space
from hippo_core.engine.events import Event, RequestClosed, StepsTrained, TrialCreated
from hippo_core.objective import Objective
from hippo_core.policies import PolicySpec
from hippo_core.program import Program
from hippo_core.samplers import Sampler
from hippo_core.simulation import Host, simulate
from hippo_core.study import StudySpec

MAX_STEPS = 27
MOST_TRIALS = 100_000
LEARNING = 0.5
"""The exponent of what is not learnt yet."""

#: The simulator has random points in place of TPE's, and asks for one when a slot would idle.
RANDOM = samplers.tpe()

Model = tuple[int, Mapping[str, Any]]
SEARCHES: Mapping[str, tuple[Sampler, PolicySpec]] = {
    "random, full": (RANDOM, policies.full()),
    "random, asha": (RANDOM, policies.asha()),
    "random, hyperband": (RANDOM, policies.hyperband(asynchronous=True)),
    "bohb, full": (samplers.bohb(), policies.full()),
    "bohb, asha": (samplers.bohb(), policies.asha()),
    "bohb, hyperband": (samplers.bohb(), policies.hyperband(asynchronous=True)),
    "dehb": (samplers.dehb(), policies.dehb()),
}


class Spent(Exception):
    """All steps are trained."""


@dataclass(slots=True)
class Curves:
    """Learning curves towards the values of a function."""

    function: Function
    scale: float

    def begin(self, seed: int) -> Model:
        return 0, {}

    def train(self, model: Model, step: int, values: Mapping[str, Any]) -> Model:
        return step + 1, values

    def evaluate(self, model: Model) -> dict[str, float]:
        step, values = model
        digest = hashlib.blake2b(repr(sorted(values.items())).encode(), digest_size=8).digest()
        slow = 0.5 + int.from_bytes(digest, "big") / 2.0**64
        left = step**-LEARNING - MAX_STEPS**-LEARNING
        return {"value": self.function.value(drawn(values)) + self.scale * slow * left}


def drawn(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the names of domains, as the functions take them."""
    found = dict(values)
    if "optimizer.lr" in found:
        kind = 0 if "optimizer.momentum" in found else 1
        found |= {"optimizer": kind, f"optimizer/{kind}.lr": found.pop("optimizer.lr")}
        if kind == 0:
            found["optimizer/0.momentum"] = found.pop("optimizer.momentum")
    return found


def study(function: Function, sampler: Sampler, policy: PolicySpec, seed: int, trials: int) -> StudySpec:
    searched = space.Space(function.entries)
    return StudySpec(
        name=function.name,
        space=searched,
        objectives=(Objective(metric="value", maximize=False),),
        max_trials=trials,
        max_steps=MAX_STEPS,
        sampler=sampler,
        policy=policy,
        program=Program(trainer="t:T", code_digest="", seed=seed, kinds=searched.kinds),
    )


def spread(function: Function) -> float:
    """How far random points lie above the lowest value, the median of some."""
    spec = study(function, samplers.random(), policies.full(), 0, 200)
    return statistics.median(function.value(spec.point(number)) for number in range(200)) - function.lowest


class Account:
    """What a search came to, event by event."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.lowest = math.inf
        self.trials = self.ended = self.alone = 0
        self._reached: dict[int, int] = {}

    def note(self, event: Event) -> None:
        match event:
            case TrialCreated():
                self.trials += 1
            case StepsTrained():
                self.left -= event.stop - event.start
                if self.left < 0:
                    raise Spent
            case RequestClosed() if event.value is not None:
                self.alone += event.reached - self._reached.get(event.trial, 0)
                self._reached[event.trial] = event.reached
                if event.reached == MAX_STEPS:
                    self.ended += 1
                    self.lowest = min(self.lowest, event.value)
            case _:
                return


def search(
    function: Function, scale: float, name: str, seed: int, trainings: int, slots: int
) -> tuple[float, int, int, float]:
    """The lowest value, the points, those trained to the end, and the merge rate."""
    sampler, policy = SEARCHES[name]
    steps = trainings * MAX_STEPS
    account = Account(steps)
    spec = study(function, sampler, policy, seed, MOST_TRIALS)
    with contextlib.suppress(Spent):
        simulate([spec], [Host(name="h", slots=slots)], response=Curves(function, scale), watch=account.note)
    return account.lowest, account.trials, account.ended, account.alone / steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trainings", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--functions", nargs="*", default=[each.name for each in FUNCTIONS])
    parser.add_argument("--searches", nargs="*", default=list(SEARCHES))
    chosen = parser.parse_args()
    print(f"steps of {chosen.trainings} trainings, {chosen.slots} slots, {chosen.seeds} seeds")
    print(
        f"{'function':<12} {'search':<18} {'median regret':>14} {'below random':>13} {'points':>7} {'to the end':>11} "
        f"{'merge rate':>11}"
    )
    for function in [each for each in FUNCTIONS if each.name in chosen.functions]:
        scale = spread(function)
        random: list[float] = []
        for name in ["random, full", *[each for each in chosen.searches if each != "random, full"]]:
            found = [
                search(function, scale, name, seed, chosen.trainings, chosen.slots)
                for seed in range(chosen.seeds)
            ]
            values = [lowest for lowest, *_ in found]
            random = random or values
            below = sum(ours < theirs for ours, theirs in zip(values, random, strict=True))
            wins = "" if name == "random, full" else f"{below} of {chosen.seeds}"
            points, ended, rate = (statistics.mean(each[index] for each in found) for index in (1, 2, 3))
            print(
                f"{function.name:<12} {name:<18} {statistics.median(values) - function.lowest:>14.4g} {wins:>13} "
                f"{points:>7.0f} {ended:>11.0f} {rate:>11.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
