"""Pictures of a run: each curve, what a subject drew, and every figure that has an aim against it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks import table
from benchmarks.figures import Curve, Drawing, Figure
from benchmarks.results import Results

AIMS = "aims.svg"
COLOURS = ("#00796b", "#e64a19", "#3949ab", "#c0a000", "#8e24aa", "#546e7a", "#5d4037", "#d81b60")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", ":")
"""Of the first lines, as many as there are colours; of those after them; and so on."""
DECADE = 10
MOST_TICKS = 8
MOST_AIMS = 12
MOST_TIMES = 100.0
"""Where the picture of the aims ends: a cost below nought, as of a start faster than the bare one, and an aim of nought
have no ratio."""
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: small, and found by a search
    "svg.hashsalt": "hippo",  # the same file for the same figures
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e0e0e0",
    "axes.axisbelow": True,
    "axes.edgecolor": "#757575",
    "figure.facecolor": "white",
}


def picture(subject: str, shown: Curve | Drawing) -> str:
    """The name of the file of a curve or a drawing."""
    return re.sub(r"[^a-z0-9]+", "-", f"{subject}-{shown.name}".lower()).strip("-") + ".svg"


def pictures(results: Results) -> dict[str, str]:
    """By the name of its file, what a picture of the run shows, as a digest that the file carries."""
    shown: dict[str, Any] = {}
    for name, measured in results.subjects.items():
        shown |= {picture(name, curve): asdict(curve) for curve in measured.curves}
        shown |= {picture(name, drawing): asdict(drawing) for drawing in measured.drawings}
    if against := with_aims(results):
        shown[AIMS] = [(name, asdict(figure)) for name, figure in against]
    return {
        file: hashlib.blake2b(json.dumps(each).encode(), digest_size=16).hexdigest()
        for file, each in shown.items()
    }


def with_aims(results: Results) -> list[tuple[str, Figure]]:
    """The figures that have an aim, with their subjects; of a subject that has many, those that are worst."""
    found: list[tuple[str, Figure]] = []
    for name, measured in results.subjects.items():
        judged = [each for each in measured.figures if each.aim is not None]
        worst = sorted(judged, key=times_better)[:MOST_AIMS]
        found += [(name, each) for each in judged if each in worst]
    return found


def times_better(figure: Figure) -> float:
    """How many times better than its aim a figure is."""
    return _of_aim(figure, figure.median)


def _of_aim(figure: Figure, value: float) -> float:
    """How many times better than the aim a value is, within what is shown: where either is nought, at an edge of it."""
    assert figure.aim is not None
    good, bad = (value, figure.aim) if figure.more_is_better else (figure.aim, value)
    if bad <= 0:
        return MOST_TIMES if good >= bad else 1 / MOST_TIMES
    return min(max(good / bad, 1 / MOST_TIMES), MOST_TIMES)


def draw(results: Results, folder: Path) -> list[Path]:
    """Draws all pictures of a run into a folder; gives the files."""
    digests = pictures(results)
    if not digests:
        return []
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    drawn = []

    def save(figure: Any, name: str) -> None:
        metadata = {"Date": None, "Creator": None, "Description": digests[name]}
        figure.savefig(folder / name, metadata=metadata)
        pyplot.close(figure)
        drawn.append(folder / name)

    with pyplot.rc_context(STYLE):
        for subject, measured in results.subjects.items():
            for curve in measured.curves:
                save(_curve(curve), picture(subject, curve))
            for drawing in measured.drawings:
                name = picture(subject, drawing)
                inside, end, _ = drawing.svg.rpartition("</svg>")
                (folder / name).write_text(f"{inside}<desc>{digests[name]}</desc>{end}\n", encoding="utf-8")
                drawn.append(folder / name)
        if AIMS in digests:
            save(_against_aims(with_aims(results)), AIMS)
    return drawn


def _curve(curve: Curve) -> Any:
    from matplotlib import pyplot
    from matplotlib.ticker import NullLocator

    figure, axis = pyplot.subplots(figsize=(7, 3.8), layout="constrained")
    styles = cycle((dash, *each) for dash in DASHES for each in zip(COLOURS, MARKERS, strict=True))
    for (label, points), (dash, colour, marker) in zip(curve.lines.items(), styles, strict=False):
        axis.plot(
            [across for across, _ in points],
            [up for _, up in points],
            dash, marker=marker, markersize=5, linewidth=1.8, color=colour, label=label,
        )  # fmt: skip
    if curve.logarithmic:
        across = sorted({point[0] for line in curve.lines.values() for point in line})
        # Nought has a place on this axis, at the left.
        axis.set_xscale("symlog", linthresh=next((each for each in across if each > 0), 1))
        axis.xaxis.set_minor_locator(NullLocator())
        if len(across) <= MOST_TICKS:
            axis.set_xticks(across)
        axis.set_yscale("log")
        _plain(axis.yaxis)
        low, high = axis.get_ylim()
        if high / low < DECADE:  # what is flat looks flat
            middle, half = (low * high) ** 0.5, DECADE**0.5
            axis.set_ylim(middle / half, middle * half)
    else:
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_formatter(lambda value, _: table.number(value))
    axis.xaxis.set_major_formatter(lambda value, _: table.number(value))
    axis.set_title(curve.name, loc="left", fontweight="bold")
    axis.set_xlabel(curve.across)
    axis.set_ylabel(curve.up)
    if len(curve.lines) > 1:
        figure.legend(loc="outside right upper", frameon=False)
    return figure


def _against_aims(figures: list[tuple[str, Figure]]) -> Any:
    """How often better than aimed at: right of the line what is reached, left of it what is missed."""
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(9, 1.3 + 0.24 * len(figures)), layout="constrained")
    names = []
    for place, (subject, each) in enumerate(figures):
        times = [_of_aim(each, value) for value in each.values]
        colour, marker = (COLOURS[0], "o") if each.reached else (COLOURS[1], "X")
        axis.plot([min(times), max(times)], [place, place], color=colour, linewidth=2, alpha=0.5)
        axis.plot([times_better(each)], [place], marker=marker, markersize=6, color=colour)
        if times_better(each) in {MOST_TIMES, 1 / MOST_TIMES}:  # at an edge; what it is stands beside it
            said, edge = table.number(each.median), (times_better(each), place)
            axis.annotate(said, edge, (6, 0), textcoords="offset points", va="center", fontsize=8)
        names.append(f"{subject}: {each.name}")
    axis.axvline(1, color="#424242", linewidth=1)
    axis.set_xscale("log")
    _plain(axis.xaxis)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(len(names) - 0.4, -0.6)  # the first at the top
    axis.grid(axis="y", visible=False)
    axis.set_xlabel(
        "times better than the aim (1: just reached)\ndot: median, bar: all rounds, cross: missed"
    )
    return figure


def _plain(axis: Any) -> None:
    """Labels a logarithmic axis with numbers that are not powers."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = axis.get_view_interval()
    digits = (1, 2, 5) if high / low > DECADE / 2 else (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)
    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: table.number(value))
