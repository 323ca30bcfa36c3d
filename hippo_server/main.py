"""The ``hippo-server`` command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from hippo_core.errors import Conflict, HippoError, InvalidStudy, NotAllowed, Unavailable
from hippo_server import process

if TYPE_CHECKING:
    from hippo_server.backup import Place
    from hippo_server.tls import TlsFiles

#: sysexits: a configuration that cannot be.
EXIT_CONFIGURATION = 78
EXITS: dict[type[HippoError], int] = {
    InvalidStudy: EXIT_CONFIGURATION,
    Unavailable: 3,
    NotAllowed: 4,
    Conflict: 6,
}


def default_home() -> Path:
    """The user's data folder."""
    import platformdirs

    return platformdirs.user_data_path("hippo", appauthor=False)


@click.group(
    invoke_without_command=True,
    subcommand_metavar="[backup|restore]",
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.option(
    "--home",
    envvar="HIPPO_HOME",
    type=click.Path(path_type=Path, file_okay=False),
    default=default_home,
    show_default="the user's data folder",
    help="Tokens, the embedded database, logs.  [env: HIPPO_HOME]",
)
@click.option(
    "--host", envvar="HIPPO_HOST", default="127.0.0.1", help="Address to listen at.  [env: HIPPO_HOST]"
)
@click.option(
    "--grpc-port",
    envvar="HIPPO_GRPC_PORT",
    type=click.IntRange(0, 65535),
    default=7440,
    help="Port of gRPC; 0: a free one.  [env: HIPPO_GRPC_PORT]",
)
@click.option(
    "--http-port",
    envvar="HIPPO_HTTP_PORT",
    type=click.IntRange(0, 65535),
    default=7441,
    help="Port of HTTP; 0: a free one.  [env: HIPPO_HTTP_PORT]",
)
@click.option(
    "--advertise",
    envvar="HIPPO_ADVERTISE",
    default=None,
    metavar="HOST:PORT",
    show_default="--host, or this machine's name, and the port of gRPC",
    help="Where callers find this server: told by servers that stand by.  [env: HIPPO_ADVERTISE]",
)
@click.option(
    "--tls-cert",
    envvar="HIPPO_TLS_CERT",
    type=click.Path(path_type=Path),
    default=None,
    show_default="what `hippo certs init` made in the home, for a --host that other machines reach",
    help="The server's certificate, PEM.  [env: HIPPO_TLS_CERT]",
)
@click.option(
    "--tls-key",
    envvar="HIPPO_TLS_KEY",
    type=click.Path(path_type=Path),
    default=None,
    help="Its key, PEM.  [env: HIPPO_TLS_KEY]",
)
@click.option(
    "--tls-client-ca",
    envvar="HIPPO_TLS_CLIENT_CA",
    type=click.Path(path_type=Path),
    default=None,
    help="Takes only callers with a certificate of this CA.  [env: HIPPO_TLS_CLIENT_CA]",
)
@click.option(
    "--database-url",
    envvar="HIPPO_DATABASE_URL",
    default=None,
    show_default="an embedded PostgreSQL in the home",
    help="A PostgreSQL.  [env: HIPPO_DATABASE_URL]",
)
@click.option(
    "--storage",
    envvar="HIPPO_STORAGE",
    default=None,
    show_default="storage/ in the home",
    help="Where checkpoints and code lie: a folder that all workers see, or an address for fsspec."
    "  [env: HIPPO_STORAGE]",
)
@click.option(
    "--checkpoint-budget",
    envvar="HIPPO_CHECKPOINT_BUDGET",
    metavar="SIZE",
    default=None,
    show_default="none",
    help="How much all checkpoints may hold, as 500GiB; beyond, what is worth least goes."
    "  [env: HIPPO_CHECKPOINT_BUDGET]",
)
@click.option(
    "--heartbeat-seconds",
    envvar="HIPPO_HEARTBEAT_SECONDS",
    type=click.FloatRange(0.01),
    default=5.0,
    help="How often workers renew their leases.  [env: HIPPO_HEARTBEAT_SECONDS]",
)
@click.option(
    "--lease-seconds",
    envvar="HIPPO_LEASE_SECONDS",
    type=click.FloatRange(0.05),
    default=30.0,
    help="After how long without a renewal a lease is given to another slot.  [env: HIPPO_LEASE_SECONDS]",
)
@click.option(
    "--leader-lease-seconds",
    envvar="HIPPO_LEADER_LEASE_SECONDS",
    type=click.FloatRange(0.3),
    default=15.0,
    help="After how long without a word from the server that leads one that stands by takes over."
    "  [env: HIPPO_LEADER_LEASE_SECONDS]",
)
@click.option(
    "--accept-timeline",
    envvar="HIPPO_ACCEPT_TIMELINE",
    type=click.IntRange(1),
    default=None,
    help="Lead though the database has failed over to this timeline, and may have lost what was committed last."
    "  [env: HIPPO_ACCEPT_TIMELINE]",
)
@click.option(
    "--orphan-seconds",
    envvar="HIPPO_ORPHAN_SECONDS",
    type=click.FloatRange(0.0),
    default=600.0,
    help="How long a worker that has lost the server trains on.  [env: HIPPO_ORPHAN_SECONDS]",
)
@click.option(
    "--stall-seconds",
    envvar="HIPPO_STALL_SECONDS",
    type=click.FloatRange(0.0, min_open=True),
    default=1800.0,
    help="After how long without a step a path is taken to be stuck, where steps are not known to take longer."
    "  [env: HIPPO_STALL_SECONDS]",
)
@click.option(
    "--proposal-seconds",
    envvar="HIPPO_PROPOSAL_SECONDS",
    type=click.FloatRange(0.0, min_open=True),
    default=60.0,
    help="How long a sampler may take for one point.  [env: HIPPO_PROPOSAL_SECONDS]",
)
@click.option(
    "--calls-per-second",
    envvar="HIPPO_CALLS_PER_SECOND",
    type=click.FloatRange(1.0),
    default=50.0,
    help="How many calls one token may make in the long run; workers as many as they need."
    "  [env: HIPPO_CALLS_PER_SECOND]",
)
@click.option(
    "--streams-per-user",
    envvar="HIPPO_STREAMS_PER_USER",
    type=click.IntRange(1),
    default=100,
    help="How many watched studies, downloads and uploads one token may have open."
    "  [env: HIPPO_STREAMS_PER_USER]",
)
@click.option(
    "--log-format",
    envvar="HIPPO_LOG_FORMAT",
    type=click.Choice(["auto", "json", "text"]),
    default="auto",
    help="auto: text for people on a terminal, elsewhere JSON, an event a line.  [env: HIPPO_LOG_FORMAT]",
)
@click.pass_context
def main(
    context: click.Context,
    home: Path,
    host: str,
    grpc_port: int,
    http_port: int,
    advertise: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    database_url: str | None,
    storage: str | None,
    checkpoint_budget: str | None,
    heartbeat_seconds: float,
    lease_seconds: float,
    leader_lease_seconds: float,
    accept_timeline: int | None,
    orphan_seconds: float,
    stall_seconds: float,
    proposal_seconds: float,
    calls_per_second: float,
    streams_per_user: int,
    log_format: Literal["auto", "json", "text"],
) -> None:
    """Hippo's server: keeps studies, hands out work, answers clients.

    Several on one --database-url and one --storage, each with a --home of its own: one leads, the others stand by.
    """
    process.prepare_libraries()
    if context.invoked_subcommand is not None:
        context.obj = (home.expanduser().absolute(), database_url, storage)
        return
    from hippo_core.byte_sizes import parse_bytes
    from hippo_core.engine.decision import EngineSettings
    from hippo_server import garbage
    from hippo_server.auth.limits import CallLimits
    from hippo_server.settings import Settings
    from hippo_wire.observing import tracing
    from hippo_wire.observing.logs import log_to_stderr

    process.set_title()
    log_to_stderr(log_format)
    home = home.expanduser().absolute()
    with _errors_told():
        if heartbeat_seconds * 2 > lease_seconds:
            raise InvalidStudy(
                "lease_seconds",
                f"{lease_seconds:g} is less than two heartbeats of {heartbeat_seconds:g} s",
                "One lost heartbeat must not cost a lease.",
            )
        settings = Settings(
            home=home,
            storage=storage or str(home / "storage"),
            host=host,
            grpc_port=grpc_port,
            http_port=http_port,
            advertise=advertise,
            leader_lease_seconds=leader_lease_seconds,
            accepted_timeline=accept_timeline,
            tls=_tls_files(home, host, tls_cert, tls_key, tls_client_ca),
            database_url=database_url,
            proposal_seconds=proposal_seconds,
            limits=CallLimits(calls_per_second=calls_per_second, streams=streams_per_user),
            engine=EngineSettings(
                heartbeat_seconds=heartbeat_seconds,
                lease_seconds=lease_seconds,
                orphan_seconds=orphan_seconds,
                checkpoint_budget=None
                if checkpoint_budget is None
                else parse_bytes(checkpoint_budget, "checkpoint_budget"),
                stall_seconds=stall_seconds,
            ),
        )
        garbage.spare_what_lives()
        process.share_the_interpreter()
        end_tracing = tracing.begin("hippo-server", os.environ)
        try:
            asyncio.run(process.serve(settings))
        finally:
            end_tracing()


@main.command()
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="A new folder, or an earlier backup.",
)
@click.pass_obj
def backup(where: tuple[Path, str | None, str | None], folder: Path) -> None:
    """Copy database and storage into a folder; the server may run meanwhile.

    The options that say where these are come before the word: hippo-server --home HOME backup --to FOLDER.
    """
    from hippo_server.backup import back_up

    place = _place(where)
    with _errors_told():
        copied = back_up(place, folder.expanduser().absolute())
    click.echo(
        f"{folder} holds the database, and {_files(copied.files, copied.size_bytes)} more of the storage."
    )
    if not copied.storage:
        click.echo(
            f"The storage {place.storage} is not copied: it is no folder. Keep it by its own means.", err=True
        )


