"""Tables of results for people: aligned columns of text, fitted to a terminal and whole everywhere else."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import click

from hippo_client.cli.terminal import say, width

#: Columns between two columns.
GAP = 2
#: Prose is not set wider, whatever the terminal.
WIDEST_PROSE = 120
#: A column of words that is cut to so much can still be read.
READABLE = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        heading: Its name.
        cells: Its texts, one a row.
        right: Whether it is aligned right.
        cuttable: Whether its texts may be shortened where room is scarce.
    """

    heading: str
    cells: Sequence[str]
    right: bool = False
    cuttable: bool = False

    @property
    def needed(self) -> int:
        """The width at which nothing of it is cut."""
        return max(len(self.heading), *map(len, self.cells), 0)

    @property
    def least(self) -> int:
        """The width below which it is better left out."""
        return min(self.needed, READABLE) if self.cuttable else self.needed


def columns_of(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Container[str] = (),
    cuttable: Container[str] = (),
) -> list[Column]:
    """The columns of rows.

    Args:
        headings: One for each cell of a row.
        rows: The rows.
        right: The headings of those that are aligned right.
        cuttable: The headings of those that may be shortened.
    """
    return [
        Column(
            heading=heading,
            cells=[row[place] for row in rows],
            right=heading in right,
            cuttable=heading in cuttable,
        )
        for place, heading in enumerate(headings)
    ]


def print_table(columns: Sequence[Column], elsewhere: str = "") -> None:
    """Print columns side by side. Those that a terminal has no room for are left out from the end, and named.

    Args:
        columns: The columns, those that matter most first.
        elsewhere: Where to find what is left out: ``--json shows them``.
    """
    columns = [_plain(column) for column in columns]
    widths = fit([(column.needed, column.least) for column in columns], width())
    shown = columns[: len(widths)]
    for line in zip(*([column.heading, *column.cells] for column in shown), strict=True):
        cells = [
            cut(cell, space).rjust(space) if column.right else cut(cell, space).ljust(space)
            for cell, space, column in zip(line, widths, shown, strict=True)
        ]
        click.echo((" " * GAP).join(cells).rstrip())
    left_out = [column.heading for column in columns[len(widths) :]]
    if left_out:
        words = f"Left out: {', '.join(left_out)}; {elsewhere or 'a wider terminal shows more'}."
        say(click.wrap_text(words, min(width(), WIDEST_PROSE)))


def fit(columns: Sequence[tuple[int, int]], room: int) -> list[int]:
    """The widths of as many leading columns as are readable; those that were cut first get what room is left.

    Args:
        columns: For each, the width that it needs and the least one.
        room: Columns of the terminal.
    """
    widths: list[int] = []
    spare = room + GAP
    for _, least in columns:
        if least + GAP > spare:
            break
        widths.append(least)
        spare -= least + GAP
    for place, (needed, _) in enumerate(columns[: len(widths)]):
        more = min(spare, needed - widths[place])
        widths[place] += more
        spare -= more
    return widths


def cut(text: str, columns: int) -> str:
    """The text, shortened visibly if it is wider than so many columns."""
    return text if len(text) <= columns else text[: columns - 1] + "…"


def _plain(column: Column) -> Column:
    return Column(
        heading=_one_line(column.heading),
        cells=[_one_line(cell) for cell in column.cells],
        right=column.right,
        cuttable=column.cuttable,
    )


def _one_line(text: str) -> str:
    # A name or a value may hold anything: a line break or an escape sequence must not take the table apart.
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
