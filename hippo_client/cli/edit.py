"""``hippo study edit``: show what a changed study file changes, ask, and change it."""

from __future__ import annotations

import sys

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.tables import WIDEST_PROSE
from hippo_client.cli.terminal import is_read_by_a_person, print_json, say, width


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
    from hippo_client.handles.study import StudyHandle
    from hippo_core.engine.states import ENDED_STUDY_STATES, StudyState
    from hippo_wire.json_shapes import study_state

    if study_file is None and priority is None:
        raise click.UsageError("Nothing to change: give a study file, or --priority.")
    asks = study_file is not None and not yes and not dry_run
    if asks and not _is_somebody_there():
        raise click.UsageError(f"Editing {name!r} needs --yes, or --dry-run, where nobody can be asked.")
    study = None if study_file is None else load(study_file)
    with connect() as client:
        present = calls.get_study(client, name)
        before, handle = study_state(present), StudyHandle(client, present)
        found: tuple[str, ...] = ()
        refused = False
        if dry_run or asks:
            found = handle.edit(study, priority=priority, dry_run=True)
            _show(found, handle.warnings, as_json)
        if asks and found:
            refused = not click.confirm(f"Change the study {name}?", err=True)
        if not dry_run and not refused and (found or not asks):
            found = handle.edit(study, priority=priority)
            if not asks:
                _show(found, handle.warnings, as_json)
        changed = bool(found) and not dry_run and not refused
        again = changed and before in ENDED_STUDY_STATES and handle.state is StudyState.RUNNING
    if as_json:
        print_json({"study": name, "changed": changed, "differences": found, "warnings": handle.warnings})
    elif not found:
        click.echo(f"Nothing to change in {name}.")
    elif refused:
        click.echo(f"Nothing changed in {name}.")
    elif dry_run:
        click.echo(f"{name} would be changed.")
    else:
        click.echo(f"Changed {name}; it was {before}, and runs again." if again else f"Changed {name}.")


def _is_somebody_there() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty()


def _show(differences: tuple[str, ...], warnings: tuple[str, ...], as_json: bool) -> None:
    for line in differences:
        click.echo(_wrapped(line), err=as_json)
    for warning in warnings:
        say(_wrapped(f"Warning: {warning}"))


def _wrapped(text: str) -> str:
    """In lines that a terminal has room for; where there is none, in one."""
    if not is_read_by_a_person():
        return text
    return click.wrap_text(text, min(width(), WIDEST_PROSE), subsequent_indent="  ")