@main.command()
@click.option("--from", "folder", required=True, type=click.Path(path_type=Path), help="The backup.")
@click.pass_obj
def restore(where: tuple[Path, str | None, str | None], folder: Path) -> None:
    """Put a backup into an empty database and a storage, before a server starts there.

    What was trained after the backup is trained again, from the checkpoints that it holds, and counted.
    """
    from hippo_server import backup as backups

    place = _place(where)
    with _errors_told():
        copied = backups.restore(place, folder.expanduser().absolute())
    click.echo(f"The database is restored, and {_files(copied.files, copied.size_bytes)} of the storage.")
    if not copied.storage:
        click.echo(f"The storage {place.storage} is as it was: it is no folder.", err=True)


def _place(where: tuple[Path, str | None, str | None]) -> Place:
    from hippo_server.backup import Place

    home, database_url, storage = where
    return Place(home=home, database_url=database_url, storage=storage or str(home / "storage"))


def _files(count: int, size_bytes: int) -> str:
    from hippo_core.byte_sizes import bytes_in_words

    return f"{count} file{'' if count == 1 else 's'} ({bytes_in_words(size_bytes)})"


@contextlib.contextmanager
def _errors_told() -> Iterator[None]:
    """Says what went wrong, and exits with its code."""
    try:
        yield
    except HippoError as error:
        click.echo(f"error[{error.code}]: {error}", err=True)
        exits = (number for kind, number in EXITS.items() if isinstance(error, kind))
        sys.exit(next(exits, 1))


def _tls_files(
    home: Path, host: str, certificate: Path | None, key: Path | None, client_authorities: Path | None
) -> TlsFiles | None:
    """The certificates that are named, or those of the home where others are to reach the server."""
    from hippo_server.tls import TlsFiles
    from hippo_wire.route import is_loopback

    made = TlsFiles(certificate=home / "certs" / "server.pem", key=home / "certs" / "server.key")
    if certificate is None and key is None and not is_loopback(host) and made.certificate.exists():
        return replace(made, client_authorities=client_authorities)
    if certificate is not None and key is not None:
        return TlsFiles(certificate=certificate, key=key, client_authorities=client_authorities)
    if certificate is None and key is None and client_authorities is None:
        return None
    missing = "tls-key" if certificate is not None else "tls-cert"
    raise InvalidStudy(missing, "is missing", "Give --tls-cert and --tls-key together.")


if __name__ == "__main__":
    main()
