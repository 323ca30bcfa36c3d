"""``hippo study fork`` and ``enqueue``: trials of one's own."""

from __future__ import annotations

import json
import math
from typing import Any

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.numbers import WholeNumber
from hippo_client.cli.options import json_option, name_argument
from hippo_client.cli.terminal import print_json


@click.command()
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


@click.command()
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
