"""``hippo usage``: what was trained for whom, and who paid."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.options import json_option
from hippo_client.cli.terminal import print_json
from hippo_core.words import time_taken

if TYPE_CHECKING:
    from hippo_wire.v1 import account_pb2

UNITS = {"h": "hours", "d": "days", "w": "weeks"}
MICROSECONDS = 1_000_000


def _since(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,5})([hdw])", text)
    try:
        if found is not None:
            return datetime.now(UTC) - timedelta(**{UNITS[found[2]]: int(found[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is no time: write 24h, 7d, or a day as 2026-01-31.") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


@click.command()
@click.option(
    "--since",
    callback=_since,
    metavar="TIME",
    help="From that hour on: 24h, 7d, or a day as 2026-01-31 (UTC).",
)
@click.option(
    "--by",
    type=click.Choice(("user", "project", "study")),
    default="user",
    show_default=True,
    help="Summed up.",
)
@json_option
def usage(since: datetime | None, by: str, as_json: bool) -> None:
    """Say what was trained for whom, and who paid.

    A step is paid in equal parts by the users who wait for it when it is trained; who comes later pays nothing. What
    all paid together is just what was trained. Administrators of the project default see all projects.

    Example: hippo usage --since 7d --by user
    """
    from hippo_client.cli import calls
    from hippo_client.cli.tables import columns_of, print_table

    with connect() as client:
        found = summed(list(calls.list_bills(client, since)), by)
    if as_json:
        print_json(found)
        return
    names = {"user": ("project", "user"), "project": ("project",), "study": ("project", "user", "study")}[by]
    saved = since is None
    rows = []
    for each in [*found["usage"], {**dict.fromkeys(names, ""), names[0]: "together", **found["together"]}]:
        cells = [time_taken(each["slot_seconds"]), time_taken(each["gpu_seconds"])]
        if saved:
            cells.append("" if each["seconds_saved"] is None else time_taken(each["seconds_saved"]))
        rows.append((*(each[name] for name in names), *cells))
    numbers = ("SLOT TIME", "GPU TIME", *(("SAVED BY SHARING",) if saved else ()))
    headings = (*(name.upper() for name in names), *numbers)
    print_table(
        columns_of(headings, rows, right=numbers, cuttable=tuple(name.upper() for name in names)),
        "--json shows them",
    )


def summed(bills: list[account_pb2.Bill], by: str) -> dict[str, Any]:
    """Bills as ``hippo usage --json`` prints them: by whom, and together."""
    sums: dict[tuple[str, ...], dict[str, Any]] = {}
    for bill in bills:
        names = {"project": bill.project}
        if by != "project":
            names["user"] = bill.user
        key = tuple(names.values())
        if by == "study":
            names["study"] = f"{bill.study} (deleted)" if bill.deleted else bill.study
            key = (*key, str(len(sums)))
        row = sums.setdefault(key, {**names, "slot": 0, "gpu": 0, "seconds_saved": None})
        _add(row, bill)
    together: dict[str, Any] = {"slot": 0, "gpu": 0, "seconds_saved": None}
    for bill in bills:
        _add(together, bill)
    return {
        "usage": [_seconds(sums[key]) for key in (sums if by == "study" else sorted(sums))],
        "together": _seconds(together),
    }


def _add(row: dict[str, Any], bill: account_pb2.Bill) -> None:
    row["slot"] += bill.slot_microseconds
    row["gpu"] += bill.gpu_microseconds
    if bill.HasField("seconds_saved"):
        row["seconds_saved"] = (row["seconds_saved"] or 0.0) + bill.seconds_saved


def _seconds(row: dict[str, Any]) -> dict[str, Any]:
    slot, gpu = row.pop("slot"), row.pop("gpu")
    saved = row.pop("seconds_saved")
    return {
        **row,
        "slot_seconds": slot / MICROSECONDS,
        "gpu_seconds": gpu / MICROSECONDS,
        "seconds_saved": saved,
    }
