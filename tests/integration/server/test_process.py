"""``hippo-server`` as a process: its options, its home, its end, and the death of its PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hippo_wire.connection import Connection
from hippo_wire.v1 import admin_pb2, study_pb2
from tests.integration.server.conftest import submit, upload
from tests.integration.server.test_work import ended, first_lease, study
from tests.integration.server.worker import Worker, working
from tests.waiting import until

COMMAND = (sys.executable, "-m", "hippo_server.main")
FAST = ("--heartbeat-seconds", "0.1", "--lease-seconds", "20")


@contextlib.contextmanager
def running(home: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server with an embedded PostgreSQL; ready when this is entered."""
    (home / "server" / "server.json").unlink(missing_ok=True)
    line = [*COMMAND, "--home", str(home), "--grpc-port", "0", "--http-port", "0", *FAST, *options]
    home.mkdir(exist_ok=True)
    with (home / "said").open("ab") as said:
        process = subprocess.Popen(line, stdout=said, stderr=said)
    try:
        until(
            lambda: process.poll() is not None or (home / "server" / "server.json").exists(),
            "a server that is ready, or has ended",
        )
        assert process.poll() is None, (home / "said").read_text()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(90)
        finally:
            process.kill()


def connect(home: Path, role: str = "admin") -> Connection:
    said = json.loads((home / "server" / "server.json").read_text())
    return Connection(said["grpc"], (home / "server" / f"{role}.token").read_text().strip())


def kill_postgres(home: Path) -> None:
    """As an out-of-memory killer would; one that was killed before has to have been replaced."""

    def killed() -> bool:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, IndexError):
            os.kill(
                int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL
            )
            return True
        return False

    until(killed, "a PostgreSQL to kill")


def test_a_home_is_made_used_and_left_in_order(tmp_path):
    """Tokens that only the owner reads; the address while it runs; exit 0 at SIGTERM; all is there again after."""
    home = tmp_path / "home"
    with running(home) as process:
        for name in ("admin.token", "worker.token"):
            assert stat.S_IMODE((home / "server" / name).stat().st_mode) == 0o600
        said = json.loads((home / "server" / "server.json").read_text())
        assert said["pid"] == process.pid
        assert Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(b"hippo-server")
        assert b"PATH=" in Path(f"/proc/{process.pid}/environ").read_bytes()
        tokens = [(home / "server" / name).read_text() for name in ("admin.token", "worker.token")]
        with connect(home) as client:
            upload(client)
            submit(client)
            described = client.admin.GetServer(admin_pb2.GetServerRequest())
            assert (described.user, described.role, described.project) == ("admin", "admin", "default")
            assert described.database_version.startswith("PostgreSQL")
            watching = client.studies.WatchStudy(study_pb2.WatchStudyRequest(name="study"))
            next(watching)
            process.send_signal(signal.SIGTERM)
            assert process.wait(90) == 0
    assert not (home / "server" / "server.json").exists()
    with running(home):
        assert tokens == [(home / "server" / name).read_text() for name in ("admin.token", "worker.token")]
        with connect(home) as client:
            assert study(client).state == study_pb2.STUDY_STATE_RUNNING
    for secret in tokens:
        assert secret.strip() not in (home / "said").read_text()


def test_a_lost_token_file_is_made_anew_and_the_old_token_ends(tmp_path):
    home = tmp_path / "home"
    file = home / "server" / "admin.token"
    with running(home):
        old = file.read_text().strip()
    file.unlink()
    with running(home):
        assert file.read_text().strip() != old
        said = json.loads((home / "server" / "server.json").read_text())
        with connect(home) as client:
            client.admin.GetServer(admin_pb2.GetServerRequest())
        from hippo_core.errors import NotAllowed

        with Connection(said["grpc"], old) as stranger, pytest.raises(NotAllowed):
            stranger.admin.GetServer(admin_pb2.GetServerRequest())


def test_a_killed_server_goes_on_where_it_was(tmp_path):
    """kill -9 in the middle of a path: the lease stands, what was acknowledged is there, the study ends."""
    home = tmp_path / "home"
    with running(home) as process, connect(home) as client, connect(home, "worker") as connection:
        upload(client)
        submit(client, "once")
        worker = Worker(connection)
        worker.register()
        stream = worker.open()
        order = first_lease(worker, stream)
        process.kill()
        process.wait()
    with running(home), connect(home) as client, connect(home, "worker") as connection:
        worker.connection = connection
        assert list(worker.register(order.fence).revoked) == []
        stream = worker.open()
        assert first_lease(worker, stream) == order
        worker.train(order)
        worker.work(lambda: ended(client), stream)
        worker.close()
        assert study(client).savings.steps_trained == 12
        assert submit(client, "once").study.state == study_pb2.STUDY_STATE_RUNNING  # the first answer


