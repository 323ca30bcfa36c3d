"""``hippo plan``: what sharing will save, before anything is spent."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from hippo_client.cli.completion import files
from hippo_client.cli.tables import WIDEST_PROSE
from hippo_client.cli.terminal import is_read_by_a_person, print_json, width

_COLUMNS = (
    ("STUDY", "study"),
    ("TRIALS", "trials"),
    ("STEPS ALONE", "steps_without_sharing"),
    ("SHARED", "steps_with_sharing"),
    ("MERGE RATE", "merge_rate"),
    ("CRITICAL PATH", "critical_path_steps"),
    ("STAGES", "stages"),
)


@click.command()
@click.argument(
    "study_files", metavar="STUDY.py[:NAME]|STUDY.yaml...", shell_complete=files, nargs=-1, required=True
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def plan(study_files: tuple[str, ...], as_json: bool) -> None:
    """Say what sharing will save, before anything is spent.

    No server is asked and no trainer imported. Adaptive policies are taken to train every trial to its last step. Below
    the counts stands from which step on each hyper-parameter that is drawn acts: where one acts late, trials can share
    what comes before.

    Several studies are also counted together: studies of one program share with each other.

    Example: hippo plan study.py
    """
    from hippo_client.cli.study_files import load
    from hippo_core.static_plan import plan_studies

    with _uncollected():
        planned = plan_studies(load(file).spec() for file in study_files).to_json()
    if as_json:
        print_json(planned)
    else:
        _print(planned)


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage is looked for: of a large plan nothing is any, and the search takes a seventh of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _print(planned: Mapping[str, Any]) -> None:
    from hippo_client.cli.tables import columns_of, print_table

    rows = [_row(study) for study in planned["studies"]]
    if len(rows) > 1:
        rows.append(_row({"study": "together", **planned["together"]}))
    headings = [heading for heading, _ in _COLUMNS]
    print_table(columns_of(headings, rows, right=headings[1:], cuttable=headings[:1]), "--json shows them")
    several = len(planned["studies"]) > 1
    for study in planned["studies"]:
        click.echo()
        if several:
            click.echo(f"{study['study']}:")
        indent = "  " if several else ""
        for phase in study["phases"]:
            click.echo(_wrapped(f"{_start(phase)}: {', '.join(phase['names'])}", indent))
        for hint in study["hints"]:
            click.echo(_wrapped(hint, indent))


def _start(phase: Mapping[str, Any]) -> str:
    """From which step on a phase's draws bear: it may depend on the trial."""
    start, latest = phase["start"], phase["latest_start"]
    return f"free from step {start}" if start == latest else f"free from step {start}..{latest}"


def _wrapped(text: str, indent: str) -> str:
    columns = min(width(), WIDEST_PROSE) if is_read_by_a_person() else sys.maxsize
    return click.wrap_text(text, columns, initial_indent=indent, subsequent_indent=f"{indent}  ")


def _row(study: Mapping[str, Any]) -> list[str]:
    return [_cell(study.get(key)) for _, key in _COLUMNS]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "-" if value is None else str(value)
