"""``python -m benchmarks [SUBJECT ...]``: measures, prints a table, and keeps the figures as JSON and as pictures.

Machines are shared and noisy: what is compared is measured in turn within one run, and the load is noted, with what
the machine gives. No figure is asserted anywhere. ``python -m benchmarks --list`` names the subjects.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from benchmarks import moment, plots, results, surroundings, table
from benchmarks.figures import Curve, Figure
from benchmarks.results import FOLDER, Measured, NoPlace, Results, UnreadableRun
from benchmarks.running import Failed, found
from benchmarks.subjects import SUBJECTS, Subject

NARROWEST, WIDEST = 80, 120
LIMIT_SECONDS = 2400.0


def main() -> int:
    """Measures the subjects that are named, or all; gives the exit code.

    A signal ends the subject that is measured, which removes what it started, and its figures until then are kept. So
    it is where nobody reads any more what is printed.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        return bench(_parser(), sys.argv[1:])
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
        return 128 + signal.SIGPIPE


def bench(parser: argparse.ArgumentParser, words: Sequence[str]) -> int:
    """Measures what was asked for, and keeps it."""
    arguments = parser.parse_args(words)
    if arguments.list:
        for each in SUBJECTS:
            print(f"{each.name:16} {each.about}")
        return 0
    names = {each.name: each for each in SUBJECTS}
    for name in (*arguments.subjects, *arguments.without):
        if name not in names:
            parser.error(f"no subject {name!r}; there are {', '.join(names)}")
    chosen = [each for each in SUBJECTS if not arguments.subjects or each.name in arguments.subjects]
    width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))
    file: Path = arguments.into or FOLDER / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.json"
    try:
        results.make_place(file)
        kept = results.read(file).subjects if file.exists() else {}
    except (NoPlace, UnreadableRun) as error:
        parser.error(f"--into: {error}; name another file")
    run = Results(surroundings.description(), kept)
    print(textwrap.fill(table.machine(run.machine), width))
    for subject in chosen:
        if subject.name not in arguments.without:
            measure(subject, arguments.limit, width, run, file)
    print(f"\n{summary(run)}\nkept in {file}")
    if pictures := plots.draw(run, file.with_suffix("")):
        print(f"{len(pictures)} pictures in {file.with_suffix('')}", flush=True)
    return int(any(each.failed for each in run.subjects.values()))


def _parser() -> argparse.ArgumentParser:
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
        help="end a subject that takes longer (%(default)g), without what it prepares",
    )
    return parser


def measure(subject: Subject, limit_seconds: float, width: int, run: Results, file: Path) -> None:
    """Measures a subject, prints each figure as soon as it is known, and keeps what there is, also if it is ended."""
    print(f"\n{subject.name}: {subject.about}\n{table.heading(width)}", flush=True)
    measured = Measured(
        about=subject.about,
        began=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        commit=surroundings.commit(),
        before=moment.now(),
    )
    began = time.perf_counter()
    try:
        with closing(found(subject, limit_seconds)) as given:
            for each in given:
                if isinstance(each, Figure):
                    measured.figures.append(each)
                    lines = table.row(each, width)
                elif isinstance(each, Curve):
                    measured.curves.append(each)
                    lines = table.curve(each, width)
                else:
                    measured.drawings.append(each)
                    lines = table.drawing(each, width)
                print(*lines, sep="\n", flush=True)
    except Failed as failure:
        measured.failed = str(failure)
        print(f"  failed: {failure}", file=sys.stderr)
    except BaseException:
        measured.failed = "it was ended"
        print(f"ended; what was measured until then is kept in {file}", file=sys.stderr)
        raise
    finally:
        measured.seconds = round(time.perf_counter() - began, 1)
        if measured.figures or measured.curves or not measured.failed or subject.name not in run.subjects:
            run.subjects[subject.name] = measured
        run.write(file)
    measured.after = moment.now()
    run.write(file)
    print(f"  {measured.seconds:.0f} s\n  before: {measured.before}\n  after: {measured.after}", flush=True)


def summary(run: Results) -> str:
    """How many aims are reached, and what failed."""
    figures = [each for subject in run.subjects.values() for each in subject.figures]
    judged = [each.reached for each in figures if each.reached is not None]
    failed = [name for name, each in run.subjects.items() if each.failed]
    said = f"{len(figures)} figures"
    said += f"; {sum(judged)} of {len(judged)} aims reached" if judged else ""
    return f"{said}; failed: {', '.join(failed)}" if failed else said


if __name__ == "__main__":
    sys.exit(main())
