"""``python -m benchmarks.scheduling.paper``: the paper's studies in virtual time, trial-based execution over Hippo.

The production engine runs each set of studies twice, with sharing and without. Nothing is trained, so that the figures
are those of the schedule alone; what steps, evaluations, saves and loads take can be given.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks.scheduling.studies import R1, R2, R3, drawn_from_r1, study
from hippo_core import policies
from hippo_core.policies import PolicySpec
from hippo_core.simulation import Costs, Host, simulate
from hippo_core.study import StudySpec

SLOTS = (8, 20, 40)
SEEDS = 5
HEADINGS = (
    "studies", "policy", "slots", "steps alone", "steps", "GPU-hours", "end to end", "level bound", "path bound",
    "alone: level",
)  # fmt: skip
NOTE = (
    "GPU-hours, end to end: trial-based over Hippo. level bound, path bound: makespan over Hu's level bound and over\n"
    "max(critical path, work / slots), each summed over the policy's barriers. Means over seeds, and in brackets the\n"
    "largest where there are several."
)


SPACES = {"R1": (R1, 120), "R2": (R2, 120), "R3": (R3, 27)}
POLICIES: Mapping[str, PolicySpec] = {
    "full": policies.full(),
    "SHA(4, 15, 120)": policies.sha(min_steps=15, reduction_factor=4),
    "ASHA(4, 15, 120)": policies.asha(min_steps=15, reduction_factor=4),
}
"""The paper writes reduction factor, first rung, last rung."""


@dataclass(frozen=True, slots=True)
class Set:
    """Studies that are submitted together.

    Attributes:
        space: The paper's name of the space.
        policy: One of ``POLICIES``.
        count: How many studies are drawn from the space; 0: one study of all of it.
        high_overlap: Whether those drawn agree in weight decay and nesterov.
    """

    space: str
    policy: str
    count: int = 0
    high_overlap: bool = False

    @property
    def name(self) -> str:
        """As printed."""
        if not self.count:
            return self.space
        return f"{self.count} of {self.space}, {'high' if self.high_overlap else 'low'} overlap"

    @property
    def depends_on_seed(self) -> bool:
        """Whether anything is drawn, or decided by metrics."""
        return bool(self.count) or self.policy != "full"

    def studies(self, seed: int) -> list[StudySpec]:
        """The studies of a seed."""
        if self.count:
            return drawn_from_r1(self.count, self.high_overlap, seed, POLICIES[self.policy])
        options, max_steps = SPACES[self.space]
        return [study(self.space, options, max_steps, POLICIES[self.policy])]


@dataclass(frozen=True, slots=True)
class Figures:
    """What one seed gives on some slots."""

    steps_alone: float
    steps: float
    gpu_hours: float
    end_to_end: float
    level: float
    path: float
    level_alone: float


def sets() -> Iterator[Set]:
    """The spaces as grids, the first one under halving, and sets of several studies."""
    for space in SPACES:
        yield Set(space, "full")
    for policy in list(POLICIES)[1:]:
        yield Set("R1", policy)
    for policy in POLICIES:
        for high_overlap in (True, False):
            for count in (1, 2, 4, 8):
                yield Set("R1", policy, count, high_overlap)


def figures(each: Set, slots: int, costs: Costs, seed: int) -> Figures:
    """Runs a set with sharing and without."""
    studies = each.studies(seed)
    hosts = [Host(name="host", slots=slots)]
    shared = simulate(studies, hosts, costs=costs, seed=seed)
    alone = simulate(studies, hosts, costs=costs, seed=seed, sharing=False)
    return Figures(
        steps_alone=alone.steps_trained,
        steps=shared.steps_trained,
        gpu_hours=alone.busy_seconds / shared.busy_seconds,
        end_to_end=alone.makespan_seconds / shared.makespan_seconds,
        level=shared.makespan_seconds / shared.lower_bound_seconds,
        path=shared.makespan_seconds / shared.path_bound_seconds,
        level_alone=alone.makespan_seconds / alone.lower_bound_seconds,
    )


def line(each: Set, slots: int, found: Sequence[Figures]) -> list[str]:
    """A row of the table."""

    def mean(name: str, digits: int) -> str:
        values = [getattr(one, name) for one in found]
        text = f"{statistics.mean(values):.{digits}f}"
        return text if len(values) == 1 or name not in {"level", "path"} else f"{text} ({max(values):.3f})"

    numbers = [mean(name, 0) for name in ("steps_alone", "steps")]
    numbers += [mean(name, 2) for name in ("gpu_hours", "end_to_end")]
    numbers += [mean(name, 3) for name in ("level", "path", "level_alone")]
    return [each.name, each.policy, str(slots), *numbers]


def show(cells: Sequence[str]) -> None:
    """Prints a row."""
    widths = (22, 16, 5, 11, 7, 9, 10, 15, 15, 12)
    left = 2
    print(
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ),
        flush=True,
    )


def main(arguments: Sequence[str]) -> None:
    """Runs all sets and prints a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scheduling.paper", description=__doc__)
    parser.add_argument("--slots", type=int, nargs="+", default=list(SLOTS))
    parser.add_argument(
        "--seeds", type=int, default=SEEDS, help="of what is drawn and of the learning curves"
    )
    parser.add_argument("--only", default="", help="sets whose name begins so")
    for name, default in (("step", 1.0), ("evaluate", 0.0), ("save", 0.0), ("load", 0.0), ("setup", 0.0)):
        parser.add_argument(f"--{name}-seconds", type=float, default=default)
    chosen = parser.parse_args(arguments)
    costs = Costs(
        step_seconds=chosen.step_seconds,
        evaluate_seconds=chosen.evaluate_seconds,
        save_seconds=chosen.save_seconds,
        load_seconds=chosen.load_seconds,
        setup_seconds=chosen.setup_seconds,
    )
    print(NOTE, end="\n\n")
    show(HEADINGS)
    with ProcessPoolExecutor() as pool:
        rows = [
            (each, slots, [pool.submit(figures, each, slots, costs, seed) for seed in seeds])
            for each in sets()
            if each.name.startswith(chosen.only)
            for seeds in [range(chosen.seeds if each.depends_on_seed else 1)]
            for slots in chosen.slots
        ]
        for each, slots, found in rows:
            show(line(each, slots, [one.result() for one in found]))


if __name__ == "__main__":
    main(sys.argv[1:])
