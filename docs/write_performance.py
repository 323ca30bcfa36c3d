"""Publishes a run of the benchmarks: ``python docs/write_performance.py [RUN.json]``.

The figures of ``explanation/performance.md`` and its pictures are made of ``explanation/performance/*.json``: a file
for the machine without a GPU, and one for that with one. A run that is given is kept there first: its subjects replace
those of before, but one that failed none that did not, and on another machine nothing of before is kept.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "docs"))

from building import markdown  # noqa: E402

from benchmarks import plots, table  # noqa: E402 - they are no package that is installed
from benchmarks.figures import Curve, Drawing, Figure  # noqa: E402
from benchmarks.results import Measured, Results, read  # noqa: E402
from benchmarks.subjects import SUBJECTS  # noqa: E402

PAGE = ROOT / "docs" / "explanation" / "performance.md"
FOLDER = PAGE.with_suffix("")
SAME = ("processor", "cores", "memory_gib", "gpu", "python", "torch", "postgresql")
"""What machines have in common that are taken for one."""
CROSSED = {
    "peers": r"(?P<table>\w+), (?P<column>[^:]+): (?P<row>.+)",
    "parts": r"(?P<table>server), (?P<column>[^:]+): (?P<row>.+)",
    "scheduling": r"(?P<row>\S+ \S+), (?P<column>\d+ slots)(?P<table>.*)",
}
"""Of the subjects that measure one thing for many: what of a figure's name is the table, the row and the column."""
_MARK = re.compile(r"<!-- (?P<kind>\w+)(?:: (?P<name>[\w-]+))? -->\n.*?<!-- end -->", re.DOTALL)


def kept() -> list[Results]:
    """The runs that the page shows."""
    return [read(file) for file in sorted(FOLDER.glob("*.json"))]


def keep(run: Results) -> None:
    """Puts a run beside or in place of the one that is kept of such a machine."""
    file = FOLDER / ("gpu.json" if run.machine["gpu"] else "cpu.json")
    # What found nothing to measure, a GPU's subject without one, is left out.
    subjects = {
        name: each for name, each in run.subjects.items() if each.figures or each.curves or each.failed
    }
    if file.exists():
        before = read(file)
        if all(before.machine.get(key) == run.machine[key] for key in SAME):
            there = {name: each for name, each in before.subjects.items() if name not in subjects}
            failed = {name for name, each in subjects.items() if each.failed}
            again = {
                name: each for name, each in before.subjects.items() if name in failed and not each.failed
            }
            subjects |= there | again
    order = [each.name for each in SUBJECTS if each.name in subjects]
    Results(run.machine, {name: subjects[name] for name in order}).write(file)


def all_subjects(runs: list[Results]) -> Results:
    """The subjects of all machines; of one that several measured, the first's."""
    subjects: dict[str, Measured] = {}
    for run in runs:
        subjects |= {name: each for name, each in run.subjects.items() if name not in subjects}
    return Results(runs[0].machine if runs else {}, subjects)


def page(text: str, runs: list[Results]) -> str:
    """A page whose marked parts are made anew: each between ``<!-- figures: SUBJECT -->`` and ``<!-- end -->``."""
    found = all_subjects(runs)
    placed = {mark["name"] for mark in _MARK.finditer(text)}

    def made(mark: re.Match[str]) -> str:
        parts: list[str] = []
        match mark["kind"]:
            case "machines":
                parts = [machine(run) for run in runs]
            case "aims":
                parts = [*aims(found)]
            case "figures":
                measured = found.subjects.get(mark["name"])
                parts = [*figures(mark["name"], measured)] if measured else ["Not measured yet."]
            case "others":
                for name, measured in found.subjects.items():
                    if name not in placed:
                        parts += [f"### {name}: {measured.about}", *figures(name, measured)]
            case kind:
                raise ValueError(
                    f"{PAGE.name} has a part {kind!r}: there are machines, aims, figures and others"
                )
        return "\n\n".join(part for part in (mark[0].partition("\n")[0], *parts, "<!-- end -->") if part)

    return _MARK.sub(made, text)


def machine(run: Results) -> str:
    """What a run was measured on."""
    return f"{table.machine(run.machine)}."


def aims(found: Results) -> Iterator[str]:
    """How many are reached, and which are not."""
    judged = [
        (name, each)
        for name, measured in found.subjects.items()
        for each in measured.figures
        if each.aim is not None
    ]
    missed = [(name, each) for name, each in judged if not each.reached]
    yield f"{len(judged) - len(missed)} of {len(judged)} aims are reached."
    if plots.AIMS in plots.pictures(found):
        words = "Figures that have an aim, of subjects with many the worst: how many times better they are"
        yield f"![{words}]({FOLDER.name}/{plots.AIMS})"
    if missed:
        yield "Missed:"
        yield markdown.table(
            ("", "median", "aim", "unit"),
            [
                (f"{name}: {each.name}", table.number(each.median), table.aim(each), each.unit)
                for name, each in missed
            ],
        )


