"""``hippo study edit``: show what a changed study file changes, ask, and change it."""

from __future__ import annotations

import sys

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.terminal import print_json, say


def edit_study(
    name: str, study_file: str | None, priority: int | None, *, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Edits a study.

    Args:
        name: The study.
        study_file: The study as it is to be, ``STUDY.py[:NAME]``; None: as it is.
        priority: Its priority, whatever the file says; None: as it is, or as the file says.
        dry_run: Only show what would change.
        yes: Do not ask.
        as_json: Print the result as JSON.
    """
    from hippo_client.cli import calls
    from hippo_client.cli.study_files import load
    from hippo_client.handles import StudyHandle

    if study_file is None and priority is None:
        raise click.UsageError("Nothing to change: give a study file, or --priority.")
    asks = study_file is not None and not yes and not dry_run
    if asks and not sys.stdin.isatty():
        raise click.UsageError(f"Editing {name!r} needs --yes, or --dry-run, where nobody can be asked.")
    study = None if study_file is None else load(study_file)
    with connect() as client:
        handle = StudyHandle(client, calls.get_study(client, name))
        found: tuple[str, ...] = ()
        if dry_run or asks:
            found = handle.edit(study, priority=priority, dry_run=True)
            _show(found, handle.warnings, as_json)
        if asks and found:
            click.confirm(f"Change the study {name}?", abort=True, err=True)
        if not dry_run and (found or not asks):
            found = handle.edit(study, priority=priority)
            if not asks:
                _show(found, handle.warnings, as_json)
    if as_json:
        changed = not dry_run and bool(found)
        print_json({"study": name, "changed": changed, "differences": found, "warnings": handle.warnings})
    elif not found:
        click.echo(f"Nothing to change in {name}.")
    else:
        click.echo(f"{name} would be changed." if dry_run else f"Changed {name}.")


def _show(differences: tuple[str, ...], warnings: tuple[str, ...], as_json: bool) -> None:
    for line in differences:
        click.echo(line, err=as_json)
    for warning in warnings:
        say(f"Warning: {warning}")
