"""Two servers on one database: one leads, the other stands by, and takes over whatever becomes of the first."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from hippo_client import Client
from hippo_client.handles.study import StudyHandle
from tests.acceptance.conftest import STUDY_FOLDER, until
from tests.acceptance.nemesis import Arena
from tests.acceptance.test_faults import between_saves, expect_as_alone, expect_clean, study


@dataclass
class Pair(Arena):
    """An arena with two servers, whose callers know both addresses and speak to them directly."""

    lease_seconds: float = 30.0  #: of the server that leads
    kept: list[socket.socket] = field(default_factory=list)  #: the ports of servers that were killed

    def launch(self, name: str) -> None:
        """Starts a server with a home of its own, and waits until it leads or stands by."""
        home = self.home(name)
        self._start(
            name,
            "hippo_server.main",
            *("--home", str(home), "--database-url", self.database, "--storage", str(self.path / "storage")),
            *("--grpc-port", "0", "--http-port", "0", "--heartbeat-seconds", "0.2", "--lease-seconds", "3"),
            *("--leader-lease-seconds", str(self.lease_seconds)),
        )
        until((home / "server" / "server.json").exists, f"the server {name}")

    def kill_server(self, name: str) -> None:
        """``kill -9``. Its port is kept: callers go on asking there, and a server of another test is not to answer."""
        host, _, port = self.said(name, "grpc").partition(":")
        self.end(name, signal.SIGKILL)
        self.kept.append(socket.socket())
        self.kept[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.kept[-1].bind((host, int(port)))

    def home(self, name: str) -> Path:
        return self.path if name == "server" else self.path / name

    def said(self, name: str, what: str) -> str:
        """What a server says in its home of how it is reached."""
        found: str = json.loads((self.home(name) / "server" / "server.json").read_text())[what]
        return found

    @property
    def address(self) -> str:
        """Both, the one that stands by first."""
        return f"{self.said('standby', 'grpc')},{self.said('server', 'grpc')}"

    def client_of(self, servers: str) -> Client:
        return Client(servers, (self.path / "server" / "admin.token").read_text().strip())

    def ready(self, name: str) -> tuple[int, list[str]]:
        """What a server answers to who asks whether it is ready."""
        found = httpx.get(f"http://{self.said(name, 'http')}/readyz", timeout=60)
        return found.status_code, found.json()["reasons"]

    def leads(self, name: str) -> bool:
        return self.ready(name) == (200, [])

    def terms(self) -> list[int]:
        """The terms in the journal, in order; a term that comes again after another was begun is listed again."""
        found = [term for (term,) in self.rows("SELECT term FROM journal ORDER BY id")]
        return [term for place, term in enumerate(found) if place == 0 or found[place - 1] != term]


@pytest.fixture
def pair(tmp_path: Path, empty_database_url: str) -> Iterator[Pair]:
    folder = tmp_path / "work"
    shutil.copytree(STUDY_FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    made = Pair(tmp_path / "pool", empty_database_url, folder)
    try:
        yield made
    finally:
        for name in ("one", "standby"):
            if name in made.processes:
                made.go_on(name)
                made.end(name)
        made.close()
        for port in made.kept:
            port.close()


def start(pair: Pair) -> None:
    pair.launch("server")
    pair.launch("standby")
    pair.start_worker("one")


def stands_by(pair: Pair) -> bool:
    _, reasons = pair.ready("server")
    return [each.partition(":")[0] for each in reasons] == ["standby"]


def watched(handle: StudyHandle) -> str:
    """Follows a study on one connection until it has ended."""
    handle.wait(progress=False, timeout=120)
    return handle.state


def test_a_leader_that_is_killed_is_replaced_at_once(pair: Pair) -> None:
    """1. Two servers start; the second stands by, says so, and sends callers to the first. 2. The first is killed while
    a path is trained. 3. The second leads; no step is trained again, and whoever watches goes on watching.
    """
    start(pair)
    assert httpx.get(f"http://{pair.said('standby', 'http')}/livez", timeout=60).status_code == 200
    (status, [reason]) = pair.ready("standby")
    assert status == 503
    assert reason.startswith("standby: ")
    assert reason.endswith(" leads")
    # Who knows the one that stands by only is sent to the one that leads.
    handle = pair.client_of(pair.said("standby", "grpc")).submit(study(pair))
    with ThreadPoolExecutor(1) as thread:
        watching = thread.submit(watched, pair.client_of(pair.address).study("grid"))
        pair.happens("StepsTrained", after=0)
        with between_saves(pair):
            pair.kill_server("server")
            until(lambda: pair.leads("standby"), "the lead of the other")
        assert watching.result(120) == "completed"
    expect_as_alone(pair.rows, handle)
    expect_clean(pair.rows)
    assert handle.savings()["steps_retrained"] == 0
    assert pair.terms() == [1, 2]


def test_a_leader_that_wakes_up_changes_nothing_and_stands_by(pair: Pair) -> None:
    """1. The leader is stopped while a path is trained. 2. The other takes over after its lease, and decides on. 3. The
    first wakes up with reports waiting in its sockets: it writes nothing, stands by, and sends callers to the other.
    4. That one is killed: the first leads again, and the study ends as trained alone.
    """
    pair.lease_seconds = 15.0
    start(pair)
    handle = pair.client_of(pair.address).submit(study(pair))
    with ThreadPoolExecutor(1) as thread:
        watching = thread.submit(watched, pair.client_of(pair.said("server", "grpc")).study("grid"))
        pair.happens("StepsTrained", after=0)
        with between_saves(pair):
            pair.stop("server")
        until(lambda: pair.leads("standby"), "the lead of the other")
        pair.happens("StepsTrained")
        with between_saves(pair):
            pair.go_on("server")
            until(lambda: stands_by(pair), "a server that stands by")
            assert '"event": "term_over"' in (pair.path / "server.log").read_text()
            assert pair.client_of(pair.said("server", "grpc")).study("grid").state == "running"
            pair.kill_server("standby")
            until(lambda: pair.leads("server"), "the lead of the first")
        assert watching.result(120) == "completed"
    expect_as_alone(pair.rows, handle)
    expect_clean(pair.rows)
    assert handle.savings()["steps_retrained"] == 0
    assert pair.terms() == [1, 2, 3]
