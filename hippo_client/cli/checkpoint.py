"""``hippo checkpoint``: which states are kept and why, fetching one, pins, and what goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.lazy import NounGroup
from hippo_client.cli.numbers import WholeNumber
from hippo_client.cli.options import json_option, name_argument
from hippo_client.cli.terminal import print_json, say
from hippo_core.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hippo_client.handles.study import StudyHandle
    from hippo_client.handles.trial import Trial
    from hippo_wire.v1 import checkpoint_pb2

best_trial_option = click.option(
    "--trial", "number", type=WholeNumber(0), help="Of which trial; else of the best one."
)
step_option = click.option(
    "--step",
    type=WholeNumber(1),
    help="At which step; else where a completed trial ended, or the last one kept.",
)


@click.group(cls=NounGroup, missing_verb="ls")
def checkpoint() -> None:
    """List, fetch and pin checkpoints, and let some go.

    Example: hippo checkpoint ls digits
    """


@checkpoint.command("ls")
@name_argument
@json_option
def list_all(name: str, as_json: bool) -> None:
    """List a study's checkpoints: why each is kept, and what training it again would take.

    Example: hippo checkpoint ls digits
    """
    from hippo_client.checkpoint import checkpoint_json, kept_checkpoints

    with connect() as client:
        kept, answer = kept_checkpoints(client.connection, name)
    if as_json:
        print_json([checkpoint_json(each) for each in kept])
        return
    _print_kept(kept)
    for whose, budget in (("The study's", answer.study), ("All studies'", answer.storage)):
        say(f"{whose} checkpoints: {_used(budget)}")


@checkpoint.command()
@name_argument
@best_trial_option
@step_option
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Into this folder, which is made, or is empty; else NAME-trial-N-step-S.",
)
@json_option
def pull(name: str, number: int | None, step: int | None, folder: Path | None, as_json: bool) -> None:
    """Fetch a checkpoint's files into a folder, and verify each.

    Example: hippo checkpoint pull digits --trial 3 --to weights
    """
    with connect() as client:
        found = _trial(client.study(name), number).checkpoint(step)
        target = folder or Path(f"{name}-trial-{found.trial}-step-{found.step}")
        try:
            files = found.download(target)
        except FileExistsError as error:
            raise click.UsageError(f"{error}; choose another with --to.") from None
    if as_json:
        told = {"study": name, "trial": found.trial, "step": found.step, "bytes": found.size_bytes}
        print_json({**told, "files": [str(file) for file in files]})
        return
    for file in files:
        click.echo(str(file))
    say(f"Trial {found.trial} of {name} at step {found.step}: {len(files)} files, all as they were saved.")


@checkpoint.command()
@name_argument
@best_trial_option
@step_option
@json_option
def pin(name: str, number: int | None, step: int | None, as_json: bool) -> None:
    """Keep a checkpoint, whatever the budgets say.

    Example: hippo checkpoint pin digits --trial 3
    """
    from hippo_client.cli import calls
    from hippo_core.byte_sizes import bytes_in_words

    with connect() as client:
        pinned = calls.pin_checkpoint(client, name, number, step)
    if as_json:
        told = {"study": name, "trial": pinned.trial, "step": pinned.step, "bytes": pinned.size_bytes}
        print_json(told)
    else:
        size = bytes_in_words(pinned.size_bytes)
        click.echo(f"Pinned: trial {pinned.trial} of {name} at step {pinned.step}, {size}.")


@checkpoint.command()
@name_argument
@click.option("--trial", "number", type=WholeNumber(0), help="Only those on the path of this trial.")
@click.option("--step", type=WholeNumber(1), help="Only those at this step.")
@json_option
def unpin(name: str, number: int | None, step: int | None, as_json: bool) -> None:
    """Let a study's pins go: all, or those of a trial or a step.

    Example: hippo checkpoint unpin digits --trial 3
    """
    from hippo_client.cli import calls

    with connect() as client:
        count = calls.unpin_checkpoints(client, name, number, step)
    if as_json:
        print_json({"study": name, "unpinned": count})
    else:
        click.echo(f"{count} {'pin has' if count == 1 else 'pins have'} gone.")


@checkpoint.command()
@click.argument("name", required=False)
@click.option("--to", "size", metavar="SIZE", help="Until no more than this is left, e.g. 20GiB.")
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@json_option
def gc(name: str | None, size: str | None, dry_run: bool, as_json: bool) -> None:
    """Let checkpoints go that nothing waits for: of study NAME, or of all.

    What goes is trained again should it be wanted after all. Pins, what `keep=` says, and what open requests or
    running paths need never go. Without --to all goes that no trial of a study that has not ended may go on from; with
    it, what is cheapest to train again for its bytes, and least likely to be needed, goes first, until it is enough.

    Example: hippo checkpoint gc digits --dry-run
    """
    from hippo_client.checkpoint import checkpoint_json
    from hippo_client.cli import calls
    from hippo_core.byte_sizes import bytes_in_words, parse_bytes

    to_bytes = None if size is None else parse_bytes(size, "to")
    with connect() as client:
        gone = calls.collect_checkpoints(client, name, to_bytes, dry_run=dry_run)
    if as_json:
        listed = [checkpoint_json(each) for each in gone.checkpoints]
        print_json({"count": gone.checkpoint_count, "bytes": gone.size_bytes, "checkpoints": listed})
        return
    if gone.checkpoints:
        _print_kept(gone.checkpoints)
    what = f"{gone.checkpoint_count} checkpoint{'' if gone.checkpoint_count == 1 else 's'}"
    say(f"{what}, {bytes_in_words(gone.size_bytes)}, {'would go' if dry_run else 'let go'}.")


def _trial(study: StudyHandle, number: int | None) -> Trial:
    """The trial of that number, or the best one."""
    found = study.best_trial if number is None else study.trial(number)
    if found is None:
        raise NotFound(f"{study.name} has no best trial yet.", "Name a trial (--trial N).")
    return found


def _used(budget: checkpoint_pb2.CheckpointBudget) -> str:
    from hippo_core.byte_sizes import bytes_in_words

    if budget.over:
        return budget.over
    limit = f" of {bytes_in_words(budget.limit_bytes)}" if budget.HasField("limit_bytes") else ""
    return f"{bytes_in_words(budget.used_bytes)}{limit}"


def _print_kept(kept: Sequence[checkpoint_pb2.KeptCheckpoint]) -> None:
    from hippo_client.cli.tables import columns_of, print_table
    from hippo_core.byte_sizes import bytes_in_words
    from hippo_core.words import time_taken

    headings = ("NODE", "STEP", "SIZE", "WHY", "AGAIN", "TRIALS", "STEPS")
    rows = [
        (
            str(each.node),
            str(each.step),
            bytes_in_words(each.size_bytes),
            each.reason,
            time_taken(each.seconds),
            _trials(each),
            str(each.steps),
        )
        for each in kept
    ]
    right = ("NODE", "STEP", "SIZE", "AGAIN", "STEPS")
    columns = columns_of(headings, rows, right=right, cuttable=("WHY", "TRIALS"))
    # Of no study in particular, none has trials.
    shown = [each for each in columns if each.heading != "TRIALS" or any(each.cells)]
    print_table(shown, "--json shows them")


def _trials(kept: checkpoint_pb2.KeptCheckpoint) -> str:
    named = ", ".join(map(str, kept.trials))
    more = kept.trial_count - len(kept.trials)
    return f"{named} and {more} more" if more else named
