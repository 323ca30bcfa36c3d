"""``hippo program``: what was trained, study by study, and forgetting it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.lazy import NounGroup
from hippo_client.cli.options import json_option, quiet_option
from hippo_client.cli.terminal import print_json, print_names
from hippo_core.errors import Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hippo_wire.v1 import study_pb2

#: So much of a key is shown, and is enough to name a program.
SHOWN = 12


@click.group(cls=NounGroup, missing_verb="ls")
def program() -> None:
    """List and forget programs: what is trained, whatever the hyper-parameters.

    Example: hippo program ls
    """


@program.command("ls")
@quiet_option
@json_option
def list_all(quiet: bool, as_json: bool) -> None:
    """List the programs that there are studies of, in each environment that they were trained in.

    Example: hippo program ls
    """
    from hippo_client.cli import calls
    from hippo_client.cli.tables import columns_of, print_table
    from hippo_core.byte_sizes import bytes_in_words

    with connect() as client:
        found = calls.list_programs(client)
    if as_json:
        print_json([_json(each) for each in found])
        return
    if quiet:
        print_names(each.key for each in found)
        return
    headings = ("PROGRAM", "TRAINER", "ENVIRONMENT", "STUDIES", "NODES", "CHECKPOINTS", "SIZE")
    rows = [
        (
            each.key[:SHOWN],
            each.trainer,
            _in_words(each.environment_json),
            ", ".join(each.studies),
            str(each.node_count),
            str(each.checkpoint_count),
            bytes_in_words(each.checkpoint_bytes),
        )
        for each in found
    ]
    right = ("NODES", "CHECKPOINTS", "SIZE")
    print_table(
        columns_of(headings, rows, right=right, cuttable=("ENVIRONMENT", "STUDIES")), "--json shows them"
    )


@program.command()
@click.argument("key", metavar="PROGRAM")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def forget(key: str, yes: bool, as_json: bool) -> None:
    """Forget a program, with its studies and all that was trained of it, in every environment.

    PROGRAM is its key, or the beginning of it. All its studies must have ended. They are deleted, and
    their results and checkpoints go; what was billed is kept. An equal study that is submitted later is trained anew.

    Example: hippo program forget 3f2a --yes
    """
    from hippo_client.cli import calls
    from hippo_core.byte_sizes import bytes_in_words

    with connect() as client:
        known = [each for each in calls.list_programs(client) if key and each.key.startswith(key)]
        whole = _only(known, key)
        studies = _studies(sum(len(each.studies) for each in known))
        size = bytes_in_words(sum(each.checkpoint_bytes for each in known))
        going = f"the program {whole[:SHOWN]} ({known[0].trainer}) with {studies} and {size} of checkpoints"
        if not yes and not sys.stdin.isatty():
            raise click.UsageError(f"Forgetting {going} needs --yes where nobody can be asked.")
        sure = yes or click.confirm(f"Forget {going}?", err=True)
        forgotten = calls.forget_program(client, whole) if sure else 0
    if as_json:
        print_json({"program": whole, "studies_deleted": forgotten})
    elif not sure:
        click.echo("Nothing forgotten.")
    else:
        click.echo(f"Forgot {whole[:SHOWN]} with {_studies(forgotten)}.")


def _only(known: Sequence[study_pb2.KnownProgram], key: str) -> str:
    """The one key among them."""
    keys = {each.key for each in known}
    if not keys:
        raise NotFound(f"no study is of a program '{key}'.", "hippo program ls lists those that there are.")
    if len(keys) > 1:
        raise Conflict(f"the keys of {len(keys)} programs begin with '{key}'.", "Give more of it.")
    return keys.pop()


def _studies(count: int) -> str:
    return "1 study" if count == 1 else f"{count} studies"


def _json(known: study_pb2.KnownProgram) -> dict[str, Any]:
    return {
        "program": known.key,
        "trainer": known.trainer,
        "environment": json.loads(known.environment_json) if known.environment_json else None,
        "studies": list(known.studies),
        "open_studies": list(known.open_studies),
        "nodes": known.node_count,
        "checkpoints": known.checkpoint_count,
        "bytes": known.checkpoint_bytes,
    }


def _in_words(environment: str) -> str:
    """What decides bits; where no lease has bound the program, nothing does yet."""
    if not environment:
        return "not trained yet"
    return ", ".join(
        f"{name} {value}" for name, value in json.loads(environment).items() if value is not None
    )
