"""``make bench-search``: all searches on all problems, as tables, plots and JSON in ``benchmarks/results``.

It goes on where it was interrupted: what was run before is on disk. ``--quick`` takes a few minutes. ``--known`` runs
nothing, and shows what is there, for the seeds that were run; a seed is compared with the baseline's same seed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.search import plots
from benchmarks.search.__main__ import show
from benchmarks.search.algorithms import ALGORITHMS, BASELINE
from benchmarks.search.comparison import Row, compare
from benchmarks.search.problems import PROBLEMS
from benchmarks.search.progress import Progress, median
from benchmarks.search.runs import is_known, run

RESULTS = Path(__file__).resolve().parent.parent / "results"
SMALL = ("S1", "S2", "S3", "S4")
LARGER = ("mnist", "characters")
LARGER_ALGORITHMS = ("random", "tpe", "asha_tpe", "fork_asha", "phase_tree")
AIMS = {("S1", 1): 0.30, ("S4", 1): 0.30, ("S1", 8): 0.45, ("S4", 8): 0.45}
"""The share of the budget for the baseline's quality that Hippo's searches aim at, by problem and number in flight."""
SIGNIFICANT = 0.05

Key = tuple[str, str, int, int]
"""Problem, algorithm, seed, and how many are in flight."""


@dataclass(frozen=True, slots=True)
class Part:
    """A table: a problem with so many trials in flight.

    Attributes:
        problem: Its name.
        slots: How many.
        seeds: How many seeds.
        algorithms: Their names.
    """

    problem: str
    slots: int
    seeds: int
    algorithms: tuple[str, ...]

    def searches(self) -> list[Key]:
        return [
            (self.problem, each, seed, self.slots) for each in self.algorithms for seed in range(self.seeds)
        ]


def plan(quick: bool) -> list[Part]:
    """What is run."""
    problems, many = (("S1", "S4"), 3) if quick else (SMALL, 20)
    parts = [
        Part(problem, slots, many if slots == 1 else min(many, 10), _compared(problem, slots))
        for slots in ((1, 8) if quick else (1, 8, 32))
        for problem in problems
    ]
    if not quick:
        parts += [Part(problem, 1, 5, _fitting(problem, LARGER_ALGORITHMS)) for problem in LARGER]
    return parts


def _compared(problem: str, slots: int) -> tuple[str, ...]:
    """What policies.auto() chooses differs little from what it chooses from, and is run in sequence only."""
    return _fitting(problem, [each for each in ALGORITHMS if each != "auto" or slots == 1])


def _fitting(problem: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(each for each in names if ALGORITHMS[each].fits(PROBLEMS[problem]))


def search(key: Key) -> Progress:
    problem, algorithm, seed, slots = key
    return run(PROBLEMS[problem], ALGORITHMS[algorithm], seed, slots)


def run_all(keys: Sequence[Key], jobs: int) -> None:
    """Runs what was not run before, in some processes."""
    missing = [key for key in keys if not is_done(key)]
    began = time.monotonic()
    with ProcessPoolExecutor(jobs) as pool:
        running = {pool.submit(search, key): key for key in missing}
        for count, each in enumerate(as_completed(running), 1):
            each.result()
            left = (time.monotonic() - began) / count * (len(missing) - count)
            print(
                f"\r{count} of {len(missing)} searches, {left / 60:.0f} min to go ",
                end="",
                file=sys.stderr,
                flush=True,
            )
    print(file=sys.stderr)


def is_done(key: Key) -> bool:
    return is_known(PROBLEMS[key[0]], ALGORITHMS[key[1]], *key[2:])


def rows(part: Part) -> tuple[float, list[Row]]:
    """The quality to come to, and the table of what was run."""
    problem = PROBLEMS[part.problem]
    found = {key[1:3]: search(key) for key in part.searches() if is_done(key)}
    baseline = {seed: progress for (name, seed), progress in found.items() if name == BASELINE}
    quality = median(each.loss_at(problem.budget) for each in baseline.values())
    table = []
    for name in part.algorithms:
        own = {
            seed: progress for (each, seed), progress in found.items() if each == name and seed in baseline
        }
        if own:
            theirs = [baseline[seed] for seed in own]
            table.append(compare(problem, list(own.values()), theirs, quality, name))
    return quality, table


def verdicts(tables: Sequence[tuple[Part, Sequence[Row]]]) -> list[str]:
    """For each of Hippo's searches that is no peer's: where it helps, and where it does not."""
    found = []
    for part, table in tables:
        for row in table:
            if not ALGORITHMS[row.algorithm].own or row.algorithm == "pbt":
                continue
            word = "no different" if row.p >= SIGNIFICANT else "better" if row.better > row.worse else "WORSE"
            aim = AIMS.get((part.problem, part.slots))
            aimed = ""
            if aim is not None:
                aimed = f"; aim {aim:.2f} {'met' if row.share <= aim else 'not met'}"
            share = f"{row.share:.2f}" if row.share <= 1 else "> 1"
            seeds = f"lower in {row.better}, higher in {row.worse}, p = {row.p:.3f}"
            found.append(
                f"{part.problem:<10} {part.slots:>2} in flight  {row.algorithm:<11} {word:<12} "
                f"{row.gain:+.2f} % ({seeds}), share of B {share}, {row.arrived:.0%} of seeds{aimed}"
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.report", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 seeds, S1 and S4, 1 and 8 in flight")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--known", action="store_true", help="run nothing, show what was run")
    parser.add_argument("--only", nargs="*", choices=list(PROBLEMS), default=list(PROBLEMS), help="problems")
    chosen = parser.parse_args()
    parts = [each for each in plan(chosen.quick) if each.problem in chosen.only]
    if chosen.known:
        parts = [part for part in parts if any(map(is_done, part.searches()))]
    else:
        run_all([key for part in parts for key in part.searches()], chosen.jobs)
    tables = []
    for part in parts:
        quality, table = rows(part)
        show(PROBLEMS[part.problem], part.slots, quality, table)
        tables.append((part, table))
    print(
        f"\nBeside {BASELINE}, by the final loss (significant: p < {SIGNIFICANT}, two-sided, each test by itself):"
    )
    print("\n".join(verdicts(tables)))
    keep(tables)


def keep(tables: Sequence[tuple[Part, Sequence[Row]]]) -> None:
    """Writes the figures and the plots."""
    RESULTS.mkdir(exist_ok=True)
    name = RESULTS / f"search-{time.strftime('%Y%m%d-%H%M%S')}"
    kept = [{**asdict(part), "rows": [asdict(row) for row in table]} for part, table in tables]
    name.with_suffix(".json").write_text(json.dumps(kept, indent=1))
    found = {key: search(key) for part, _ in tables for key in part.searches() if is_done(key)}
    plots.regret(found, name.with_name(f"{name.name}-regret.png"))
    plots.in_flight(tables, name.with_name(f"{name.name}-in-flight.png"))
    print(f"kept in {name}.json, with plots beside it")


if __name__ == "__main__":
    main()
