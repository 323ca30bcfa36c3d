"""What ``make bench-search`` draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.problems import PROBLEMS
from benchmarks.search.progress import Progress, median

POINTS = 200
HIGHEST = 30  #: per cent of regret; above are first results only
OWN = "-"
PEERS = {"random": ":", "tpe": "--", "asha_tpe": "-.", "pbt": ":"}


def regret(found: Mapping[tuple[str, str, int, int], Progress], file: Path) -> None:
    """The median regret against trained steps, a panel for each problem and number in flight."""
    panels = list(dict.fromkeys((slots, problem) for problem, _, _, slots in found))
    algorithms = list(dict.fromkeys(algorithm for _, algorithm, _, _ in found))
    figure, axes = _panels(len(panels))
    for (slots, name), axis in zip(panels, axes, strict=False):
        problem = PROBLEMS[name]
        best = problem.memo.lowest(problem.max_steps)
        steps = np.linspace(0, problem.budget, POINTS)
        counts = []
        for number, algorithm in enumerate(algorithms):
            runs = [each for key, each in found.items() if (*key[:2], key[3]) == (name, algorithm, slots)]
            if not runs:
                continue
            counts.append(len(runs))
            line = [100 * (median(each.loss_at(at) for each in runs) / best - 1) for at in steps]
            axis.plot(steps, line, PEERS.get(algorithm, OWN), color=f"C{number}", label=algorithm)
        seeds = "-".join(map(str, sorted({min(counts), max(counts)})))
        axis.set_title(f"{name}, {slots} in flight, {seeds} seeds")
        axis.set_xlabel("trained steps")
        axis.set_ylabel("regret, % (median)")
        axis.set_xlim(0, problem.budget)
        axis.set_ylim(0, HIGHEST)
    _save(figure, axes, file)


def in_flight(tables: Sequence[tuple[Any, Sequence[Any]]], file: Path) -> None:
    """The gain in the final loss over ASHA + TPE against the number in flight, a panel for each problem."""
    problems = list(dict.fromkeys(part.problem for part, _ in tables if part.slots > 1))
    algorithms = list(dict.fromkeys(row.algorithm for _, table in tables for row in table))
    figure, axes = _panels(len(problems))
    for problem, axis in zip(problems, axes, strict=False):
        for number, algorithm in enumerate(algorithms):
            points = [
                (part.slots, row.gain)
                for part, table in tables
                for row in table
                if part.problem == problem and row.algorithm == algorithm
            ]
            if points:
                style = PEERS.get(algorithm, OWN)
                axis.plot(*zip(*points, strict=True), style, marker="o", color=f"C{number}", label=algorithm)
        axis.set_title(problem)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_xlabel("trials in flight")
        axis.set_ylabel("loss below ASHA + TPE's, % (median)")
    _save(figure, axes, file)


def _panels(count: int) -> tuple[Any, list[Any]]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    columns = min(4, max(1, count))
    rows = max(1, -(-count // columns))
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(4.5 * columns, 3.6 * rows), squeeze=False, layout="constrained"
    )
    flat = list(axes.flat)
    for axis in flat[count:]:
        axis.set_axis_off()
    return figure, flat


def _save(figure: Any, axes: Sequence[Any], file: Path) -> None:
    named: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=len(named))
    figure.savefig(file, dpi=110)
