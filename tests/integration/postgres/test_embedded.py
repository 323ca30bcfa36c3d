"""The embedded PostgreSQL, by its real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy

from hippo_client.local.socket_folder import remove_deserted
from hippo_server.postgres import EmbeddedPostgres, PostgresError, cluster
from hippo_server.postgres.embedded import DATABASE
from hippo_server.postgres.sockets import socket_folder
from tests.waiting import process_end, until


def ask(url: str, statement: str) -> object:
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        result = connection.execute(sqlalchemy.text(statement))
        return result.scalar() if result.returns_rows else None


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(home)
    yield postgres
    postgres.stop()


def test_data_stays_when_it_is_stopped_and_started_again(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    postgres.stop()
    assert not postgres.running()
    assert ask(postgres.start(), "SELECT answer FROM kept") == 42


def test_starting_what_runs_tells_the_address_only(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    pid = postgres.pid
    assert postgres.start() == url
    assert postgres.pid == pid


def test_it_syncs_to_disk_and_listens_on_no_network(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    assert [ask(url, f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")] == [
        "on",
        "on",
        "on",
    ]
    assert ask(url, "SHOW listen_addresses") == ""
    assert ask(url, "SHOW data_checksums") == "on"


def test_only_the_owner_can_reach_the_socket(postgres: EmbeddedPostgres) -> None:
    url = sqlalchemy.make_url(postgres.start())
    folder = Path(str(url.query["host"]))
    found = folder.stat()
    assert found.st_mode & 0o777 == 0o700
    assert found.st_uid == os.geteuid()


def test_its_folders_are_private(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    assert postgres.folder.stat().st_mode & 0o777 == 0o700
    assert postgres.data.stat().st_mode & 0o777 == 0o700


def test_it_never_runs_as_root(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    assert Path(f"/proc/{postgres.pid}").stat().st_uid != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that the database's user may not pass")
def test_root_can_keep_it_below_a_folder_that_no_one_else_may_pass(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    postgres = EmbeddedPostgres(closed / "home")
    try:
        url = postgres.start()
        assert ask(url, "SELECT 1") == 1
        status = Path(f"/proc/{postgres.pid}/status").read_text()
        capabilities = {
            name: int(value, 16)
            for name, _, value in (line.partition(":\t") for line in status.splitlines())
            if name in ("CapEff", "CapPrm", "CapAmb")
        }
        assert capabilities == {"CapEff": 2, "CapPrm": 2, "CapAmb": 2}, "CAP_DAC_OVERRIDE and nothing else"
    finally:
        postgres.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can lose the capability")
def test_root_without_the_capability_is_told_so(home: Path) -> None:
    script = f"""
        import ctypes, pathlib, sys
        from hippo_server.postgres import EmbeddedPostgres, PostgresError
        PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
        assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) == 0
        try:
            EmbeddedPostgres(pathlib.Path({str(home)!r})).start()
        except PostgresError as error:
            sys.exit(str(error))
    """
    outcome = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 1
    assert "cannot run as user" in outcome.stderr
    assert "CAP_DAC_OVERRIDE" in outcome.stderr
    assert not (home / "postgres" / "data").exists()


SERVER = """
    import pathlib, signal, sys
    from hippo_server.postgres import EmbeddedPostgres
    postgres = EmbeddedPostgres(pathlib.Path(sys.argv[1]))
    print(postgres.start(), postgres.pid, flush=True)
    signal.pause()
"""


def start_server(home: Path) -> tuple[subprocess.Popen[str], str, int]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVER), str(home)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url, pid = process.stdout.readline().split()
    return process, url, int(pid)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_it_ends_orderly_when_its_parent_is_killed(home: Path, postgres: EmbeddedPostgres) -> None:
    server, url, pid = start_server(home)
    ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    kill(server)
    process_end(pid)
    assert "database system is shut down" in postgres.log.read_text()
    assert ask(postgres.start(), "SELECT answer FROM kept") == 42


def test_the_next_server_waits_for_an_orphan_that_still_ends(home: Path, postgres: EmbeddedPostgres) -> None:
    """A stopped postmaster cannot obey its parent's death; the new server has it end first."""
    server, url, pid = start_server(home)
    ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(pid, signal.SIGSTOP)
    kill(server)
    waker = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.5; kill -CONT {pid}"])
    assert ask(postgres.start(), "SELECT answer FROM kept") == 42
    waker.wait()
    assert postgres.pid != pid


