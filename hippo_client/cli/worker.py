"""``hippo worker``: list and drain workers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from hippo_client.cli.connection import connect, is_elsewhere
from hippo_client.cli.lazy import NounGroup
from hippo_client.cli.study import json_option, name_argument
from hippo_client.cli.terminal import print_json, say

if TYPE_CHECKING:
    from hippo_wire.v1 import admin_pb2


@click.group(cls=NounGroup, missing_verb="ls")
def worker() -> None:
    """List and drain workers."""


@worker.command("ls")
@json_option
def list_all(as_json: bool) -> None:
    """List the workers and what their slots do."""
    from hippo_client.cli import calls
    from hippo_client.cli.tables import columns_of, print_table

    with connect() as client:
        workers = [worker_json(each) for each in calls.list_workers(client)]
    if as_json:
        print_json(workers)
        return
    rows = []
    for each in workers:
        for slot in each["slots"]:
            doing = _doing(slot) if slot["study"] else "idle"
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
    """Let a worker save what it trains, give it back and leave."""
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


def _doing(slot: dict[str, Any]) -> str:
    probed = slot["probe_of"]
    what = slot["study"] if probed is None else f"{slot['study']}, a probe of trial {probed},"
    return f"{what} at step {slot['step']}"


def worker_json(message: admin_pb2.Worker) -> dict[str, Any]:
    """The worker as ``hippo worker ls --json`` prints it."""
    from hippo_wire.enums import worker_state

    return {
        "worker": message.name,
        "host": message.host,
        "state": worker_state(message.state).value,
        "slots": [
            {
                "index": slot.index,
                "device": slot.device,
                "model": slot.model,
                "study": slot.study or None,
                "step": slot.step,
                "probe_of": slot.probe_of if slot.HasField("probe_of") else None,
                "fence": slot.fence if slot.HasField("fence") else None,
            }
            for slot in message.slots
        ],
        "environment": json.loads(message.environment_json or "{}"),
        "labels": dict(sorted(message.labels.items())),
    }
