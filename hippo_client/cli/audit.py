"""``hippo audit``: who asked the server for what."""

from __future__ import annotations

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.numbers import WholeNumber
from hippo_client.cli.options import json_option
from hippo_client.cli.terminal import print_json
from hippo_wire.admin_shapes import call_json


@click.command()
@click.option("--limit", type=WholeNumber(1, 100_000), default=50, show_default=True, help="At most so many.")
@click.option("--token", "actor", default="", metavar="NAME", help="Only what was asked with this token.")
@click.option("--denied", is_flag=True, help="Only what was refused for who asked.")
@json_option
def audit(limit: int, actor: str, denied: bool, as_json: bool) -> None:
    """Show who asked the server for what: what changes something, and what was refused; the newest first.

    Administrators see it: of the project default all, of others their project's.

    Example: hippo audit --denied
    """
    from hippo_client.cli import calls
    from hippo_client.cli.tables import columns_of, print_table

    with connect() as client:
        found = [call_json(each) for each in calls.list_calls(client, actor, limit, denied=denied)]
    if as_json:
        print_json(found)
        return
    rows = [
        (
            each["at"][:19].replace("T", " "),
            each["token"] or "(unknown)",
            each["method"],
            each["subject"],
            each["result"],
            each["peer"],
        )
        for each in found
    ]
    headings = ("AT (UTC)", "TOKEN", "ASKED", "ABOUT", "RESULT", "FROM")
    print_table(columns_of(headings, rows, cuttable=("TOKEN", "ABOUT", "FROM")), "--json shows them")
