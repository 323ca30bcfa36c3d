"""``hippo run``: train a study on this machine."""

from __future__ import annotations

import sys

import click

from hippo_client.cli.completion import files
from hippo_client.cli.failures import ExitCode
from hippo_client.cli.numbers import WholeNumber
from hippo_client.cli.terminal import say


@click.command()
@click.argument("study_file", metavar="STUDY.py[:NAME]|STUDY.yaml", shell_complete=files)
@click.option(
    "--slots",
    type=WholeNumber(1),
    envvar="HIPPO_SLOTS",
    help="Paths trained at a time; by default one per GPU, else as many as there are cores for.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def run(study_file: str, slots: int | None, as_json: bool) -> int:
    """Train a study on this machine, with live progress.

    Run again, it goes on where it stands; a finished study prints its result. Where its sampler or policy keeps
    failing, it ends with the reason. Ctrl-C saves what runs, and detaches.

    Example: hippo run study.py --slots 2
    """
    from hippo_client.cli.study_files import load
    from hippo_client.local_run import run as run_locally

    study = load(study_file)
    if sys.stderr is not None and sys.stderr.isatty():
        say("`hippo open` shows it in a browser meanwhile.")
    try:
        handle = run_locally(study, slots)
    except KeyboardInterrupt:
        say(f"Run again to resume: hippo run {study_file}")
        return ExitCode.INTERRUPTED
    from hippo_client.cli.watching import print_result  # only now: what is imported before delays the start

    return print_result(handle.refresh(), as_json)
