"""``hippo certs``: certificates, so that other machines may reach the server."""

from __future__ import annotations

from pathlib import Path

import click

from hippo_client.cli.numbers import WholeNumber
from hippo_client.cli.terminal import print_json, say


@click.group()
def certs() -> None:
    """Make certificates, so that other machines may reach the server.

    Example: hippo certs init --host head.example.org
    """


@certs.command()
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A name or address by which the server is reached; as often as there are. By default this host's names.",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    show_default="certs/ in the home",
    help="Where they are put.",
)
@click.option(
    "--days", type=WholeNumber(1, 3650), default=365, show_default=True, help="How long they are valid."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def init(hosts: tuple[str, ...], folder: Path | None, days: int, as_json: bool) -> None:
    """Make an authority, and certificates for a server and its callers.

    Run again it keeps the authority and renews the rest: a server that runs takes it within seconds.

    Example: hippo certs init --host head.example.org
    """
    import socket

    from hippo_client.local import Home
    from hippo_core.errors import NotFound

    try:
        from hippo_client.certificates import make_certificates
    except ModuleNotFoundError as error:
        raise NotFound(
            f"{error.name} is not installed.", "pip install 'hippo-hpo[server]' where the server runs."
        ) from None

    names = hosts or tuple(dict.fromkeys([socket.gethostname(), socket.getfqdn()]))
    home = Home.at()
    if folder is None:
        home.create()
    made = make_certificates(folder.expanduser().absolute() if folder else home.certificates, names, days)
    if as_json:
        print_json(
            {
                "folder": str(made.folder),
                "hosts": list(made.hosts),
                "valid_until": made.until.isoformat(),
                "new_authority": made.new_authority,
            }
        )
        return
    click.echo(
        f"{'Made' if made.new_authority else 'Renewed'} in {made.folder}, valid until {made.until:%Y-%m-%d},"
    )
    click.echo(f"for {', '.join(made.hosts)}.")
    say("")
    if folder is None:
        say("Server:   hippo-server --host 0.0.0.0")
    else:
        say(
            f"Server:   hippo-server --host 0.0.0.0 --tls-cert {folder}/server.pem --tls-key {folder}/server.key"
        )
    say(f"Workers:  hippo-worker --server {names[0]}:7440 --ca ca.pem --token-file worker.token")
    say(f"People:   hippo login {names[0]}:7440 --ca ca.pem")
    say("They need a copy of ca.pem, which is no secret. ca.key signs for whoever has it: keep it here.")
