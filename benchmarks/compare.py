"""``python -m benchmarks.compare [OLD NEW]``: what became faster or slower from one run to another.

OLD and NEW are JSON files of ``python -m benchmarks``; without them, the newest two of ``benchmarks/results``. For each
figure that both have, the ratio of the medians is printed, new over old, and whether the rounds of the two lie apart:
all of one above all of the other. Worse is what lies apart, to the worse side, by a ratio beyond the threshold; then
the exit code is 1, and 2 where there is nothing to compare. Of what was measured once, in one run or both, nobody knows
by how much it spreads: it is told as worse or better once, and does not count for the exit code. Curves are shown by
the ratios of their points, and not judged.

Where a value is nought or less, as of how much later one thing is than another, a ratio means nothing. The difference
is printed then, new less old, with its sign; the threshold is a share of the largest of both medians, without their
signs, and the aim.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import results, table
from benchmarks.figures import Curve, Figure
from benchmarks.moment import Moment
from benchmarks.results import Measured, Results

NARROWEST, WIDEST = 80, 120
THRESHOLD = 0.05
SPEEDS = {"fsync_8k_ms": 1.5, "loop_ms": 1.15}
"""Of what is measured of the machine: the ratio from which it is another one."""
BUSY = 0.5
"""The load, as a share of the cores, from which a subject was measured beside other work."""
COUNTS = 1.15
"""The ratio of what a core counted from which it was slower in one run."""
AT_ONCE = 1.2
"""The ratio of what all cores did together from which their host left them less in one run."""
WAKE = 1.5
"""The ratio of wake-ups from which processes waited for it longer in one run."""
COPY = 1.5
"""The ratio of copies within memory from which others used it more in one run."""
NUMBERS = 43
"""The columns that medians, their change and the verdict take."""
MOST_DECIMALS = 100
"""The ratio up to which three decimals are shown."""


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
    def is_difference(self) -> bool:
        """Whether a round of either is nought or less, so that no ratio means anything."""
        return min(self.old.least, self.new.least) <= 0

    @property
    def apart(self) -> bool:
        """Whether all rounds of one lie above all of the other."""
        return self.new.least > self.old.most or self.new.most < self.old.least

    @property
    def once(self) -> bool:
        """Whether one of them was measured in one round, so that nobody knows by how much it spreads."""
        return min(len(self.old.values), len(self.new.values)) == 1

    def in_words(self) -> str:
        """The ratio of the medians, new over old, or their difference, new less old, with its sign."""
        if self.is_difference:
            return f"{self.new.median - self.old.median:+.2g}"
        ratio = self.new.median / self.old.median
        return f"{ratio:.3f}" if ratio < MOST_DECIMALS else table.number(ratio)

    def verdict(self, threshold: float) -> str:
        """``"worse"`` or ``"better"``, with ``", once"``, or nothing where it is within the spread or the threshold."""
        if not self.apart or self._share() <= threshold:
            return ""
        rose = self.new.median > self.old.median
        said = "better" if rose == self.new.more_is_better else "worse"
        return f"{said}, once" if self.once else said

    def _share(self) -> float:
        """By how much the medians differ, of the smaller one; of differences, of all that tells their size."""
        low, high = sorted((self.old.median, self.new.median))
        size = max(abs(low), abs(high), abs(self.new.aim or 0.0)) if self.is_difference else low
        return (high - low) / size if size else 0.0


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
            if _apart(was, now, SPEEDS[key]):
                yield f"another machine, or a busy one: {key} was {was:g}, is {now:g}"
        elif was != now:
            yield f"another machine: {key} was {was or 'not there'}, is {now or 'not there'}"


def _conditions(name: str, before: Measured, after: Measured, cores: int) -> Iterator[str]:
    for when, each in (("old", before), ("new", after)):
        if each.failed:
            yield f"{name}: the {when} run ended early: {each.failed}"
    yield from _moments(f"{name}: before", before.before, after.before, cores)
    yield from _moments(f"{name}: after", before.after, after.after, cores)


def _moments(when: str, old: Moment, new: Moment, cores: int) -> Iterator[str]:
    if max(old.load, new.load) > BUSY * cores and abs(old.load - new.load) > BUSY:
        yield f"{when} it the load was {old.load:.1f}, and {new.load:.1f} in the new run"
    if _apart(old.counts_m_s, new.counts_m_s, COUNTS):
        yield f"{when} it a core counted {old.counts_m_s:g} M/s, and {new.counts_m_s:g} in the new run"
    if _apart(old.at_once, new.at_once, AT_ONCE):
        yield f"{when} it all cores did the work of {old.at_once:g}, and of {new.at_once:g} in the new run"
    if _apart(old.wake_us, new.wake_us, WAKE):
        yield f"{when} it a wake-up took {old.wake_us:g} us, and {new.wake_us:g} in the new run"
    if _apart(old.copy_gb_s, new.copy_gb_s, COPY):
        yield f"{when} it a core copied {old.copy_gb_s:g} GB/s, and {new.copy_gb_s:g} in the new run"


def _apart(old: float | None, new: float | None, ratio: float) -> bool:
    """Whether two speeds, where both were measured, are so far apart."""
    return bool(old and new and max(old / new, new / old) > ratio)


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
            yield f"\n{subject:{width - NUMBERS}}{'old':>9} {'new':>9} {'change':>8}"
        yield from _row(change, threshold, width)
    for title, names in (("curves", found.curves), ("came", found.came), ("went", found.went)):
        if names:
            yield f"\n{title}"
            for name in names:
                yield from textwrap.wrap(name, width, initial_indent="  ", subsequent_indent="    ")
    if any(change.is_difference for change in found.changes):
        yield "\n+ and -: a difference and no ratio, where a value is nought or less"
    yield ""
    yield from textwrap.wrap(_summary(found, threshold), width, subsequent_indent=table.INDENT)


def _summary(found: Comparison, threshold: float) -> str:
    counts = Counter(each.verdict(threshold) for each in found.changes)
    said = (
        f"{len(found.changes)} figures: {counts['worse']} worse, {counts['better']} better, "
        f"by more than {threshold:.0%} and all rounds"
    )
    if counts["worse, once"] or counts["better, once"]:
        said += (
            f"; of what was measured once, {counts['worse, once']} worse, {counts['better, once']} better by so "
            "much, which is not judged"
        )
    return said


def _row(change: Change, threshold: float, width: int) -> Iterator[str]:
    first, *more = textwrap.wrap(
        f"{change.new.name} ({change.new.unit})",
        width - NUMBERS - 1,
        initial_indent=table.INDENT,
        subsequent_indent=table.INDENT * 2,
    )
    unjudged = "once" if change.once else "apart" if change.apart else "within spread"
    medians = f"{table.number(change.old.median):>9} {table.number(change.new.median):>9}"
    yield (
        f"{first:{width - NUMBERS}}{medians} {change.in_words():>8} {change.verdict(threshold) or unjudged}"
    )
    yield from more


def _heading(title: str, file: Path, run: Results, width: int) -> list[str]:
    commits = dict.fromkeys(each.commit for each in run.subjects.values())
    text = f"{title}: {file}, commit {', '.join(commits)}"
    return textwrap.wrap(text, width, subsequent_indent=table.INDENT, break_on_hyphens=False)


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
    found = compare(old, new)
    width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))
    for title, file, run in zip(("old", "new"), files, (old, new), strict=True):
        print(*_heading(title, file, run, width), sep="\n")
    print(*lines(found, given.threshold, width), sep="\n")
    if not found.changes:
        return 2
    return int(bool(found.worse(given.threshold)))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # whoever reads only the beginning hears of no error
    sys.exit(main(sys.argv[1:]))
