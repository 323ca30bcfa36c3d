"""``hippo login`` and ``hippo logout``: which server commands talk to that name none."""

from __future__ import annotations

import os
import sys

import click

from hippo_client.cli.terminal import print_json, say


@click.command()
@click.argument("server", metavar="HOST:PORT")
@click.option(
    "--ca", metavar="FILE", envvar="HIPPO_CA", help="The server's ca.pem, or `system`.  [env: HIPPO_CA]"
)
@click.option(
    "--cert", metavar="FILE", envvar="HIPPO_CERT", help="Your certificate, for a server that asks for one."
)
@click.option("--key", metavar="FILE", envvar="HIPPO_KEY", help="Its key.")
@click.option("--token-file", metavar="FILE", help="A file with your token; else it is asked for.")
@click.option("--json", "as_json", is_flag=True, help="Print who you are there as JSON.")
def login(
    server: str, ca: str | None, cert: str | None, key: str | None, token_file: str | None, as_json: bool
) -> None:
    """Use this server from now on, with this token.

    Both are kept in the home, for you alone to read. HIPPO_SERVER, HIPPO_TOKEN and HIPPO_TOKEN_FILE go before.

    Where servers stand by for another, name them all: HOST:PORT,HOST:PORT.

    Example: hippo login head.example.org:7440 --ca ca.pem
    """
    from hippo_client.endpoint import read_token_file
    from hippo_client.local import Home
    from hippo_client.login import Login, write_login
    from hippo_core.errors import NotAllowed
    from hippo_wire.connection import Connection
    from hippo_wire.tls import read_trust
    from hippo_wire.v1 import admin_pb2

    trust = read_trust(ca, cert, key)
    if token_file:
        token = read_token_file(token_file)
    elif sys.stdin.isatty():
        token = str(click.prompt("Token", hide_input=True, err=True)).strip()
    else:
        token = sys.stdin.readline().strip()
    if not token:
        raise NotAllowed("there is no token.", "Give --token-file, or type it when asked.")
    with Connection(server, token, trust) as connection:
        about = connection.admin.GetServer(admin_pb2.GetServerRequest())
    write_login(Home.at(), Login(server=server, token=token, trust=trust))
    if as_json:
        print_json({"server": server, "user": about.user, "role": about.role, "project": about.project})
    else:
        click.echo(f"Logged in to {server} as {about.user}, {about.role} of the project {about.project}.")
    if os.environ.get("HIPPO_SERVER"):
        say("HIPPO_SERVER is set, and goes before: unset it to use this login.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was forgotten as JSON.")
def logout(as_json: bool) -> None:
    """Forget the server of `hippo login`, and the token for it.

    Example: hippo logout
    """
    from hippo_client.local import Home
    from hippo_client.login import forget_login, login_file

    home = Home.at()
    there = login_file(home).exists()
    found = forget_login(home)
    if as_json:
        print_json({"server": None if found is None else found.server})
    elif found is None:
        click.echo("A login that could not be read is forgotten." if there else "You were not logged in.")
    else:
        click.echo(f"Logged out of {found.server}. Its token stays valid: an administrator can revoke it.")