def figures(name: str, measured: Measured) -> Iterator[str]:
    """A subject's table, its curves, and its drawings."""
    crossed, rest = _crossed(name, measured.figures)
    for title, each in crossed.items():
        yield from (f"**{title}**", _cross_table(each)) if title else (_cross_table(each),)
    yield _table(("", "median", "least – most", "aim", ""), [_row(each) for each in rest])
    if measured.failed:
        yield f"The run ended early: {markdown.cell(measured.failed)}"
    for curve in measured.curves:
        yield from _curve(name, curve)
    for drawing in measured.drawings:
        yield from _drawing(name, drawing)
    yield (
        f"`make bench ARGUMENTS={name}`, {measured.began[:10]}, commit {measured.commit}, {measured.seconds:.0f} s; "
        f"before: {measured.before}; after: {measured.after}."
    )


def _row(figure: Figure) -> tuple[str, ...]:
    aim = f"{table.aim(figure)}, missed" if figure.reached is False else table.aim(figure)
    median = f"{table.number(figure.median)} {figure.unit}"
    return figure.name, median, table.spread(figure), aim, markdown.cell(figure.note)


def _crossed(
    name: str, figures: Sequence[Figure]
) -> tuple[dict[str, dict[tuple[str, str], Figure]], list[Figure]]:
    """Figures whose names cross two things, as tables: by title, then by row and column. And the others."""
    pattern = CROSSED.get(name)
    tables: dict[str, dict[tuple[str, str], Figure]] = {}
    rest = []
    for each in figures:
        match = re.fullmatch(pattern, each.name) if pattern else None
        if match is None:
            rest.append(each)
        else:
            row, column = f"{match['row']}, {each.unit}", match["column"]
            tables.setdefault(match["table"].strip(", "), {})[row, column] = each
    return tables, rest


def _cross_table(cells: dict[tuple[str, str], Figure]) -> str:
    """Medians, bold where an aim is missed, and in brackets the lowest and the highest."""
    columns = list(dict.fromkeys(column for _, column in cells))
    rows = []
    for row in dict.fromkeys(row for row, _ in cells):
        texts = []
        for column in columns:
            figure = cells.get((row, column))
            spread = f" ({table.spread(figure)})" if figure and table.spread(figure) else ""
            bold = "**" if figure and figure.reached is False else ""
            texts.append(f"{bold}{table.number(figure.median)}{bold}{spread}" if figure else "")
        rows.append([row, *texts])
    return markdown.table(["", *columns], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without the columns that would be empty."""
    filled = [place for place in range(len(head)) if any(row[place] for row in rows)]
    return markdown.table(
        [head[place] for place in filled], [[row[place] for place in filled] for row in rows]
    )


def _curve(subject: str, curve: Curve) -> Iterator[str]:
    yield f"![{curve.name}: {curve.up} by {curve.across}]({FOLDER.name}/{plots.picture(subject, curve)})"
    across = sorted({point[0] for line in curve.lines.values() for point in line})
    if len(across) <= plots.MOST_TICKS:
        yield markdown.table(
            (curve.across, *(table.number(each) for each in across)),
            [
                (f"{label}, {curve.up}", *(table.number(up[at]) if at in up else "" for at in across))
                for label, points in curve.lines.items()
                for up in [dict(points)]
            ],
        )
    if curve.note:
        yield markdown.cell(curve.note)


def _drawing(subject: str, drawing: Drawing) -> Iterator[str]:
    yield f"![{drawing.name}]({FOLDER.name}/{plots.picture(subject, drawing)})"
    if drawing.note:
        yield f"*{markdown.cell(drawing.name)}.* {markdown.cell(drawing.note)}"


def draw(runs: list[Results]) -> None:
    """Draws the pictures, and removes those of before."""
    for file in FOLDER.glob("*.svg"):
        file.unlink()
    plots.draw(all_subjects(runs), FOLDER)


def main(arguments: list[str]) -> None:
    """Keeps a run, if one is given, and makes the page and its pictures."""
    for each in arguments:
        keep(read(Path(each)))
    runs = kept()
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), runs), encoding="utf-8")
    draw(runs)
    subjects = all_subjects(runs).subjects
    for subject in SUBJECTS:
        measured = subjects.get(subject.name)
        if measured is None or measured.failed:
            print(f"{subject.name}: {measured.failed if measured else 'not measured'}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
