"""``hippo worker``: list workers, cordon their slots, drain them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hippo_client.cli.connection import connect, is_elsewhere
from hippo_client.cli.lazy import NounGroup
from hippo_client.cli.numbers import WholeNumber
from hippo_client.cli.options import json_option, name_argument, quiet_option
from hippo_client.cli.terminal import print_json, print_names, say
from hippo_wire.admin_shapes import doing_in_words, worker_json

if TYPE_CHECKING:
    from hippo_wire import json_types


@click.group(cls=NounGroup, missing_verb="ls")
def worker() -> None:
    """List workers, cordon their slots, drain them.

    Example: hippo worker ls
    """


@worker.command("ls")
@quiet_option
@json_option
def list_all(quiet: bool, as_json: bool) -> None:
    """List the workers and what their slots do.

    Example: hippo worker ls
    """
    from hippo_client.cli import calls
    from hippo_client.cli.tables import columns_of, print_table

    with connect() as client:
        workers = [worker_json(each) for each in calls.list_workers(client)]
    if as_json:
        print_json(workers)
        return
    if quiet:
        print_names(each["worker"] for each in workers)
        return
    rows = []
    for each in workers:
        for slot in each["slots"]:
            doing = doing_in_words(slot, each["blocked"])
            rows.append(
                (each["worker"], each["host"], each["state"], str(slot["index"]), slot["model"], doing)
            )
    headings = ("WORKER", "HOST", "STATE", "SLOT", "DEVICE", "DOES")
    cuttable = ("WORKER", "HOST", "DEVICE", "DOES")
    print_table(columns_of(headings, rows, right=("SLOT",), cuttable=cuttable), "--json shows them")


@worker.command()
@name_argument
@json_option
def drain(name: str, as_json: bool) -> None:
    """Let a worker save what it trains, give it back and leave.

    Example: hippo worker drain gpu-1
    """
    from hippo_client.cli import calls
    from hippo_client.local import Home

    with connect() as client:
        drained = worker_json(calls.drain_worker(client, name))
        again = "`hippo-worker`" if is_elsewhere(Home.at()) else "`hippo run STUDY.py` or `hippo up`"
    if as_json:
        print_json(drained)
    else:
        click.echo(f"The worker {name} is {drained['state']}.")
    say(f"It saves what it trains and leaves; {again} starts it again.")


slot_option = click.option("--slot", type=WholeNumber(0, 2**31 - 1), help="Only this one of its slots.")


@worker.command()
@name_argument
@slot_option
@click.option("--reason", default="", help="Why, for those who list the workers.")
@json_option
def cordon(name: str, slot: int | None, reason: str, as_json: bool) -> None:
    """Give a worker, or one of its slots, nothing more to train.

    What trains there goes on to its end; `hippo worker drain` has it saved and given back at once.

    Example: hippo worker cordon gpu-1 --slot 0 --reason 'fan is loud'
    """
    from hippo_client.cli import calls

    with connect() as client:
        _print_cordons(worker_json(calls.cordon_worker(client, name, slot, reason)), as_json)


@worker.command()
@name_argument
@slot_option
@json_option
def uncordon(name: str, slot: int | None, as_json: bool) -> None:
    """Let a worker, or one of its slots, be used again, whoever has cordoned it.

    Example: hippo worker uncordon gpu-1
    """
    from hippo_client.cli import calls

    with connect() as client:
        _print_cordons(worker_json(calls.uncordon_worker(client, name, slot)), as_json)


@worker.command()
@name_argument
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a worker: its environment, and what each of its slots does.

    Example: hippo worker show gpu-1
    """
    from hippo_client.cli import calls
    from hippo_core.errors import NotFound

    with connect() as client:
        found = [worker_json(each) for each in calls.list_workers(client) if each.name == name]
    if not found:
        raise NotFound(f"there is no worker '{name}'.", "`hippo worker ls` lists the workers.")
    if as_json:
        print_json(found[0])
        return
    click.echo(f"{name} on {found[0]['host']}: {found[0]['state']}")
    for word, value in {**found[0]["environment"], **found[0]["labels"]}.items():
        click.echo(f"  {word}: {value}")
    for slot in found[0]["slots"]:
        click.echo(
            f"  slot {slot['index']} ({slot['model'] or slot['device']}): {doing_in_words(slot, found[0]['blocked'])}"
        )


def _print_cordons(changed: json_types.Worker, as_json: bool) -> None:
    if as_json:
        print_json(changed)
        return
    for slot in changed["slots"]:
        click.echo(f"slot {slot['index']} of {changed['worker']}: {doing_in_words(slot)}")
