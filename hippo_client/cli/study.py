"""``hippo study``: list, show, watch and steer studies."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hippo_client.cli.completion import files
from hippo_client.cli.connection import connect
from hippo_client.cli.export import export
from hippo_client.cli.lazy import NounGroup
from hippo_client.cli.numbers import LARGEST, Number, WholeNumber
from hippo_client.cli.plot import plot
from hippo_client.cli.terminal import print_json, print_names, say
from hippo_core.engine.states import StudyState
from hippo_core.words import percent, plural

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

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print the names alone, one a line.")
name_argument = click.argument("name")


@click.group(cls=NounGroup, missing_verb="ls")
def study() -> None:
    """List, show, watch and steer studies.

    Example: hippo study show digits
    """


@study.command("ls")
@quiet_option
@json_option
def list_all(quiet: bool, as_json: bool) -> None:
    """List the studies, newest first.

    Example: hippo study ls
    """
    from hippo_client.cli import calls
    from hippo_client.cli.tables import columns_of, print_table
    from hippo_wire.json_shapes import study_json, study_state
    from hippo_wire.summaries import best_words, saved_fraction

    with connect() as client:
        studies = calls.list_studies(client)
    if as_json:
        print_json([study_json(each) for each in studies])
        return
    if quiet:
        print_names(each.name for each in studies)
        return
    rows = []
    for each in studies:
        saved = saved_fraction(each)
        rows.append(
            (
                each.name,
                study_state(each).value,
                f"{each.trial_counts.get('completed', 0)}/{sum(each.trial_counts.values())}",
                best_words(each),
                str(each.savings.steps_trained),
                "-" if saved is None else percent(saved),
            )
        )
    headings = ("STUDY", "STATE", "COMPLETED", "BEST", "STEPS", "SAVED")
    right, cuttable = ("COMPLETED", "STEPS", "SAVED"), ("STUDY", "BEST")
    print_table(columns_of(headings, rows, right=right, cuttable=cuttable), "--json shows them")


@study.command()
@name_argument
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a study: its state, its best trial, what sharing saved.

    Example: hippo study show digits
    """
    from hippo_client.cli import calls

    with connect() as client:
        _print(calls.get_study(client, name), as_json)


@study.command()
@name_argument
@json_option
def savings(name: str, as_json: bool) -> None:
    """Tell what sharing saved: steps and seconds that were not trained twice.

    Example: hippo study savings digits
    """
    from hippo_client.cli import calls
    from hippo_client.cli.summary import sharing_summary
    from hippo_wire.json_shapes import study_json

    with connect() as client:
        found = calls.get_study(client, name)
    if as_json:
        print_json({"study": name, "savings": study_json(found)["savings"]})
    else:
        click.echo(sharing_summary(found) or "Nothing is trained yet.")


@study.command()
@name_argument
@json_option
def watch(name: str, as_json: bool) -> int:
    """Follow a study until it has ended, or its sampler or policy keeps failing.

    Ctrl-C stops watching; the study goes on.

    Example: hippo study watch digits
    """
    from hippo_client.cli.watching import follow

    return follow(name, as_json)


@study.command()
@name_argument
@click.option("--svg", is_flag=True, help="Print a drawing as SVG.")
@json_option
def tree(name: str, svg: bool, as_json: bool) -> None:
    """Show the study's stage tree: what is trained once, and where trials part.

    Example: hippo study tree digits --svg > digits.svg
    """
    from hippo_client.cli import calls
    from hippo_client.cli.terminal import width
    from hippo_client.stage_tree import StageTree, tree_node
    from hippo_wire.json_shapes import stage_tree_json

    if svg and as_json:
        raise click.UsageError("--svg and --json exclude each other.")
    with connect() as client:
        nodes = calls.get_tree(client, name)
    if as_json:
        print_json(stage_tree_json(nodes))
        return
    drawn = StageTree(tree_node(node) for node in nodes)
    click.echo(drawn.to_svg() if svg else drawn.to_text(width()))


study.add_command(export)
study.add_command(plot)


@study.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="What the study is to be called here; by default as it was.")
@click.option("--trainer", metavar="MODULE:CLASS", help="Of a YAML file: what trains.")
@click.option("--max-steps", type=WholeNumber(1), help="Of a YAML file: how far one trial is trained.")
@click.option("--max-trials", type=WholeNumber(1), help="Of a YAML file: how many trials there are.")
@click.option("--skip-unsupported", is_flag=True, help="Of a YAML file: leave out what has no counterpart.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="Of a YAML file: the study file to write."
)
@json_option
def import_file(
    file: Path,
    name: str | None,
    trainer: str | None,
    max_steps: int | None,
    max_trials: int | None,
    skip_unsupported: bool,
    output: Path | None,
    as_json: bool,
) -> int:
    """Take in a study's archive, from `hippo study export --format archive`; one that ran comes paused.

    Of a W&B sweep or a Determined experiment in YAML it writes a study file, and names what has no counterpart.

    Example: hippo study import digits.hippo --name digits-2
    """
    from hippo_client.cli.foreign_files import Asked, import_foreign, is_study_text
    from hippo_client.cli.importing import import_study

    if is_study_text(file):
        asked = Asked(
            trainer=trainer,
            name=name,
            max_steps=max_steps,
            max_trials=max_trials,
            skip=skip_unsupported,
            output=output,
        )
        return import_foreign(file, asked, as_json)
    if trainer or max_steps or max_trials or skip_unsupported or output:
        raise click.UsageError(f"{file} is no YAML file: of an archive only --name can be given.")
    with connect() as client:
        _print(import_study(client, file, name), as_json)
    return 0


