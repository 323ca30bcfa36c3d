"""``hippo up`` and ``hippo down``: a server and a worker on this machine that stay."""

from __future__ import annotations

import click

from hippo_client.cli.numbers import WholeNumber
from hippo_client.cli.terminal import print_json, say


@click.command()
@click.option("--slots", type=WholeNumber(1), envvar="HIPPO_SLOTS", help="Paths trained at a time.")
@click.option(
    "--grpc-port",
    type=WholeNumber(0, 65535),
    envvar="HIPPO_GRPC_PORT",
    default=7440,
    show_default=True,
    help="Of a server that is not up yet; 0: any free one.",
)
@click.option(
    "--http-port",
    type=WholeNumber(0, 65535),
    envvar="HIPPO_HTTP_PORT",
    default=7441,
    show_default=True,
    help="Of a server that is not up yet; 0: any free one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the addresses as JSON.")
def up(slots: int | None, grpc_port: int, http_port: int, as_json: bool) -> None:
    """Start this machine's server and worker, and let them stay.

    Example: hippo up --slots 2
    """
    from hippo_client.local import Home, attach

    home = Home.at()
    with attach(home, slots, stay=True, ports=(grpc_port, http_port), tell=say) as attachment:
        if as_json:
            print_json(
                {
                    "server": attachment.server,
                    "http": attachment.http,
                    "home": str(home.path),
                    "slots": attachment.slots,
                }
            )
            return
        click.echo(f"The server listens at {attachment.server}, HTTP at {attachment.http}.")
        click.echo(f"Home: {home.path}")
        click.echo(f"Token: {home.admin_token_file}")
    click.echo(
        "`hippo submit STUDY.py` hands it a study; `hippo open` shows it in a browser; `hippo down` ends it."
    )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was ended as JSON.")
def down(as_json: bool) -> None:
    """End this machine's server and worker. What runs is saved first; a study goes on when they are up again.

    Example: hippo down
    """
    from hippo_client.local import shut_down

    ended = shut_down(tell=say)
    if as_json:
        print_json({"ended": ended})
    else:
        click.echo("Everything has ended." if ended else "Nothing was running.")
