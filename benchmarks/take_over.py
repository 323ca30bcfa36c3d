"""How long nobody leads when the server that leads has gone.

Two servers stand on one database. The one that leads is killed, or stopped where it stands as on a host that hangs, and
the time is taken until a client that knows both has a change accepted.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figures import Figure
from hippo_core.errors import Unavailable
from hippo_server.postgres import EmbeddedPostgres
from hippo_wire.connection import Connection
from hippo_wire.v1 import account_pb2

NAMES = ("first", "second")
WAIT_SECONDS = 120.0
ROUNDS = 3
ENDS = (
    ("the leader is killed", signal.SIGKILL, "until a client of both has a change accepted"),
    ("the leader hangs", signal.SIGSTOP, "as above; the other waits for --leader-lease-seconds, 15"),
)


def measure() -> Iterator[Figure]:
    """Both ends of a leader."""
    with tempfile.TemporaryDirectory(prefix="hippo-bench-") as folder:
        servers = Servers(Path(folder))
        try:
            for name in NAMES:
                servers.start(name)
            for what, how, note in ENDS:
                yield Figure(what, tuple(taken_over(servers, how) for _ in range(ROUNDS)), "s", note=note)
        finally:
            servers.close()


class Servers:
    """Two servers on one database, each in a process of its own.

    Args:
        folder: For all that they keep.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._postgres = EmbeddedPostgres(folder / "database")
        self._url = self._postgres.start()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Starts a server, and waits until it says how it is reached: it leads, or stands by."""
        home = self._folder / name
        (home / "server" / "server.json").unlink(missing_ok=True)
        arguments = ["--home", str(home), "--storage", str(self._folder / "storage")]
        arguments += ["--database-url", self._url, "--grpc-port", "0", "--http-port", "0"]
        with (self._folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "hippo_server.main", *arguments], stdout=log, stderr=log
            )
        until((home / "server" / "server.json").exists)

    def address(self, name: str) -> str:
        """Where a server is called."""
        said = json.loads((self._folder / name / "server" / "server.json").read_text())
        return str(said["grpc"])

    def connect(self, *names: str) -> Connection:
        """A connection to these servers, of which one leads."""
        token = (self._folder / "first" / "server" / "admin.token").read_text().strip()
        return Connection(",".join(self.address(name) for name in names), token)

    def close(self) -> None:
        """Ends all."""
        for process in self.processes.values():
            process.kill()
            process.wait()
        self._postgres.stop()


def until(done: Callable[[], bool]) -> None:
    """Waits."""
    end = time.monotonic() + WAIT_SECONDS
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("it does not come")
        time.sleep(0.05)


def change(connection: Connection) -> None:
    """Makes a change, and asks for it until it is accepted."""
    name = f"p{uuid.uuid4().hex[:8]}"
    request = account_pb2.CreateProjectRequest(project=name, request_id=uuid.uuid4().hex)
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.accounts.CreateProject(request)
        except Unavailable:
            if time.monotonic() > end:
                raise
        else:
            return


def taken_over(servers: Servers, how: signal.Signals) -> float:
    """Seconds from the leader's end to the first change that the other accepts; both are up again afterwards."""
    with servers.connect("first") as connection:
        change(connection)
    leading = servers.processes["first"]
    with servers.connect(*NAMES) as connection:
        change(connection)
        began = time.monotonic()
        leading.send_signal(how)
        change(connection)
        took = time.monotonic() - began
    leading.kill()
    leading.wait()
    # The first is to lead again: the other makes room for it.
    servers.start("first")
    servers.processes["second"].terminate()
    servers.processes["second"].wait()
    with servers.connect("first") as connection:
        change(connection)
    servers.start("second")
    return took