@study.command()
@name_argument
@json_option
def pause(name: str, as_json: bool) -> None:
    """Train no further for a study; what runs for it is saved. `resume` goes on.

    Example: hippo study pause digits
    """
    from hippo_client.cli import calls

    _steer(name, "pause", calls.pause, as_json)


@study.command()
@name_argument
@json_option
def resume(name: str, as_json: bool) -> None:
    """Take a paused study up again, also one that was paused as its sampler or policy kept failing.

    Example: hippo study resume digits
    """
    from hippo_client.cli import calls

    _steer(name, "resume", calls.resume, as_json)


@study.command()
@name_argument
@json_option
def stop(name: str, as_json: bool) -> None:
    """End a study; its open trials end as stopped.

    Example: hippo study stop digits
    """
    from hippo_client.cli import calls

    _steer(name, "stop", calls.stop, as_json)


@study.command()
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
    _print(extended, as_json)


@study.command()
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


@study.command()
@name_argument
@click.option("--trial", type=WholeNumber(0), required=True, help="From which trial.")
@click.option("--at", type=WholeNumber(0), required=True, help="The first step that may differ.")
@click.option(
    "--set",
    "given",
    metavar="NAME=VALUE",
    multiple=True,
    required=True,
    help="What holds from there on: a number, a text, or a schedule as JSON, which counts from --at; may be repeated.",
)
@json_option
def fork(name: str, trial: int, at: int, given: tuple[str, ...], as_json: bool) -> None:
    """Make a trial that goes as another up to a step, and has other hyper-parameters from there on.

    Example: hippo study fork digits --trial 3 --at 12 --set lr=0.01
    """
    from hippo_client.cli import calls
    from hippo_wire.json_shapes import trial_json

    values = json.dumps(dict(map(_assignment, given)))
    with connect() as client:
        made = calls.fork(client, name, trial, at, values).trial
    if as_json:
        print_json(trial_json(made))
    else:
        click.echo(f"Trial {made.number} of {name} was forked from trial {trial} at step {at}.")


@study.command()
@name_argument
@click.option(
    "--set",
    "given",
    metavar="NAME=VALUE",
    multiple=True,
    help="Its value of a hyper-parameter: a number, a text, or a schedule as JSON; once for each that is searched.",
)
@json_option
def enqueue(name: str, given: tuple[str, ...], as_json: bool) -> None:
    """Make a trial at a point of one's own, whatever the sampler.

    Example: hippo study enqueue digits --set lr=0.01 --set batch_size=32
    """
    from hippo_client.cli import calls
    from hippo_wire.json_shapes import trial_json

    point = json.dumps(dict(map(_assignment, given)))
    with connect() as client:
        made = calls.enqueue(client, name, point).trial
    if as_json:
        print_json(trial_json(made))
    else:
        click.echo(f"Trial {made.number} of {name} is at the point given.")


def _assignment(text: str) -> tuple[str, Any]:
    """``name=value``, the value as JSON where it is JSON, else as text."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise click.UsageError(f"--set {text!r} is not NAME=VALUE.")
    try:
        found = json.loads(value)
    except ValueError:
        found = value
    if _is_not_finite(value):
        raise click.UsageError(
            f"--set {text}: a number must be finite; a text of these letters is in quotes, '\"{value}\"'."
        )
    return name, found


def _is_not_finite(text: str) -> bool:
    """Whether a text is a number that has no value: inf, -inf, nan, 1e999."""
    try:
        return not math.isfinite(float(text))
    except ValueError:
        return False


@study.command()
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
        _print(response.study, as_json)


@study.command()
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


def _steer(name: str, verb: str, change: Callable[[Client, str], study_pb2.Study], as_json: bool) -> None:
    """Change a study's state, and say so where there was nothing to change, which is no error."""
    from hippo_client.cli import calls
    from hippo_wire.json_shapes import study_state

    with connect() as client:
        before = study_state(calls.get_study(client, name))
        changed = change(client, name)
    if study_state(changed) is before:
        say(f"The study {name} {_FOUND[before]} already; nothing to {verb}.")
    _print(changed, as_json)


def _print(message: study_pb2.Study, as_json: bool) -> None:
    from hippo_client.cli.summary import study_summary
    from hippo_wire.json_shapes import study_json

    if as_json:
        print_json(study_json(message))
    else:
        click.echo(study_summary(message))
