"""The paper's studies in virtual time, against lower bounds: how well slots are used, whatever is trained.

Each study runs on the production engine, by policy and number of slots: once where only steps take time, and once with
what starts, loads, saves and round trips take on a pool. Two bounds are printed.

- Hu's level bound of all steps that were trained, summed over the policy's barriers. No schedule is shorter. But an
  asynchronous policy has hardly any barriers, and what it asks for last is not known at the beginning: nobody who does
  not know the results beforehand can reach it.
- The *order bound* (``benchmarks.scheduling.order_bound``): how short a schedule can be in which results come in the
  order in which they came, so that the policy decides the same.

A better order of results trains fewer steps. So the makespan, which is what users wait for, stands beside the ratios.
Where a study misses its aim, what its slots did is drawn.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context

from benchmarks.figures import Drawing, Figure
from benchmarks.scheduling.idle import Idle, idle
from benchmarks.scheduling.order_bound import Chronicle
from benchmarks.scheduling.studies import R1, R2, R3, Options, study
from hippo_client.gantt_svg import draw
from hippo_core import policies
from hippo_core.engine.events import Event
from hippo_core.policies import PolicySpec
from hippo_core.simulation import Costs, Host, Simulated, simulate

SLOTS = (8, 20, 40)
SEEDS = 4
AIM = 1.05
WIDTH = 900

SPACES: Mapping[str, tuple[Options, int]] = {"R1": (R1, 120), "R2": (R2, 120), "R3": (R3, 27)}
"""With the paper's number of steps."""

POLICIES: Mapping[str, Mapping[str, PolicySpec]] = {
    space: {
        "full": policies.full(),
        "SHA": policies.sha(min_steps=least, reduction_factor=factor),
        "ASHA": policies.asha(min_steps=least, reduction_factor=factor),
    }
    for space, least, factor in (("R1", 15, 4), ("R2", 15, 4), ("R3", 3, 3))
}

FREE = Costs()
POOL = Costs(
    step_seconds=10.0,
    evaluate_seconds=1.0,
    save_seconds=0.02,
    publish_seconds=0.5,
    load_seconds=0.5,
    setup_seconds=5.0,
    lease_seconds=0.02,
)
"""A ResNet's epochs on a GPU: an evaluation, a checkpoint of 100 MB, and the start of a process that imports torch."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one seed gives.

    Attributes:
        level: Makespan over Hu's level bound.
        order: Makespan over the order bound.
        makespan: In seconds.
        steps: That were trained.
        idle: Why slots idled.
    """

    level: float
    order: float
    makespan: float
    steps: int
    idle: Idle


def run(space: str, policy: str, slots: int, costs: Costs, seed: int) -> Run:
    """How well slots are used by a study."""
    chronicle = Chronicle()
    found = _simulated(space, policy, slots, costs, seed, chronicle.note)
    level, makespan = found.lower_bound_seconds, found.makespan_seconds
    assert isinstance(costs.step_seconds, float)
    order = (
        chronicle.bound(slots) * (costs.step_seconds + costs.evaluate_seconds) if policy == "ASHA" else 0.0
    )
    return Run(makespan / level, makespan / max(level, order), makespan, found.steps_trained, idle(found))


def chart(space: str, policy: str, slots: int, costs: Costs, seed: int) -> str:
    """What slots did when in the same run, as SVG."""
    return draw(_simulated(space, policy, slots, costs, seed, lambda _: None), WIDTH)


def _simulated(
    space: str, policy: str, slots: int, costs: Costs, seed: int, watch: Callable[[Event], None]
) -> Simulated:
    options, max_steps = SPACES[space]
    return simulate(
        [study(space, options, max_steps, POLICIES[space][policy])],
        [Host(name="host", slots=slots)],
        costs=costs,
        seed=seed,
        watch=watch,
    )


def nearest_to_median(runs: Sequence[Run]) -> int:
    """The seed whose level is nearest to the median of all, which of an even number is none's; the lowest such seed."""
    median = statistics.median(each.level for each in runs)
    return min(range(len(runs)), key=lambda seed: abs(runs[seed].level - median))


def measure() -> Iterator[Figure | Drawing]:
    """Ratios by space, policy, slots and costs; one value a seed where anything depends on it. Then charts."""
    charts: list[tuple[str, str, Future[str]]] = []
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        asked = [
            (each, [pool.submit(run, *each, seed) for seed in range(1 if each[1] == "full" else SEEDS)])
            for each in product(SPACES, ("full", "SHA", "ASHA"), SLOTS, (FREE, POOL))
        ]
        for each, jobs in asked:
            space, policy, slots, costs = each
            runs = [job.result() for job in jobs]
            name = f"{space} {policy}, {slots} slots{', costs' if costs is POOL else ''}"
            steps, makespan = (
                statistics.median(getattr(one, field) for one in runs) for field in ("steps", "makespan")
            )
            seed = nearest_to_median(runs)
            whose = f"seed {seed}, nearest to the median, " if len(runs) > 1 else ""
            why = f"{whose}{runs[seed].idle.in_words()}"
            note = f"{steps:.0f} steps, {makespan:.0f} s; {why}"
            level = Figure(name, tuple(one.level for one in runs), "x level bound", AIM, note=note)
            yield level
            if policy == "ASHA":
                yield Figure(f"{name}, order", tuple(one.order for one in runs), "x order bound", AIM)
            if not level.reached:
                said = f"{runs[seed].level:.3f} x level bound; {why}"
                charts.append((name, said, pool.submit(chart, *each, seed)))
        for name, said, drawn in charts:
            yield Drawing(name, drawn.result(), said)
