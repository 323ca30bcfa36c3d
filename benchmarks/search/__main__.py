"""``python -m benchmarks.search``: how many steps a search has to train for its result, beside ASHA + TPE."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence

from benchmarks import search
from benchmarks.search.algorithms import ALGORITHMS, BASELINE, by_name
from benchmarks.search.comparison import PARTS, Row, compare, results, target
from benchmarks.search.problems import PROBLEMS, Problem

YARDSTICK = range(20)
"""The seeds whose median, with the baseline, is the quality to come to."""


def seeds(text: str) -> list[int]:
    """``0-4`` or ``3`` or ``0,7``."""
    found: list[int] = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        found += range(int(low), int(high or low) + 1)
    return found


def show(problem: Problem, slots: int, quality: float, rows: Sequence[Row]) -> None:
    """Prints a table."""
    best = problem.memo.lowest(problem.max_steps)
    print(
        f"\n{problem.name}, {slots} in flight, B = {problem.budget} trained steps; best known {best:.4f}, "
        f"{BASELINE} comes to {quality:.4f}"
    )
    at = " ".join(f"{f'B/{round(1 / part)}' if part < 1 else 'B':>5}" for part in PARTS)
    print(
        f"{'':<22} {'share of B':>10} {'in seeds':>10} | {'regret %':>8} at {at} | {'gain %':>6} {'p':>6} | "
        f"{'test':>6} | {'trial steps: share':>18} {'regret':>6} | {'ratio':>5} {'full':>5}"
    )
    for row in rows:
        regrets = " ".join(f"{each:5.1f}" for each in row.regrets)
        print(
            f"{row.algorithm:<22} {_share(row.share):>10} {f'{row.arrived:.0%} of {row.seeds}':>10} | "
            f"{'':>8}    {regrets} | {row.gain:>6.2f} {row.p:>6.3f} | {row.test:>6.4f} | {_share(row.share_alone):>18} "
            f"{row.regrets_alone[-1]:>6.1f} | {row.ratio:>5.2f} {row.full:>5.0f}",
            flush=True,
        )


def _share(share: float) -> str:
    return f"{share:.2f}" if math.isfinite(share) else "> 1"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search",
        description=search.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--space", nargs="*", default=["S1", "S2", "S3", "S4"], choices=list(PROBLEMS))
    parser.add_argument("--algorithm", nargs="*", default=list(ALGORITHMS))
    parser.add_argument("--seeds", type=seeds, default=seeds("0-19"))
    parser.add_argument("--slots", type=int, nargs="*", default=[1], help="trials under way at a time")
    chosen = parser.parse_args()
    for slots in chosen.slots:
        for problem in [PROBLEMS[each] for each in chosen.space]:
            began = time.process_time()
            quality = target(problem, YARDSTICK, slots)
            baseline = results(problem, ALGORITHMS[BASELINE], chosen.seeds, slots)
            found = {
                each.name: results(problem, each, chosen.seeds, slots)
                for each in map(by_name, chosen.algorithm)
                if each.fits(problem)
            }
            rows = [compare(problem, came_to, baseline, quality, name) for name, came_to in found.items()]
            show(problem, slots, quality, rows)
            print(f"{time.process_time() - began:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
