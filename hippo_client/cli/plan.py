"""``hippo plan``: what sharing will save, before anything is spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from hippo_client.cli.terminal import print_json

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
@click.argument("study_files", metavar="STUDY.py[:NAME]...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def plan(study_files: tuple[str, ...], as_json: bool) -> None:
    """Say what sharing will save, before anything is spent.

    No server is asked and no trainer imported. Adaptive policies are taken to train every trial to its last step.
    Several studies are also counted together: studies of one program share with each other.
    """
    from hippo_client.cli.study_files import load
    from hippo_core.static_plan import plan_studies

    planned = plan_studies(load(file).spec() for file in study_files).to_json()
    if as_json:
        print_json(planned)
    else:
        _print(planned)


def _print(planned: Mapping[str, Any]) -> None:
    from hippo_client.cli.tables import columns_of, print_table

    rows = [_row(study) for study in planned["studies"]]
    if len(rows) > 1:
        rows.append(_row({"study": "together", **planned["together"]}))
    headings = [heading for heading, _ in _COLUMNS]
    print_table(columns_of(headings, rows, right=headings[1:], cuttable=headings[:1]), "--json shows them")
    for study in planned["studies"]:
        for hint in study["hints"]:
            click.echo(f"{study['study']}: {hint}" if len(planned["studies"]) > 1 else hint)


def _row(study: Mapping[str, Any]) -> list[str]:
    return [_cell(study.get(key)) for _, key in _COLUMNS]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "-" if value is None else str(value)
