"""``python -m benchmarks [SUBJECT ...]``: measures, prints a table, and keeps the figures as JSON and as pictures.

Machines are shared and noisy: what is compared is measured in turn within one run, and the load is noted. No figure
is asserted anywhere. ``python -m benchmarks --list`` names the subjects.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import textwrap
import time
from pathlib import Path

from benchmarks import plots, surroundings, table
from benchmarks.figures import Figure
from benchmarks.results import FOLDER, Measured, Results, UnreadableRun, read
from benchmarks.running import Failed, found
from benchmarks.subjects import SUBJECTS, Subject

NARROWEST, WIDEST = 80, 120
LIMIT_SECONDS = 2400.0


def main() -> None:
    """Measures the subjects that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help="all, if none is named")
    parser.add_argument("--list", action="store_true", help="name the subjects and end")
    parser.add_argument("--without", action="append", default=[], metavar="SUBJECT", help="leave one out")
    parser.add_argument(
        "--into",
        type=Path,
        metavar="FILE",
        help="the JSON file; one that exists keeps its other subjects. Otherwise a new one, named by the time",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=LIMIT_SECONDS,
        metavar="SECONDS",
        help="end a subject that takes longer (%(default)g)",
    )
    arguments = parser.parse_args()
    if arguments.list:
        for each in SUBJECTS:
            print(f"{each.name:16} {each.about}")
        return
    names = {each.name: each for each in SUBJECTS}
    for name in (*arguments.subjects, *arguments.without):
        if name not in names:
            parser.error(f"no subject {name!r}; there are {', '.join(names)}")
    chosen = [each for each in SUBJECTS if not arguments.subjects or each.name in arguments.subjects]
    width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))
    file = arguments.into or FOLDER / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.json"
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit("ended")
    )  # the subject that runs removes what it started
    try:
        kept = read(file).subjects if file.exists() else {}
    except UnreadableRun as error:
        parser.error(f"--into: {error}; name another file")
    results = Results(surroundings.description(), kept)
    print(textwrap.fill(table.machine(results.machine), width))
    for subject in chosen:
        if subject.name not in arguments.without:
            results.subjects[subject.name] = run(subject, arguments.limit, width)
            results.write(file)  # after each: a run that is cut short keeps what it has
    print(f"\n{summary(results)}\nkept in {file}")
    if pictures := plots.draw(results, file.with_suffix("")):
        print(f"{len(pictures)} pictures in {file.with_suffix('')}")
    sys.exit(any(each.failed for each in results.subjects.values()))


def run(subject: Subject, limit_seconds: float, width: int) -> Measured:
    """Measures a subject, and prints each figure as soon as it is known."""
    print(f"\n{subject.name}: {subject.about}\n{table.heading(width)}", flush=True)
    measured = Measured(
        about=subject.about,
        began=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        commit=surroundings.commit(),
    )
    before, began = os.getloadavg()[0], time.perf_counter()
    try:
        for each in found(subject, limit_seconds):
            if isinstance(each, Figure):
                measured.figures.append(each)
                lines = table.row(each, width)
            else:
                measured.curves.append(each)
                lines = table.curve(each, width)
            print(*lines, sep="\n", flush=True)
    except Failed as failure:
        measured.failed = str(failure)
        print(f"  failed: {failure}", file=sys.stderr)
    measured.seconds = round(time.perf_counter() - began, 1)
    measured.load = (before, os.getloadavg()[0])
    print(f"  load {before:.1f} before, {measured.load[1]:.1f} after, {measured.seconds:.0f} s", flush=True)
    return measured


def summary(results: Results) -> str:
    """How many aims are reached, and what failed."""
    figures = [each for subject in results.subjects.values() for each in subject.figures]
    judged = [each.reached for each in figures if each.reached is not None]
    failed = [name for name, each in results.subjects.items() if each.failed]
    said = f"{len(figures)} figures"
    said += f"; {sum(judged)} of {len(judged)} aims reached" if judged else ""
    return f"{said}; failed: {', '.join(failed)}" if failed else said


if __name__ == "__main__":
    main()
