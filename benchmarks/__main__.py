"""``python -m benchmarks [SUBJECT ...]``: measures, prints a table, and keeps the figures as JSON.

Machines are shared and noisy: what is compared is measured in turn within one run, and the load is noted. No figure
is asserted anywhere. ``python -m benchmarks --list`` names the subjects.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from benchmarks import machine
from benchmarks.figures import Curve, Figure
from benchmarks.results import FOLDER, Measured, Results
from benchmarks.subjects import SUBJECTS, Subject


def main() -> None:
    """Measures the subjects that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help="all, if none is named")
    parser.add_argument("--list", action="store_true", help="name the subjects and end")
    parser.add_argument("--into", type=Path, help="the JSON file; otherwise named after the time")
    arguments = parser.parse_args()
    if arguments.list:
        for each in SUBJECTS:
            print(f"{each.name:16} {each.about}")
        return
    names = {each.name: each for each in SUBJECTS}
    if unknown := [name for name in arguments.subjects if name not in names]:
        parser.error(f"no subject {unknown[0]!r}; there are {', '.join(names)}")
    chosen = [names[name] for name in arguments.subjects] or list(SUBJECTS)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a GPU that happens to be there trains nothing
    results = Results(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), machine.description())
    about = results.machine
    print(f"{about['processor']}, {about['cores']} cores, load {about['load']:.1f}, Python {about['python']}")
    file = arguments.into or FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    for subject in chosen:
        results.subjects[subject.name] = run(subject)
        results.write(file)  # after each: a run that is cut short keeps what it has
    print(f"\nkept in {file}")
    sys.exit(any(each.failed for each in results.subjects.values()))


def run(subject: Subject) -> Measured:
    """Measures a subject, and prints each figure as soon as it is known."""
    print(f"\n{subject.name}: {subject.about}")
    print(f"  {'':44} {'median':>9} {'least':>9} {'most':>9} {'aim':>9}")
    measured = Measured()
    before, began = os.getloadavg()[0], time.perf_counter()
    try:
        for found in subject.measure():
            if isinstance(found, Figure):
                measured.figures.append(found)
                show(found)
            else:
                measured.curves.append(found)
                show_curve(found)
    except Exception as error:  # noqa: BLE001 - one subject's failure must not take the others' figures
        measured.failed = f"{type(error).__name__}: {error}"
        print(f"  failed: {measured.failed}", file=sys.stderr)
    measured.seconds = time.perf_counter() - began
    measured.load = (before, os.getloadavg()[0])
    print(f"  load {measured.load[0]:.1f} before, {measured.load[1]:.1f} after, {measured.seconds:.0f} s")
    return measured


def show(figure: Figure) -> None:
    """Prints a row."""
    aim = "" if figure.aim is None else f"{'≥' if figure.more_is_better else '≤'} {figure.aim:g}"
    numbers = " ".join(f"{each:9.4g}" for each in (figure.median, min(figure.values), max(figure.values)))
    missed = "  (missed)" if figure.reached is False else ""
    print(f"  {figure.name:44} {numbers} {aim:>9} {figure.unit}{missed}")
    if figure.note:
        print(f"      {figure.note}")


def show_curve(curve: Curve) -> None:
    """Prints a curve's points."""
    print(f"  {curve.name}: {curve.up} by {curve.across}")
    for label, points in curve.lines.items():
        print(f"      {label}: " + ", ".join(f"{across:g}: {up:.4g}" for across, up in points))


if __name__ == "__main__":
    main()
