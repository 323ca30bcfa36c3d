"""``hippo run``: train a study on this machine."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from hippo_client.cli.failures import ExitCode
from hippo_client.cli.terminal import say

if TYPE_CHECKING:
    from hippo_client.local import Attachment


@click.command()
@click.argument("study_file", metavar="STUDY.py[:NAME]")
@click.option(
    "--slots",
    type=click.IntRange(min=1),
    envvar="HIPPO_SLOTS",
    help="Paths trained at a time; by default one per GPU, else as many as there are cores for.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def run(study_file: str, slots: int | None, as_json: bool) -> int:
    """Train a study on this machine, with live progress.

    Run again, it goes on where it stands; a finished study prints its result. Ctrl-C saves what runs, and detaches.
    """
    from hippo_client.cli import calls
    from hippo_client.cli.terminal import progress
    from hippo_client.cli.watching import print_result, show_until_end
    from hippo_client.client import Client
    from hippo_client.local import Home, attach
    from hippo_client.study_file import load
    from hippo_client.submission import prepare

    submission = prepare(
        load(study_file)
    )  # before anything is started: what is wrong with it is told at once
    shown = progress()
    attachment: Attachment | None = None
    with ExitStack() as held:
        try:
            with shown:
                attachment = held.enter_context(attach(Home.at(), slots, tell=shown.notice))
                client = held.enter_context(Client(attachment.server))
                handle = client.submit(submission)
                shown.submitted(calls.get_study(client, handle.name), handle.outcome, handle.warnings)
                show_until_end(client, handle.name, shown, attachment.notices)
        except KeyboardInterrupt:
            return _detach(attachment, study_file)
        return print_result(calls.get_study(client, handle.name), as_json)


def _detach(attachment: Attachment | None, study_file: str) -> int:
    """Leave; the last to leave waits until what runs is saved."""
    ended = False
    if attachment is not None:
        try:
            ended = attachment.drain(lambda message: say(f"Interrupted: {message} ..."))
        except KeyboardInterrupt:
            say("Not waiting; it is saved in the background.")
    say(f"{'Saved.' if ended else 'Detached.'} Run again to resume: hippo run {study_file}")
    return ExitCode.INTERRUPTED
