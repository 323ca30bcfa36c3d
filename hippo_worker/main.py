"""The command ``hippo-worker``: trains what a server grants, until it is told to end.

Exit codes: 0 drained and left, 1 failed, 2 usage, 3 server unreachable, 4 not allowed, 6 conflict.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from hippo_core.errors import HippoError
    from hippo_wire.tls import Trust
    from hippo_worker.settings import ComingServer, Endpoint, PageSettings, WorkerSettings

_option = functools.partial(click.option, show_envvar=True, show_default=True)
_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
_EXIT_CODES = {"INVALID": 2, "UNAVAILABLE": 3, "NOT_ALLOWED": 4, "NOT_FOUND": 5, "CONFLICT": 6, "STALE": 6}


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@_option(
    "--server",
    envvar="HIPPO_SERVER",
    default="127.0.0.1:7440",
    help="host:port; several with commas between, where some stand by for another.",
)
@_option(
    "--server-file",
    envvar="HIPPO_SERVER_FILE",
    type=click.Path(path_type=Path),
    help="In place of --server: where a server of this machine says its address; waited for, and read again whenever "
    "the server is lost.",
)
@_option(
    "--token-file",
    envvar="HIPPO_TOKEN_FILE",
    type=click.Path(path_type=Path),
    help="File with a worker's token; else HIPPO_TOKEN holds it.",
)
@_option(
    "--join-token-file",
    envvar="HIPPO_JOIN_TOKEN_FILE",
    type=click.Path(path_type=Path),
    help="In place of --token-file: with a token of role join. The worker gets one of its own, and keeps it.",
)
@_option(
    "--ca", envvar="HIPPO_CA", help="The server's ca.pem, or `system`; without one nothing is encrypted."
)
@_option("--cert", envvar="HIPPO_CERT", help="The worker's certificate, for a server that asks for one.")
@_option("--key", envvar="HIPPO_KEY", help="Its key.")
@_option(
    "--name",
    envvar="HIPPO_WORKER_NAME",
    help="Of letters, digits, dots, dashes and underscores; by default the host's.",
)
@_option(
    "--slots",
    envvar="HIPPO_SLOTS",
    type=int,
    help="Places that train at once, those with a GPU first; by default one for each GPU, else for each core.",
)
@_option(
    "--slots-per-gpu",
    envvar="HIPPO_SLOTS_PER_GPU",
    type=int,
    default=1,
    help="Slots that share a GPU, for trials too small to fill one: each may take its part of the memory.",
)
@_option("--labels", envvar="HIPPO_LABELS", default="", help="name=value,... for people.")
@_option(
    "--data-dir",
    envvar="HIPPO_DATA_DIR",
    type=click.Path(path_type=Path),
    help="Folder for caches and trainers' data; by default `worker` below HIPPO_HOME.",
)
@_option("--cache", envvar="HIPPO_CACHE", default="4GiB", help="Disk for recent checkpoints.")
@_option(
    "--gpu-memory-fraction",
    envvar="HIPPO_GPU_MEMORY_FRACTION",
    type=float,
    help="How much of its GPU's memory a slot may take, up to 1; by default all, or an equal part where slots share "
    "one.",
)
@_option(
    "--secrets-file",
    envvar="HIPPO_SECRETS_FILE",
    type=click.Path(path_type=Path),
    help="NAME=value lines, for studies that name them as secrets; by default `secrets.env` in the data folder.",
)
@_option(
    "--health-check",
    envvar="HIPPO_HEALTH_CHECK",
    help="Shell command that ends with 0 where the device of slot $HIPPO_SLOT is in order; by default GPUs are asked.",
)
@_option(
    "--health-seconds",
    envvar="HIPPO_HEALTH_SECONDS",
    type=click.FloatRange(0.05),
    default=60.0,
    help="How often an idle slot's device is checked.",
)
@_option(
    "--drain-seconds",
    envvar="HIPPO_DRAIN_SECONDS",
    type=click.FloatRange(0.0),
    default=120.0,
    help="How long paths may take to save when the worker is told to end; then they are given back unsaved.",
)
@_option(
    "--exit-when-idle",
    envvar="HIPPO_EXIT_WHEN_IDLE",
    metavar="TIME",
    help="End, as by SIGTERM, after so long (90s, 5m, 2h) with nothing to do while the server is reached: for hosts "
    "that are hired when there is work. By default never.",
)
@_option(
    "--metrics-address",
    envvar="HIPPO_METRICS_ADDRESS",
    metavar="HOST:PORT",
    help="Where /metrics, /livez and /readyz are shown over HTTP; by default nowhere.",
)
@_option(
    "--metrics-token-file",
    envvar="HIPPO_METRICS_TOKEN_FILE",
    type=click.Path(path_type=Path),
    help="File with the token that /metrics asks for; by default `metrics.token` in the data folder, made at the "
    "first start.",
)
@_option(
    "--metrics-cert",
    envvar="HIPPO_METRICS_CERT",
    type=click.Path(path_type=Path),
    help="The certificate of --metrics-address, PEM; needed where other machines reach it.",
)
@_option("--metrics-key", envvar="HIPPO_METRICS_KEY", type=click.Path(path_type=Path), help="Its key, PEM.")
@_option(
    "--log-format",
    envvar="HIPPO_LOG_FORMAT",
    type=click.Choice(["auto", "json", "text"]),
    default="auto",
    help="auto: text for people on a terminal, elsewhere JSON, an event a line.",
)
@click.pass_context
def cli(
    context: click.Context,
    server: str,
    server_file: Path | None,
    token_file: Path | None,
    join_token_file: Path | None,
    ca: str | None,
    cert: str | None,
    key: str | None,
    name: str | None,
    slots: int | None,
    slots_per_gpu: int,
    labels: str,
    data_dir: Path | None,
    cache: str,
    gpu_memory_fraction: float | None,
    secrets_file: Path | None,
    health_check: str | None,
    health_seconds: float,
    drain_seconds: float,
    exit_when_idle: str | None,
    metrics_address: str | None,
    metrics_token_file: Path | None,
    metrics_cert: Path | None,
    metrics_key: Path | None,
    log_format: Literal["auto", "json", "text"],
) -> None:
    """Trains what a Hippo server grants. SIGTERM lets it save, give back what it trains, and leave."""
    if context.invoked_subcommand is not None:
        return
    from hippo_core.errors import HippoError, InvalidStudy
    from hippo_wire.tls import read_trust
    from hippo_worker.settings import parse_seconds

    try:
        if token_file is not None and join_token_file is not None:
            raise InvalidStudy("join-token-file", "is given beside --token-file", "Give one of them.")
        settings = _settings(
            _endpoint(server, server_file, join_token_file or token_file, read_trust(ca, cert, key)),
            join_token_file is not None,
            name,
            slots,
            slots_per_gpu,
            labels,
            data_dir,
            cache,
            gpu_memory_fraction,
            secrets_file,
        )
        _work(
            replace(
                settings,
                health_check=health_check,
                health_seconds=health_seconds,
                drain_seconds=drain_seconds,
                idle_seconds=None
                if exit_when_idle is None
                else parse_seconds(exit_when_idle, "exit-when-idle"),
                log_format=log_format,
                page=_page(metrics_address, metrics_token_file, metrics_cert, metrics_key),
            )
        )
    except HippoError as error:
        raise SystemExit(_fail(error)) from None


@cli.command(context_settings=_PASS_ON, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def check(arguments: tuple[str, ...]) -> None:
    """Proves on a trainer that saving, resuming, evaluating and applying change nothing."""
    from hippo_worker.check import main as command

    raise SystemExit(command(list(arguments)))


@cli.command(context_settings=_PASS_ON, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def verify(arguments: tuple[str, ...]) -> None:
    """Trains a trial alone and compares it with what was trained shared."""
    from hippo_worker.verify import main as command

    raise SystemExit(command(list(arguments)))


def _endpoint(
    server: str, server_file: Path | None, token_file: Path | None, trust: Trust | None
) -> Endpoint | ComingServer:
    import os

    from hippo_wire.route import check_addresses
    from hippo_worker import settings

    if server_file is not None:
        return settings.ComingServer(file=server_file, token_file=token_file, trust=trust)
    check_addresses(server, encrypted=trust is not None)
    token = settings.read_token(token_file, os.environ)
    return settings.Endpoint(server=server, token=token, trust=trust)


def _page(
    address: str | None, token_file: Path | None, certificate: Path | None, key: Path | None
) -> PageSettings | None:
    from hippo_core.errors import InvalidStudy
    from hippo_worker import settings

    if address is None:
        for option, given in (("token-file", token_file), ("cert", certificate), ("key", key)):
            if given is not None:
                raise InvalidStudy(
                    f"metrics-{option}",
                    "says how metrics are shown, and they are not",
                    "Give --metrics-address.",
                )
        return None
    host, port = settings.parse_address(address)
    return settings.PageSettings(
        host=host, port=port, token_file=token_file, certificate=certificate, key=key
    )


def _settings(
    endpoint: Endpoint | ComingServer,
    joins: bool,
    name: str | None,
    slots: int | None,
    slots_per_gpu: int,
    labels: str,
    data_dir: Path | None,
    cache: str,
    gpu_memory_fraction: float | None,
    secrets_file: Path | None,
) -> WorkerSettings:
    from hippo_core.byte_sizes import parse_bytes
    from hippo_worker import settings

    return settings.WorkerSettings(
        endpoint=endpoint,
        joins=joins,
        name=name or settings.default_name(),
        slots=slots,
        slots_per_gpu=slots_per_gpu,
        labels=settings.parse_labels(labels),
        data_folder=(data_dir.expanduser() if data_dir else settings.default_data_folder()).absolute(),
        cache_bytes=parse_bytes(cache, "cache"),
        gpu_memory_fraction=gpu_memory_fraction,
        secrets_file=secrets_file.expanduser().absolute() if secrets_file else None,
    )


def _work(settings: WorkerSettings) -> None:
    import asyncio

    from hippo_worker.titles import set_title
    from hippo_worker.worker import work

    set_title("hippo-worker")
    asyncio.run(work(settings))


def _fail(error: HippoError) -> int:
    click.echo(f"error[{error.code}]: {error}", err=True)
    return _EXIT_CODES.get(error.code, 1)


def main() -> None:
    """The console script."""
    cli(prog_name="hippo-worker")


if __name__ == "__main__":
    main()