def kill_postmaster(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    process_end(pid)


def test_it_recovers_after_being_killed(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert postgres.pid is not None
    kill_postmaster(postgres.pid)
    assert not postgres.running()
    assert (postgres.data / "postmaster.pid").exists(), "a killed postmaster leaves its file"
    assert ask(postgres.start(), "SELECT answer FROM kept") == 42
    assert "automatic recovery in progress" in postgres.log.read_text()


def test_a_stale_process_number_that_another_program_has_now_is_no_obstacle(
    home: Path, postgres: EmbeddedPostgres
) -> None:
    """After a restart of the machine, postmaster.pid may name a process that has nothing to do with it."""
    ask(postgres.start(), "CREATE TABLE kept AS SELECT 42 AS answer")
    assert postgres.pid is not None
    kill_postmaster(postgres.pid)
    until(lambda: not cluster.users_of(postgres.data), "the end of the postmaster's children")
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        stale = postgres.data / "postmaster.pid"
        lines = stale.read_text().split("\n")
        stale.write_text("\n".join([str(bystander.pid), *lines[1:]]))
        assert ask(postgres.start(), "SELECT answer FROM kept") == 42
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_second_server_in_the_same_home_is_refused(home: Path, postgres: EmbeddedPostgres) -> None:
    postgres.start()
    with pytest.raises(PostgresError, match=rf"Another server \(process {os.getpid()}\) uses the home"):
        EmbeddedPostgres(home).start()
    assert postgres.running()


def test_a_home_with_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30) / ("longer" * 20)
    postgres = EmbeddedPostgres(home)
    try:
        assert ask(postgres.start(), "SELECT 1") == 1
    finally:
        postgres.stop()


def test_a_temporary_directory_with_a_long_path_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: EmbeddedPostgres
) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    assert ask(postgres.start(), "SELECT 1") == 1


def test_a_supervisor_that_looks_for_deserted_folders_leaves_that_of_a_database(home: Path) -> None:
    """It is empty while the database is made, which takes seconds."""
    folder = socket_folder(home)
    try:
        remove_deserted()
        assert folder.is_dir()
    finally:
        folder.rmdir()


def test_a_socket_folder_that_somebody_else_has_taken_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: EmbeddedPostgres
) -> None:
    postgres.start()
    folder = Path(str(sqlalchemy.make_url(postgres.start()).query["host"]))
    postgres.stop()
    folder.symlink_to(tmp_path)
    try:
        with pytest.raises(PostgresError, match=r"belongs to another user.*TMPDIR"):
            postgres.start()
    finally:
        folder.unlink()


def test_a_folder_of_another_major_version_is_refused(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    postgres.stop()
    (postgres.data / "PG_VERSION").write_text("16\n")
    with pytest.raises(PostgresError, match=r"is of PostgreSQL 16, and this Hippo brings PostgreSQL 18"):
        postgres.start()


def test_a_folder_that_is_no_database_is_refused(postgres: EmbeddedPostgres) -> None:
    postgres.data.mkdir(parents=True)
    with pytest.raises(PostgresError, match=r"is not a PostgreSQL database"):
        postgres.start()


def test_what_an_interrupted_first_start_has_left_is_made_anew(postgres: EmbeddedPostgres) -> None:
    unfinished = postgres.data.with_name("data.new")
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    assert ask(postgres.start(), "SELECT 1") == 1
    assert not unfinished.exists()


def test_a_start_that_fails_gives_postgres_own_words(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    postgres.stop()
    (postgres.data / "postgresql.auto.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(PostgresError, match="no_such_setting"):
        postgres.start()
    assert not postgres.running()
    (postgres.data / "postgresql.auto.conf").write_text("")
    assert ask(postgres.start(), "SELECT 1") == 1, "a failed start lets the home go"


def test_a_full_disk_is_named_as_what_keeps_it_from_starting(tmp_path: Path) -> None:
    """1. Its disk fills up while it is down uncleanly. 2. The error names the disk, the cause and the remedy. 3. With
    room again it starts, and has what was committed."""
    disk = tmp_path / "small"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", disk], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs the right to")
    postgres = EmbeddedPostgres(disk / "home")
    try:
        ask(postgres.start(), "CREATE TABLE kept AS SELECT 42 AS answer")
        pid = postgres.pid
        assert pid is not None
        os.kill(pid, signal.SIGQUIT)
        until(lambda: not postgres.running(), "its end")
        postgres.stop()
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        with pytest.raises(PostgresError, match=r"is full.*No space left on device") as caught:
            postgres.start()
        assert str(postgres.data) in caught.value.message
        assert "Free space" in caught.value.hint
        filler.unlink()
        assert ask(postgres.start(), "SELECT answer FROM kept") == 42
    finally:
        postgres.stop()
        subprocess.run(["umount", "-l", disk], check=False)


def test_stopping_cuts_connections_and_leaves_nothing(postgres: EmbeddedPostgres) -> None:
    url = sqlalchemy.make_url(postgres.start())
    folder = str(url.query["host"])
    connection = psycopg2.connect(host=folder, user=cluster.USER, dbname=DATABASE)
    postgres.stop()
    with pytest.raises(psycopg2.OperationalError):
        connection.cursor().execute("SELECT 1")
    connection.close()
    assert cluster.users_of(postgres.data) == []
    assert not Path(folder).exists()
