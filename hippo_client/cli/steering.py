"""``hippo study pause``, ``resume``, ``stop``, ``extend``, ``edit``, ``retry``, ``delete``: what steers a study."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from hippo_client.cli.completion import files
from hippo_client.cli.connection import connect
from hippo_client.cli.numbers import LARGEST, Number, WholeNumber
from hippo_client.cli.options import json_option, name_argument
from hippo_client.cli.study_printing import print_study
from hippo_client.cli.terminal import print_json, say
from hippo_core.engine.states import StudyState
from hippo_core.words import plural

if TYPE_CHECKING:
    from hippo_client.client import Client
    from hippo_wire.v1 import study_pb2

#: How a study is found that needed no change.
_FOUND = {
    StudyState.RUNNING: "was running",
    StudyState.PAUSED: "was paused",
    StudyState.STOPPED: "had been stopped",
    StudyState.COMPLETED: "had completed",
    StudyState.FAILED: "had failed",
}


@click.command()
@name_argument
@json_option
def pause(name: str, as_json: bool) -> None:
    """Train no further for a study; what runs for it is saved. `resume` goes on.

    Example: hippo study pause digits
    """
    from hippo_client.cli import calls

    _steer(name, "pause", calls.pause, as_json)


@click.command()
@name_argument
@json_option
def resume(name: str, as_json: bool) -> None:
    """Take a paused study up again, also one that was paused as its sampler or policy kept failing.

    Example: hippo study resume digits
    """
    from hippo_client.cli import calls

    _steer(name, "resume", calls.resume, as_json)


@click.command()
@name_argument
@json_option
def stop(name: str, as_json: bool) -> None:
    """End a study; its open trials end as stopped.

    Example: hippo study stop digits
    """
    from hippo_client.cli import calls

    _steer(name, "stop", calls.stop, as_json)


def _steer(name: str, verb: str, change: Callable[[Client, str], study_pb2.Study], as_json: bool) -> None:
    """Change a study's state, and say so where there was nothing to change, which is no error."""
    from hippo_client.cli import calls
    from hippo_wire.json_shapes import study_state

    with connect() as client:
        before = study_state(calls.get_study(client, name))
        changed = change(client, name)
    if study_state(changed) is before:
        say(f"The study {name} {_FOUND[before]} already; nothing to {verb}.")
    print_study(changed, as_json)


@click.command()
@name_argument
@click.option("--max-trials", type=WholeNumber(1), help="How many trials in all.")
@click.option("--max-steps", type=WholeNumber(1), help="How far any one trial may be trained in all.")
@click.option(
    "--horizon",
    "horizons",
    type=WholeNumber(1),
    multiple=True,
    help="A further length, at which every point is tried, too; may be repeated.",
)
@click.option("--priority", type=WholeNumber(-LARGEST - 1), help="Higher ones are trained first.")
@click.option(
    "--timeout-hours", type=Number(above=0), help="End it when it has been running for so long in all."
)
@click.option(
    "--max-slot-hours", type=Number(above=0), help="End it when so many slot hours are used in all."
)
@click.option(
    "--max-trained-steps",
    type=WholeNumber(1),
    help="End it before more steps are trained that nobody had trained.",
)
@click.option("--target", type=Number(), help="End it when a trial is as good as this.")
@json_option
def extend(
    name: str,
    max_trials: int | None,
    max_steps: int | None,
    horizons: tuple[int, ...],
    priority: int | None,
    timeout_hours: float | None,
    max_slot_hours: float | None,
    max_trained_steps: int | None,
    target: float | None,
    as_json: bool,
) -> None:
    """Raise a study's limits, or set endings.

    An ended study is taken up again by a larger --max-trials or --max-steps, by a further --horizon, and by a change of
    the ending that ended it. Other endings are changed in the study file, which is submitted again.

    Example: hippo study extend digits --max-trials 128
    """
    from hippo_client.cli import calls
    from hippo_client.cli.extension import extension_in_words
    from hippo_core import endings
    from hippo_core.study_warnings import rounded_horizons

    given = {
        "timeout": timeout_hours,
        "max_slot_hours": max_slot_hours,
        "max_trained_steps": max_trained_steps,
        "target": target,
    }
    changed = [endings.ENDINGS[word](value).to_json() for word, value in given.items() if value is not None]
    if max_trials is None and max_steps is None and priority is None and not changed and not horizons:
        raise click.UsageError(
            "Nothing to change: give --max-trials, --max-steps, --horizon, --priority, --timeout-hours, "
            "--max-slot-hours, --max-trained-steps or --target."
        )
    endings_json = json.dumps(changed) if changed else ""
    with connect() as client:
        before = calls.get_study(client, name)
        extended = calls.extend(client, name, max_trials, max_steps, priority, endings_json, horizons)
    if horizons:
        every = json.loads(extended.spec_json)["program"]["evaluate_every"]
        for warning in rounded_horizons(horizons, every):
            say(f"Warning: {warning}.")
    words = extension_in_words(before, extended)
    if words:
        say(words)
    print_study(extended, as_json)


@click.command()
@name_argument
@click.argument("study_file", metavar="[STUDY.py[:NAME]|STUDY.yaml]", shell_complete=files, required=False)
@click.option("--priority", type=WholeNumber(-LARGEST - 1), help="Higher ones are trained first.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def edit(
    name: str, study_file: str | None, priority: int | None, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Change a study while it runs, or afterwards, to what a study file says.

    The space, the sampler, the policy, limits and the priority may be others; what is there and trained stays. What
    changes is shown first.

    Example: hippo study edit digits study.py --dry-run
    """
    from hippo_client.cli.edit import edit_study

    edit_study(name, study_file, priority, dry_run=dry_run, yes=yes, as_json=as_json)


@click.command()
@name_argument
@json_option
def retry(name: str, as_json: bool) -> None:
    """Open all failed trials of a study again.

    Example: hippo study retry digits
    """
    from hippo_client.cli import calls

    with connect() as client:
        response = calls.retry(client, name)
        say(f"{plural(response.trial_count, 'trial')} opened again.")
        for warning in response.warnings:
            say(f"Warning: {warning}.")
        print_study(response.study, as_json)


@click.command()
@name_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(name: str, yes: bool, as_json: bool) -> None:
    """Forget a study.

    What was trained stays while its program has other studies; with the last one its checkpoints go.

    Example: hippo study delete digits --yes
    """
    from hippo_client.cli import calls

    with connect() as client:
        going = "" if yes else _going(client, name)
        if not yes and not sys.stdin.isatty():
            raise click.UsageError(f"Deleting {name} with {going} needs --yes where nobody can be asked.")
        sure = yes or click.confirm(f"Delete the study {name} with {going}?", err=True)
        deleted = calls.delete(client, name) if sure else 0
    if as_json:
        print_json({"study": name, "trials_deleted": deleted})
    elif not sure:
        click.echo("Nothing deleted.")
    else:
        click.echo(f"Deleted {name} with {plural(deleted, 'trial')}.")


def _going(client: Client, name: str) -> str:
    """What would go with a study, in words."""
    from hippo_client.cli import calls
    from hippo_core.byte_sizes import bytes_in_words

    trials = plural(sum(calls.get_study(client, name).trial_counts.values()), "trial")
    alone = [each for each in calls.list_programs(client) if list(each.studies) == [name]]
    size = sum(each.checkpoint_bytes for each in alone)
    return f"{trials} and {bytes_in_words(size)} of checkpoints" if alone else trials
