"""Tables of results for people: aligned columns of text, readable in a pipe too."""

from __future__ import annotations

from collections.abc import Sequence

import click

from hippo_client.cli.terminal import width

_GAP = 2


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print rows under headings.

    Args:
        headings: One for each column.
        rows: The cells.
        right: Numbers of the columns to align right.
    """
    widths = [max(len(line[place]) for line in (headings, *rows)) for place in range(len(headings))]
    for line in (headings, *rows):
        cells = [
            cell.rjust(widths[place]) if place in right else cell.ljust(widths[place])
            for place, cell in enumerate(line)
        ]
        click.echo(cut((" " * _GAP).join(cells).rstrip(), width()))


def cut(text: str, columns: int) -> str:
    """The text, shortened visibly if it is wider than the terminal."""
    return text if len(text) <= columns else text[: columns - 1] + "…"