def test_postgres_is_killed_while_calls_run_and_nothing_is_lost(tmp_path):
    """Eight clients submit while PostgreSQL is killed five times: each submission happens exactly once."""
    home = tmp_path / "home"
    failures: list[BaseException] = []
    count = 25

    def submit_many(number: int) -> None:
        try:
            with connect(home) as client:
                for each in range(count):
                    submit_stubbornly(client, f"{number}-{each}", f"study-{number}-{each}")
        except BaseException as error:  # noqa: BLE001 - it is raised below
            failures.append(error)

    with running(home) as process:
        with connect(home) as client:
            upload(client)
        threads = [threading.Thread(target=submit_many, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        with connect(home) as client:
            for killed in range(5):
                until(lambda least=(killed + 1) * 10: submitted(client) >= least, "the next submissions")
                kill_postgres(home)
        for thread in threads:
            thread.join(120)
        assert not failures
        assert process.poll() is None
        with connect(home) as client:
            assert submitted(client) == 4 * count


def submit_stubbornly(client: Connection, request_id: str, name: str) -> None:
    """Sends one submission until it is answered: the same request id each time."""
    from hippo_core.errors import Unavailable

    for _ in range(60):
        with contextlib.suppress(Unavailable):
            assert submit(client, request_id, name=name).outcome == study_pb2.SUBMIT_OUTCOME_CREATED
            return
    raise AssertionError(f"{request_id} was never answered")


def submitted(client: Connection) -> int:
    from hippo_core.errors import Unavailable

    with contextlib.suppress(Unavailable):
        request = study_pb2.ListStudiesRequest(page_size=1000)
        return len(client.studies.ListStudies(request, timeout=60).studies)
    return -1


def test_a_study_is_trained_through_the_death_of_postgres(tmp_path):
    home = tmp_path / "home"
    with running(home), connect(home) as client, connect(home, "worker") as connection:
        upload(client)
        submit(client)
        worker = Worker(connection)
        with working(worker) as stream:
            order = first_lease(worker, stream)
            kill_postgres(home)
            from hippo_core.errors import Unavailable

            with pytest.raises(Unavailable):
                list(stream)
        register_again(worker, order.fence)
        stream = worker.open()
        assert first_lease(worker, stream) == order
        worker.train(order)
        worker.work(lambda: ended(client), stream)
        worker.close()
        assert study(client).savings.steps_trained == 12


def register_again(worker: Worker, fence: int) -> None:
    from hippo_core.errors import Unavailable

    for _ in range(20):
        with contextlib.suppress(Unavailable):
            assert list(worker.register(fence).revoked) == []
            return
    raise AssertionError("the server did not come back")


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--host", "0.0.0.0"], 78, "ssh -L"),
        (["--host", "::"], 78, "ssh -L"),
        (["--host", "example.org"], 78, "ssh -L"),
        (["--database-url", "mysql://x/y"], 78, "PostgreSQL"),
        (["--database-url", "postgresql://nobody@127.0.0.1:1/none"], 3, "127.0.0.1"),
        (["--storage", "nonsense://x"], 78, "storage"),
        (["--lease-seconds", "1"], 78, "heartbeat"),
        (["--grpc-port", "70000"], 2, "70000"),
        (["--unknown"], 2, "--unknown"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(tmp_path, options, status, words):
    line = [*COMMAND, "--home", str(tmp_path / "home"), "--grpc-port", "0", "--http-port", "0", *options]
    found = subprocess.run(line, capture_output=True, text=True, timeout=200, check=False)
    assert found.returncode == status, found.stderr
    assert words in found.stderr
    assert "Traceback" not in found.stderr


def test_a_new_database_on_an_old_storage_meets_nothing_of_the_old_one(tmp_path):
    """Each database has a folder of its own there, the same after every start."""
    storage = tmp_path / "storage"
    folders = []
    for home in ("one", "one", "two"):
        with running(tmp_path / home, "--storage", str(storage)):
            folders.append({path.name for path in storage.iterdir()})
    assert folders[0] == folders[1]
    assert len(folders[1]) == 1
    assert len(folders[2]) == 2


@pytest.mark.timeout(600)
def test_a_taken_port_and_a_home_in_use_are_named(tmp_path):
    home = tmp_path / "home"
    with running(home):
        said = json.loads((home / "server" / "server.json").read_text())
        port = said["grpc"].rpartition(":")[2]
        for options, words in (
            (["--home", str(tmp_path / "other"), "--grpc-port", port], port),
            (["--home", str(home), "--grpc-port", "0"], "Another server"),
        ):
            line = [*COMMAND, "--http-port", "0", *options]
            found = subprocess.run(line, capture_output=True, text=True, timeout=200, check=False)
            assert found.returncode not in {0, 2}
            assert words in found.stderr
            assert "add_port" not in found.stderr  # gRPC's own line
            assert "Traceback" not in found.stderr
        with connect(home) as client:
            assert client.admin.GetServer(admin_pb2.GetServerRequest()).role == "admin"
            assert json.loads((home / "server" / "server.json").read_text()) == said


def test_help_names_every_option_with_its_variable():
    found = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, timeout=200, check=True)
    for name in ("HOME", "HOST", "GRPC_PORT", "HTTP_PORT", "DATABASE_URL", "STORAGE"):
        assert f"HIPPO_{name}" in found.stdout
        assert f"--{name.lower().replace('_', '-')}" in found.stdout
