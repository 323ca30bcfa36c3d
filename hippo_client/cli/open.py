"""``hippo open``: the dashboard, in a browser that is logged in by a link."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.options import json_option
from hippo_client.cli.terminal import print_json, say

if TYPE_CHECKING:
    from hippo_client.client import Client


@click.command("open")
@click.argument("study", required=False)
@click.option("--print", "only_print", is_flag=True, help="Print the link, and open no browser.")
@json_option
def open_page(study: str | None, only_print: bool, as_json: bool) -> None:
    """Open the dashboard, or a study's page, in a browser.

    Prints a link that logs a browser in, once, within two minutes, with what your token may do; where there is a
    desktop it is opened at once.

    Example: hippo open digits
    """
    import webbrowser

    from hippo_client.cli import calls

    with connect() as client:
        if study is not None:
            calls.get_study(client, study)  # a name that is mistaken is told here
        link, expires_at = login_link(client, "/" if study is None else f"/studies/{quote(study, safe='')}")
    if as_json:
        print_json({"url": link, "expires_at": expires_at})
        return
    click.echo(link)
    if only_print or not _has_desktop():
        say("It logs a browser in, once, within two minutes.")
    elif not webbrowser.open(link):
        say("No browser could be opened: open the link yourself, within two minutes.")


def login_link(client: Client, path: str) -> tuple[str, str]:
    """A link that logs a browser in and goes on to a path; and until when it is good, ISO 8601 in UTC."""
    from datetime import UTC

    from hippo_client.cli import calls
    from hippo_wire.secrets import new_secret

    secret = new_secret()
    made = calls.create_login_link(client, secret)
    host = client.server.rpartition(":")[0]
    scheme = "https" if client.connection.encrypted else "http"
    address = f"{scheme}://{host}:{made.http_port}/login?{urlencode({'link': secret, 'to': path})}"
    return address, made.expire_time.ToDatetime(UTC).isoformat()


def _has_desktop() -> bool:
    """Whether a browser that is opened would be seen."""
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
