"""``hippo trial``: list, show, explain and steer trials, the best one, their logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.lazy import NounGroup
from hippo_client.cli.numbers import WholeNumber
from hippo_client.cli.options import json_option, name_argument, quiet_option
from hippo_client.cli.terminal import is_read_by_a_person, print_json, print_names, say
from hippo_core.errors import NotFound
from hippo_core.words import measured, number

if TYPE_CHECKING:
    from hippo_wire.v1 import study_pb2

trial_argument = click.argument("number", metavar="N", type=WholeNumber(0))


@click.group(cls=NounGroup, missing_verb="ls")
def trial() -> None:
    """List, show, explain and steer trials, the best one, their logs.

    Example: hippo trial best digits
    """


@trial.command("ls")
@name_argument
@quiet_option
@json_option
def list_all(name: str, quiet: bool, as_json: bool) -> None:
    """List a study's trials.

    Example: hippo trial ls digits
    """
    from hippo_client.cli import calls
    from hippo_client.cli.tables import print_table
    from hippo_client.cli.trial_table import trial_columns
    from hippo_wire.json_shapes import trial_json

    with connect() as client:
        study = calls.get_study(client, name)
        trials = calls.list_trials(client, name)
    if as_json:
        print_json([trial_json(each) for each in trials])
        return
    if quiet:
        print_names(str(each.number) for each in trials)
        return
    print_table(
        trial_columns(study, trials, exact=not is_read_by_a_person()),
        f"`hippo trial show {name} N` and --json show them",
    )


@trial.command()
@name_argument
@trial_argument
@json_option
def show(name: str, number: int, as_json: bool) -> None:
    """Show a trial: its hyper-parameters, its metrics by step, its path through the stage tree.

    Example: hippo trial show digits 3
    """
    from hippo_client.cli import calls
    from hippo_wire.json_shapes import trial_detail_json

    with connect() as client:
        detail = calls.get_trial(client, name, number)
    if as_json:
        print_json(trial_detail_json(detail))
    else:
        _print_detail(detail)


@trial.command()
@name_argument
@json_option
def best(name: str, as_json: bool) -> None:
    """Show a study's best trial; with several objectives the Pareto front, with several horizons the best of each.

    Example: hippo trial best digits --json
    """
    from hippo_client.cli import calls
    from hippo_wire.json_shapes import trial_json
    from hippo_wire.summaries import pareto_front

    with connect() as client:
        study = calls.get_study(client, name)
        if not study.HasField("best_trial") and not study.best_by_horizon:
            raise NotFound(
                f"{name} has no best trial: none has a value yet, or the study failed.",
                f"`hippo study show {name}` tells its state.",
            )
        front = pareto_front(study)
        if study.best_by_horizon:
            _print_front(study, study.best_by_horizon, as_json, "best_by_horizon")
        elif front is not None:
            _print_front(study, front, as_json)
        elif as_json:
            print_json(trial_json(study.best_trial))
        else:
            _print_detail(calls.get_trial(client, name, study.best_trial.number))


def _print_front(
    study: study_pb2.Study, front: Sequence[study_pb2.Trial], as_json: bool, word: str = "best_trials"
) -> None:
    from hippo_client.cli.tables import print_table
    from hippo_client.cli.trial_table import trial_columns
    from hippo_wire.json_shapes import trial_json

    if as_json:
        print_json({word: [trial_json(each) for each in front]})
        return
    print_table(
        trial_columns(study, front, exact=not is_read_by_a_person()),
        f"`hippo trial show {study.name} N` and --json show them",
    )


@trial.command()
@name_argument
@trial_argument
@json_option
def explain(name: str, number: int, as_json: bool) -> None:
    """Tell what happened to a trial and why: requests, promotions, stops, who trained what for it.

    Example: hippo trial explain digits 3
    """
    from hippo_client.cli import calls
    from hippo_client.explanation import Explanation

    with connect() as client:
        explanation = Explanation(name, calls.explain_trial(client, name, number))
    if as_json:
        print_json(explanation.to_json())
    else:
        click.echo(str(explanation))


@trial.command()
@name_argument
@trial_argument
@json_option
def logs(name: str, number: int, as_json: bool) -> None:
    """Print what user code printed while the trial's path was trained.

    Example: hippo trial logs digits 3
    """
    from hippo_client.cli import calls

    pieces: list[dict[str, Any]] = []
    with connect() as client:
        latest = None
        for piece in calls.read_log(client, name, number):
            if as_json:
                pieces.append({"node": piece.node, "fence": piece.fence, "text": piece.text})
                continue
            if (piece.node, piece.fence) != latest:
                latest = (piece.node, piece.fence)
                say(f"--- node {piece.node}, lease {piece.fence}")
            click.echo(piece.text, nl=False)
    if as_json:
        print_json(pieces)


@trial.command()
@name_argument
@trial_argument
@json_option
def retry(name: str, number: int, as_json: bool) -> None:
    """Open a failed trial again.

    Example: hippo trial retry digits 3
    """
    from hippo_client.cli import calls
    from hippo_wire.json_shapes import trial_json

    with connect() as client:
        calls.retry(client, name, number)
        opened = calls.get_trial(client, name, number).trial
    if as_json:
        print_json(trial_json(opened))
    else:
        click.echo(f"Trial {number} of {name} is open again.")


@trial.command()
@name_argument
@trial_argument
@click.option("--to", type=WholeNumber(1), required=True, help="Up to which step, absolute.")
@json_option
def extend(name: str, number: int, to: int, as_json: bool) -> None:
    """Train a trial further, whatever its limit and its policy say.

    Example: hippo trial extend digits 3 --to 81
    """
    from hippo_client.cli import calls
    from hippo_wire.json_shapes import trial_json

    with connect() as client:
        answer = calls.extend_trial(client, name, number, to)
    for warning in answer.warnings:
        say(f"Warning: {warning}.")
    told = answer.trial
    if not answer.extended:
        say(
            f"Trial {number} of {name} is at step {told.step} of {told.max_steps} already; nothing to extend."
        )
    if as_json:
        print_json(trial_json(told))
    elif answer.extended:
        click.echo(
            f"Trial {number} of {name}, at step {told.step}, is trained further: {told.max_steps} is its limit."
        )


@trial.command()
@name_argument
@trial_argument
@json_option
def stop(name: str, number: int, as_json: bool) -> None:
    """End a trial, whether it is being trained or rests.

    Example: hippo trial stop digits 3
    """
    from hippo_client.cli import calls
    from hippo_wire.json_shapes import trial_json, trial_state

    with connect() as client:
        answer = calls.stop_trial(client, name, number)
    if not answer.stopped:
        say(
            f"Trial {number} of {name} had ended already: {trial_state(answer.trial).value}; nothing to stop."
        )
    if as_json:
        print_json(trial_json(answer.trial))
    elif answer.stopped:
        click.echo(f"Trial {number} of {name} stopped at step {answer.trial.step}.")


def _print_detail(detail: study_pb2.GetTrialResponse) -> None:
    from hippo_client.cli.summary import trial_lines
    from hippo_client.cli.tables import columns_of, print_table
    from hippo_core.words import probe_line
    from hippo_wire.json_shapes import feasibility, history_json, probes_json, trial_state

    shown = detail.trial
    reached = f"step {shown.step} of {shown.max_steps}"
    click.echo(f"Trial {shown.number} {trial_state(shown).value} at {reached}")
    if shown.reason:
        click.echo(shown.reason)
    if feasible := feasibility(shown):
        click.echo(feasible.capitalize())
    if shown.HasField("parent"):
        replaced = f", in place of trial {shown.instead_of}" if shown.HasField("instead_of") else ""
        click.echo(f"Forked from trial {shown.parent} at step {shown.forked_at}{replaced}")
    click.echo("\n".join(trial_lines(shown)))
    parts = " > ".join(
        f"{part.start}-{part.stop} ({part.trial_count})"
        + (" NOT REPRODUCIBLE" if part.not_reproducible else "")
        for part in detail.path
    )
    if parts:
        click.echo(f"Path, steps and how many trials share them: {parts}")
    if detail.checkpoints:
        kept = [
            f"{each.step} (a phase begins)" if each.begins_phase else str(each.step)
            for each in detail.checkpoints
        ]
        click.echo(f"Checkpoints at steps: {', '.join(kept)}")
    history = history_json(detail.history)
    if history:
        metrics = list(dict.fromkeys(name for each in history for name in each["metrics"]))
        click.echo()
        headings = ("STEP", *metrics)
        rows = [
            (
                str(each["step"]),
                *(measured(each["metrics"].get(name), each.get("spread", {}).get(name)) for name in metrics),
            )
            for each in history
        ]
        print_table(columns_of(headings, rows, right=headings), "--json shows them")
    if detail.repeats:
        _print_repeats(detail)
    for probe in probes_json(detail.probes):
        click.echo(probe_line(probe))


def _print_repeats(detail: study_pb2.GetTrialResponse) -> None:
    from hippo_client.cli.tables import columns_of, print_table
    from hippo_wire.json_shapes import repeats_json

    repeats = repeats_json(detail.repeats)
    last = [each["history"][-1]["metrics"] if each["history"] else {} for each in repeats]
    names = list(dict.fromkeys(name for each in last for name in each))
    headings = ("REPEAT", "SEED", "STATE", "STEP", *names)
    rows = [
        (
            str(each["repeat"]),
            str(each["seed"]),
            each["state"],
            str(each["step"]),
            *(number(metrics.get(name)) for name in names),
        )
        for each, metrics in zip(repeats, last, strict=True)
    ]
    click.echo()
    print_table(columns_of(headings, rows, right=("REPEAT", "SEED", "STEP", *names)), "--json shows them")
