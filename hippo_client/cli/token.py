"""``hippo token``: who may do what on a server."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.lazy import NounGroup
from hippo_client.cli.numbers import WholeNumber
from hippo_client.cli.options import json_option, quiet_option
from hippo_client.cli.terminal import print_json, print_names, say
from hippo_wire.admin_shapes import token_json

if TYPE_CHECKING:
    from hippo_wire import json_types

ROLES = ("viewer", "editor", "admin", "worker", "join")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@click.group(cls=NounGroup, missing_verb="ls")
def token() -> None:
    """Make, list and revoke tokens: who may do what.

    Example: hippo token create ada --role editor
    """


def _lifetime(context: click.Context, parameter: click.Parameter, text: str) -> timedelta | None:
    if text == "never":
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no time: write 30m, 12h, 90d or never.")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


@token.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    required=True,
    help="viewer reads, editor submits, admin manages, worker trains; join gets workers tokens of their own.",
)
@click.option("--project", help="Where it is valid; by default in your project.")
@click.option(
    "--expires",
    callback=_lifetime,
    default="90d",
    show_default=True,
    metavar="TIME",
    help="30m, 12h, 90d or never.",
)
@click.option(
    "--uses",
    type=WholeNumber(1, 10_000),
    help="Of a join token: how many workers may join with it.  [default: 1]",
)
@json_option
def create(
    name: str, role: str, project: str | None, expires: timedelta | None, uses: int | None, as_json: bool
) -> None:
    """Make a token and print it. It is shown this once, and kept nowhere.

    Example: hippo token create ada --role editor > ada.token
    """
    from hippo_client.cli import calls
    from hippo_wire.secrets import new_secret

    secret = new_secret()
    uses = 1 if role == "join" and uses is None else uses
    with connect() as client:
        made = token_json(calls.create_token(client, name, role, project or "", secret, expires, uses))
    if as_json:
        print_json({**made, "secret": secret})
        return
    click.echo(secret)
    say(f"{name} is {role} of the project {made['project']}, until {_minute(made['expires_at'])}.")


@token.command("ls")
@quiet_option
@json_option
def list_all(quiet: bool, as_json: bool) -> None:
    """List the tokens, without their secrets.

    Example: hippo token ls
    """
    from hippo_client.cli import calls
    from hippo_client.cli.tables import columns_of, print_table

    with connect() as client:
        tokens = [token_json(each) for each in calls.list_tokens(client)]
    if as_json:
        print_json(tokens)
        return
    if quiet:
        print_names(each["token"] for each in tokens)
        return
    rows = [
        (
            each["token"],
            each["role"],
            each["project"],
            _day(each["created_at"]),
            _minute(each["expires_at"]),
            _state(each),
        )
        for each in tokens
    ]
    headings = ("TOKEN", "ROLE", "PROJECT", "MADE", "EXPIRES", "STATE")
    print_table(columns_of(headings, rows, cuttable=("TOKEN", "PROJECT")), "--json shows them")


@token.command()
@click.argument("name")
@json_option
def revoke(name: str, as_json: bool) -> None:
    """End a token. Calls and streams with it are refused within seconds.

    Example: hippo token revoke ada
    """
    from hippo_client.cli import calls

    with connect() as client:
        calls.revoke_token(client, name)
    if as_json:
        print_json({"revoked": name})
    else:
        click.echo(f"The token {name} is revoked.")


def _minute(moment: str | None) -> str:
    return "never" if moment is None else f"{moment[:16].replace('T', ' ')} UTC"


def _day(moment: str | None) -> str:
    return "never" if moment is None else moment[:10]


def _state(found: json_types.Token) -> str:
    if found["revoked_at"] is not None:
        return f"revoked {_day(found['revoked_at'])}"
    if found["expires_at"] is not None and datetime.fromisoformat(found["expires_at"]) <= datetime.now(UTC):
        return "expired"
    left = found["uses_left"]
    return "valid" if left is None else f"{left} more may join"
