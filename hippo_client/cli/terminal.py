"""Where the command writes: results to standard output, talk to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hippo_client.watching import Progress


def say(message: str) -> None:
    """A line of talk."""
    click.echo(message, err=True)


def print_json(value: Any) -> None:
    """A result for scripts."""
    click.echo(json.dumps(value, indent=2))


def print_names(names: Iterable[str]) -> None:
    """What a script goes on with, one a line."""
    for name in names:
        click.echo(name)


def progress() -> Progress:
    """How to show a study that runs: in place on a terminal, else as lines."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        from hippo_client.cli.live_progress import LiveProgress

        return LiveProgress(console)
    from hippo_client.cli.line_progress import LineProgress

    return LineProgress(say)


def is_read_by_a_person() -> bool:
    """Whether standard output is a terminal."""
    # Where it was closed before the program began, there is none at all.
    return sys.stdout is not None and sys.stdout.isatty()


def width() -> int:
    """Columns of standard output; where it is no terminal, there is no end."""
    from shutil import get_terminal_size

    return get_terminal_size().columns if is_read_by_a_person() else sys.maxsize
