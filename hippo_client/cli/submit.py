"""``hippo submit``: hand a study to the server."""

from __future__ import annotations

import click

from hippo_client.cli.completion import files
from hippo_client.cli.connection import connect
from hippo_client.cli.terminal import print_json, say


@click.command()
@click.argument("study_file", metavar="STUDY.py[:NAME]|STUDY.yaml", shell_complete=files)
@click.option("--watch", is_flag=True, help="Follow it until it has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print the study as JSON.")
def submit(study_file: str, watch: bool, as_json: bool) -> int:
    """Hand a study to the server, and leave it there.

    A study that was submitted before and has not changed is found again; one of which only max_trials, max_steps or
    the priority have grown is extended.

    Example: hippo submit study.py --watch
    """
    from hippo_client.cli import calls
    from hippo_client.cli.study_files import load
    from hippo_client.cli.summary import study_summary
    from hippo_client.cli.watching import follow
    from hippo_client.submission import prepare
    from hippo_wire.json_shapes import study_json

    submission = prepare(load(study_file))
    with connect(worker=True) as client:
        handle = client.submit(submission)
        for warning in handle.warnings:
            say(f"Warning: {warning}")
        say(f"The study {handle.name} is {handle.outcome}.")
        if watch:
            return follow(handle.name, as_json, worker=True)
        study = calls.get_study(client, handle.name)
        if as_json:
            print_json(study_json(study))
        else:
            click.echo(study_summary(study))
            say(f"`hippo study watch {handle.name}` follows it.")
    return 0
