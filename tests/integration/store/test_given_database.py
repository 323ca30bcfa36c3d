"""A PostgreSQL that somebody else runs: another version, over TCP, with a password."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from hippo_core.errors import Unavailable
from hippo_server.postgres import cluster
from hippo_server.postgres.account import account_for, hand_over
from hippo_server.store import Store
from tests.integration.store.stored_cluster import StoredCluster
from tests.unit.engine.test_cluster import PIECES, expect_as_trained_alone, spec, submit
from tests.waiting import until

OTHER_MAJOR = 16
PASSWORD = "p@ss:word/%"
QUOTED = "p%40ss%3Aword%2F%25"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def given_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a fresh database in a server of an earlier version, which the wheel brings as well."""
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
    port = free_port()
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
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(serve, env=cluster.environment(), cwd="/", stdout=log, stderr=log)
    try:
        _create_database(process, port, folder)
        yield f"postgresql://owner:{QUOTED}@127.0.0.1:{port}/given"
    finally:
        process.terminate()
        process.wait()


def _create_database(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    def connect() -> psycopg2.extensions.connection | None:
        assert process.poll() is None, (folder / "log").read_text()
        with contextlib.suppress(psycopg2.OperationalError):
            return psycopg2.connect(
                host="127.0.0.1", port=port, user="owner", password=PASSWORD, dbname="postgres"
            )
        return None

    connection = until(connect, "a PostgreSQL that takes connections")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE given")
    connection.close()


def test_a_study_lives_in_a_given_database(given_url: str) -> None:
    store = Store(given_url)
    store.migrate()
    assert store.version().startswith(f"PostgreSQL {OTHER_MAJOR}.")
    cluster_of_workers = StoredCluster(6, {"a": 2}, store, 4)
    submit(cluster_of_workers, spec(rates=PIECES[:3], checkpoint_every=2))
    for _ in range(60):
        cluster_of_workers.act()
    cluster_of_workers.restart_server()
    cluster_of_workers.run()
    cluster_of_workers.expect_equal_from_rows()
    expect_as_trained_alone(cluster_of_workers, "study")
    store.close()


def test_a_wrong_password_is_told_without_it(given_url: str) -> None:
    store = Store(given_url.replace(QUOTED, "wrong-secret"))
    with pytest.raises(Unavailable, match="password authentication failed") as refused:
        store.migrate()
    assert "wrong-secret" not in str(refused.value)
    store.close()


def test_a_server_that_is_not_there_is_unavailable() -> None:
    store = Store(f"postgresql://owner@127.0.0.1:{free_port()}/given")
    began = time.monotonic()
    with pytest.raises(Unavailable, match="Connection refused"):
        store.migrate()
    assert time.monotonic() - began < 5.0
    store.close()
