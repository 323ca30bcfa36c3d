"""Following a study from the command line until it has ended, and telling what it came to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from hippo_client.cli import calls
from hippo_client.cli.failures import ExitCode
from hippo_client.cli.summary import study_summary
from hippo_client.cli.terminal import print_json, progress, say
from hippo_client.results import study_json, study_state
from hippo_core.engine.states import StudyState, TrialState

if TYPE_CHECKING:
    from hippo_client.client import Client
    from hippo_client.watching import Progress
    from hippo_wire.v1 import study_pb2


def show_until_end(
    client: Client, name: str, shown: Progress, notices: Callable[[], Sequence[str]] = tuple
) -> None:
    """Show a study until it has ended.

    Args:
        client: The client.
        name: The study's name.
        shown: Shows it; entered.
        notices: What else there is to tell, asked now and then.
    """
    with client.open_watch(name) as watch:
        for snapshot in watch.snapshots():
            for notice in notices():
                shown.notice(notice)
            if snapshot is not None:
                shown.show(snapshot)


def follow(client: Client, name: str, as_json: bool) -> int:
    """Show a study until it has ended, then its result; Ctrl-C leaves it alone.

    Returns:
        The exit code.
    """
    calls.get_study(client, name)  # one that does not exist is told before anything is drawn
    shown = progress()
    try:
        with shown:
            show_until_end(client, name, shown)
    except KeyboardInterrupt:
        say(f"Stopped watching; the study {name} goes on. `hippo study watch {name}` shows it again.")
        return ExitCode.INTERRUPTED
    return print_result(calls.get_study(client, name), as_json)


def print_result(study: study_pb2.Study, as_json: bool) -> int:
    """Print what a study came to.

    Returns:
        The exit code: whether any trial completed.
    """
    if as_json:
        print_json(study_json(study))
    else:
        click.echo(study_summary(study))
    completed = study.trial_counts.get(TrialState.COMPLETED.value, 0)
    failed = study_state(study) is StudyState.FAILED or not completed
    return ExitCode.FAILED if failed else ExitCode.DONE
