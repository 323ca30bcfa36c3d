"""Following a study from the command line until it has ended, and telling what it came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hippo_client.cli import calls
from hippo_client.cli.connection import with_server
from hippo_client.cli.failures import ExitCode
from hippo_client.cli.summary import study_summary
from hippo_client.cli.terminal import print_json, progress, say
from hippo_core.engine.states import StudyState, TrialState
from hippo_wire.json_shapes import study_json, study_state

if TYPE_CHECKING:
    from hippo_client.cli.connection import Notices
    from hippo_client.client import Client
    from hippo_wire.v1 import study_pb2


def follow(name: str, as_json: bool, *, worker: bool = False) -> int:
    """Show a study until it has ended, then its result; Ctrl-C leaves it alone.

    Args:
        name: The study's name.
        as_json: Whether the result is for a program.
        worker: Whether a local server needs a worker for it.

    Returns:
        The exit code.
    """
    # One that does not exist is told before anything is drawn.
    with_server(lambda client, _: calls.get_study(client, name))
    shown = progress()

    def show_until_end(client: Client, notices: Notices) -> study_pb2.Study:
        client.study(name).follow(shown, notices=notices)
        return calls.get_study(client, name)

    try:
        with shown:
            study = with_server(show_until_end, worker=worker, tell=shown.notice)
    except KeyboardInterrupt:
        say(f"Stopped watching; the study {name} goes on. `hippo study watch {name}` shows it again.")
        return ExitCode.INTERRUPTED
    return print_result(study, as_json)


def print_result(study: study_pb2.Study, as_json: bool) -> int:
    """Print what a study came to.

    Returns:
        The exit code: whether any trial completed, and the study has not failed or been given up.
    """
    if as_json:
        print_json(study_json(study))
    else:
        click.echo(study_summary(study))
    completed = study.trial_counts.get(TrialState.COMPLETED.value, 0)
    failed = study.given_up or study_state(study) is StudyState.FAILED or not completed
    return ExitCode.FAILED if failed else ExitCode.DONE
