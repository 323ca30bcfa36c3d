"""``python -m benchmarks.compare [OLD NEW]``: what became faster or slower from one run to another.

OLD and NEW are JSON files of ``python -m benchmarks``; without them, the newest two of ``benchmarks/results``. For each
figure that both have, the ratio of the medians is printed, new over old, and whether the rounds of the two lie apart:
all of one above all of the other. Worse is what lies apart, to the worse side, by a ratio beyond the threshold; then
the exit code is 1, and 2 where there is nothing to compare. Curves are shown by the ratios of their points, and not
judged.
"""

from __future__ import annotations

import argparse
import math
import shutil
import signal
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import results, table
from benchmarks.figures import Curve, Figure
from benchmarks.results import Measured, Results

NARROWEST, WIDEST = 80, 120
THRESHOLD = 0.05
SPEEDS = {"fsync_8k_ms": 1.5, "loop_ms": 1.15}
"""Of what is measured of the machine: the ratio from which it is another one."""
BUSY = 0.5
"""The load, as a share of the cores, from which a subject was measured beside other work."""
NUMBERS = 41
"""The columns that medians and ratio take."""


@dataclass(frozen=True, slots=True)
class Change:
    """A figure in two runs.

    Attributes:
        subject: Its subject.
        old: As it was.
        new: As it is.
    """

    subject: str
    old: Figure
    new: Figure

    @property
    def ratio(self) -> float:
        """Of the medians, new over old."""
        if self.old.median == 0:
            return 1.0 if self.new.median == 0 else math.inf
        return self.new.median / self.old.median

    @property
    def apart(self) -> bool:
        """Whether all rounds of one lie above all of the other."""
        return self.new.least > self.old.most or self.new.most < self.old.least

    @property
    def rose(self) -> bool:
        """Whether the median did."""
        return self.new.median > self.old.median

    def verdict(self, threshold: float) -> str:
        """``"worse"``, ``"better"``, or nothing where it is within the spread or the threshold."""
        factor = max(self.ratio, 1 / self.ratio if self.ratio else math.inf)
        if not self.apart or factor <= 1 + threshold:
            return ""
        return "better" if self.rose == self.new.more_is_better else "worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs beside each other.

    Attributes:
        warnings: Why the ratios may tell something else than the code's speed.
        changes: The figures that both have, in the new run's order.
        curves: In words, the curves that both have.
        came: The figures that only the new run has.
        went: Those that only the old one has.
    """

    warnings: tuple[str, ...]
    changes: tuple[Change, ...]
    curves: tuple[str, ...]
    came: tuple[str, ...]
    went: tuple[str, ...]

    def worse(self, threshold: float) -> list[Change]:
        """What became worse by more than a share of itself, beyond the spread."""
        return [each for each in self.changes if each.verdict(threshold) == "worse"]


def compare(old: Results, new: Results) -> Comparison:
    """Lays two runs side by side, subject by subject of those that both measured."""
    both = [name for name in new.subjects if name in old.subjects]
    warnings = [*_machines(old.machine, new.machine)]
    changes: list[Change] = []
    curves: list[str] = []
    came = [f"{name} (all of it)" for name in new.subjects if name not in old.subjects]
    went = [f"{name} (all of it)" for name in old.subjects if name not in new.subjects]
    for name in both:
        before, after = old.subjects[name], new.subjects[name]
        warnings += _conditions(name, before, after, new.machine["cores"])
        olds = {each.name: each for each in before.figures}
        news = {each.name: each for each in after.figures}
        for key, figure in news.items():
            if key not in olds:
                came.append(f"{name}: {key}")
            elif olds[key].unit != figure.unit:
                warnings.append(f"{name}: {key} was in {olds[key].unit}, is in {figure.unit}: not compared")
            else:
                changes.append(Change(name, olds[key], figure))
        went += [f"{name}: {key}" for key in olds if key not in news]
        curves += _curves(name, before.curves, after.curves)
    return Comparison(tuple(warnings), tuple(changes), tuple(curves), tuple(came), tuple(went))


def _machines(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys([*old, *new]):
        was, now = old.get(key), new.get(key)
        if key in SPEEDS and was and now:
            if max(was / now, now / was) > SPEEDS[key]:
                yield f"another machine, or a busy one: {key} was {was:g}, is {now:g}"
        elif was != now:
            yield f"another machine: {key} was {was or 'not there'}, is {now or 'not there'}"


def _conditions(name: str, before: Measured, after: Measured, cores: int) -> Iterator[str]:
    for when, each in (("old", before), ("new", after)):
        if each.failed:
            yield f"{name}: the {when} run ended early: {each.failed}"
    loads = before.load[0], after.load[0]
    if max(loads) > BUSY * cores and abs(loads[0] - loads[1]) > BUSY:
        yield f"{name}: the load before it was {loads[0]:.1f}, and {loads[1]:.1f} in the new run"


def _curves(subject: str, old: list[Curve], new: list[Curve]) -> Iterator[str]:
    olds = {each.name: each for each in old}
    for curve in new:
        if curve.name not in olds:
            continue
        for label, points in curve.lines.items():
            was = dict(olds[curve.name].lines.get(label, ()))
            ratios = [up / was[across] for across, up in points if was.get(across)]
            if ratios:
                yield (
                    f"{subject}: {curve.name}, {label}: x {min(ratios):.2f} to {max(ratios):.2f} "
                    f"over {len(ratios)} points ({curve.up})"
                )


def lines(found: Comparison, threshold: float, width: int) -> Iterator[str]:
    """The comparison as a table."""
    for warning in found.warnings:
        yield from textwrap.wrap(f"warning: {warning}", width, subsequent_indent="  ")
    subject = ""
    for change in found.changes:
        if change.subject != subject:
            subject = change.subject
            yield f"\n{subject:{width - NUMBERS}}{'old':>9} {'new':>9} {'ratio':>6}"
        yield from _row(change, threshold, width)
    for title, names in (("curves", found.curves), ("came", found.came), ("went", found.went)):
        if names:
            yield f"\n{title}"
            for name in names:
                yield from textwrap.wrap(name, width, initial_indent="  ", subsequent_indent="    ")
    verdicts = [each.verdict(threshold) for each in found.changes]
    worse, better = verdicts.count("worse"), verdicts.count("better")
    yield f"\n{len(verdicts)} figures: {worse} worse, {better} better, by more than {threshold:.0%} and all rounds"


def _row(change: Change, threshold: float, width: int) -> Iterator[str]:
    first, *more = textwrap.wrap(
        f"{change.new.name} ({change.new.unit})",
        width - NUMBERS - 1,
        initial_indent=table.INDENT,
        subsequent_indent=table.INDENT * 2,
    )
    where = change.verdict(threshold) or ("apart" if change.apart else "within spread")
    medians = f"{table.number(change.old.median):>9} {table.number(change.new.median):>9}"
    yield f"{first:{width - NUMBERS}}{medians} {change.ratio:>6.3f} {where}"
    yield from more


def main(arguments: list[str]) -> int:
    """Prints the comparison; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="OLD NEW")
    parser.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        metavar="SHARE",
        help="what is worse by no more than this share is not told as worse (%(default)g)",
    )
    given = parser.parse_args(arguments)
    files = given.files or results.newest(2)
    if len(files) != 2:
        print(f"two runs are compared; given or found: {len(files)}. make bench keeps one", file=sys.stderr)
        return 2
    try:
        old, new = (results.read(file) for file in files)
    except results.UnreadableRun as error:
        print(error, file=sys.stderr)
        return 2
    for title, file, run in zip(("old", "new"), files, (old, new), strict=True):
        commits = dict.fromkeys(each.commit for each in run.subjects.values())
        print(f"{title}: {file}, commit {', '.join(commits)}")
    found = compare(old, new)
    width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))
    print(*lines(found, given.threshold, width), sep="\n")
    if not found.changes:
        return 2
    return int(bool(found.worse(given.threshold)))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # whoever reads only the beginning hears of no error
    sys.exit(main(sys.argv[1:]))
