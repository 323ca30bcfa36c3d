"""A PostgreSQL that somebody else runs: another version, over TCP, with a password."""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
from collections.abc import Callable, Iterator
from subprocess import Popen

import psycopg2
import pytest

from hippo_server.postgres import cluster
from hippo_server.postgres.account import account_for, hand_over
from tests.waiting import until

PASSWORD = "p@ss:word/%"
QUOTED = "p%40ss%3Aword%2F%25"


PORTS_TRIED = 5


def on_free_port(
    start: Callable[[int], Popen[bytes]], answers: Callable[[int], bool]
) -> tuple[Popen[bytes], int]:
    """Starts a program that is to be told its port; gives its process and that.

    Between the choice of a port and the program's start another process may be given it: then another is tried.

    Args:
        start: Starts the program with a port; it ends where it cannot have it.
        answers: Whether something takes connections there.
    """
    for _ in range(PORTS_TRIED):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        process = start(port)
        until(lambda: process.poll() is not None or answers(port), f"an answer of {process.args!r}")  # noqa: B023
        if process.poll() is None:
            return process, port
    raise AssertionError(f"{process.args!r} does not start")


@pytest.fixture(scope="session")
def given_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server of an earlier version, which the wheel brings as well."""
    binaries = cluster.binaries().parents[1] / "pginstall" / "bin"
    folder = tmp_path_factory.mktemp("given")
    data = folder / "data"
    data.mkdir(mode=0o700)
    password = folder / "password"
    password.write_text(PASSWORD)
    account = account_for(folder / "absent")
    if account is not None:
        hand_over(folder, account)
    initialise = cluster.command(
        account,
        binaries / "initdb",
        f"-D{data}",
        "-Uowner",
        "--auth=scram-sha-256",
        f"--pwfile={password}",
        "--no-sync",
        "--encoding=UTF8",
        "--locale=C",
    )
    subprocess.run(initialise, env=cluster.environment(), cwd="/", check=True, capture_output=True)

    def start(port: int) -> Popen[bytes]:
        serve = cluster.command(
            account,
            binaries / "postgres",
            f"-D{data}",
            f"-p{port}",
            "-clisten_addresses=127.0.0.1",
            "-k",
            "",
            "-F",
        )
        return Popen(serve, env=cluster.environment(), cwd="/")

    process, port = on_free_port(start, takes_connections)
    yield port
    process.terminate()
    process.wait()


def takes_connections(port: int) -> bool:
    """Whether a server answers there who knows the account that is given."""
    with contextlib.suppress(psycopg2.OperationalError):
        administer(port, "SELECT 1")
        return True
    return False


def administer(port: int, statement: str) -> None:
    """Runs a statement that no transaction may contain."""
    connection = psycopg2.connect(
        host="127.0.0.1", port=port, user="owner", password=PASSWORD, dbname="postgres"
    )
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


@pytest.fixture(scope="session")
def new_given_name(given_server: int) -> Callable[[], str]:
    """Makes an empty database there and gives its name."""
    numbers = itertools.count(1)

    def make() -> str:
        name = f"given_{next(numbers)}"
        administer(given_server, f"CREATE DATABASE {name}")
        return name

    return make


@pytest.fixture
def given_url(given_server: int, new_given_name: Callable[[], str]) -> str:
    """The address of an empty database there."""
    return f"postgresql://owner:{QUOTED}@127.0.0.1:{given_server}/{new_given_name()}"
