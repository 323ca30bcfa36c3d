"""What kills and holds up the parts of a whole system at chosen moments, and counts what that cost."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg2

from hippo_client import Client
from hippo_server.postgres import cluster
from hippo_server.postgres.embedded import DATABASE
from tests.acceptance.conftest import Pool, _plain, checkpoint_folders, until
from tests.processes import family, is_gone

# libpq tells of a lost connection as an error of no class; a wrong statement is one of a class.
LOST = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.DatabaseError)
ENDED_EARLY = ("released", "failed", "expired", "revoked")


class Proxy:
    """Stands between callers and the server, and can hold back what either says.

    Args:
        target: Tells where the server is now.
    """

    def __init__(self, target: Callable[[], str]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = {"requests": threading.Event(), "replies": threading.Event()}
        self._sockets: list[socket.socket] = []
        self._refuses = False
        self.release()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """Where callers find it."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def hold(self, direction: str) -> None:
        """Lets no "requests", or no "replies", through until ``release`` or ``cut``."""
        self._open[direction].clear()

    def release(self) -> None:
        """Lets through what was held."""
        for gate in self._open.values():
            gate.set()

    def cut(self) -> None:
        """Breaks all connections; what was held is lost."""
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.release()

    def refuse(self) -> None:
        """Breaks all connections, and lets no new one through until ``accept``."""
        self._refuses = True
        self.cut()

    def accept(self) -> None:
        """Lets connections through again."""
        self._refuses = False

    def close(self) -> None:
        """Ends it."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                caller.close()
                continue
            try:
                host, port = self._target().split(":")
                server = socket.create_connection((host, int(port)), timeout=5)
            except OSError:
                caller.close()
                continue
            server.settimeout(None)
            self._sockets += [caller, server]
            for source, sink, direction in ((caller, server, "requests"), (server, caller, "replies")):
                threading.Thread(target=self._pump, args=(source, sink, direction), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._open[direction].wait()
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        source.close()


def embedded_url(home: Path) -> str:
    """The address of a home's own PostgreSQL, as its postmaster wrote it."""
    sockets = (home / "postgres" / "data" / "postmaster.pid").read_text().split("\n")[4]
    return f"postgresql://{cluster.USER}@/{DATABASE}?host={quote(sockets, safe='')}"


class Rows:
    """What a database says, through its deaths.

    Args:
        url: Tells its address.
    """

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._connection: Any = None

    def __call__(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows that a statement gives, once the database answers."""
        found: list[list[tuple[Any, ...]]] = until(lambda: self._try(statement, parameters), "an answer")
        return found[0]

    def _try(self, statement: str, parameters: tuple[Any, ...]) -> list[list[tuple[Any, ...]]]:
        try:
            if self._connection is None:
                self._connection = self.connect()
            with self._connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return [cursor.fetchall()]
        except (OSError, IndexError):  # the address is being written
            return []
        except psycopg2.Error as error:
            if type(error) not in LOST:
                raise
            self.close()
            return []

    def connect(self) -> Any:
        """A connection of one's own, in which each statement is a transaction."""
        connection = psycopg2.connect(_plain(self._url()))
        connection.autocommit = True
        return connection

    def close(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class Ledger:
    """What was saved and what was lost, to the step.

    Args:
        rows: The database.
        storage: The folder of checkpoints.
        spool: Where the one worker's runners write.
    """

    def __init__(self, rows: Rows, storage: Path, spool: Path) -> None:
        self._rows = rows
        self._storage = storage
        self._spool = spool
        self._begun: dict[int, set[int]] = {}

    def published(self) -> set[tuple[int, int, int]]:
        """Node, step and fence of the checkpoints that are whole in the storage."""
        found = (folder.parts[-3:] for folder in checkpoint_folders(self._storage))
        return {(int(node), int(step), int(fence)) for node, step, fence in found}

    def unknown(self) -> set[tuple[int, int, int]]:
        """Those of live leases of which no row tells."""
        live = {fence for (fence,) in self._rows("SELECT fence FROM leases WHERE ended_at IS NULL")}
        known = set(self._rows("SELECT node, step, fence FROM checkpoints"))
        return {each for each in self.published() if each[2] in live and each not in known}

    def written(self, fence: int) -> set[int]:
        """Steps of the states that a runner has begun to write for a lease, and that are not published yet."""
        return {int(path.name.split("-")[-1]) for path in (self._spool / "states").glob(f"{fence}-*-*")}

    def note_saves(self) -> None:
        """Notes which saves had been begun when something died."""
        for _, step, fence in self.published():
            self._begun.setdefault(fence, set()).add(step)
        for folder in (self._spool / "states").glob("*-*-*"):
            fence, _, step = folder.name.split("-")
            self._begun.setdefault(int(fence), set()).add(int(step))

    def losses(self) -> dict[int, tuple[int, int]]:
        """By fence, for leases that ended early: how many steps were committed beyond the last checkpoint, and how
        many of these were trained after the save of a later state had been begun."""
        found = {}
        for fence, start, trained in self._rows(
            """
            SELECT l.fence, min(s.start), max(CASE WHEN s.trained > s.start THEN s.trained ELSE 0 END)
            FROM leases l JOIN lease_stages s USING (fence) WHERE l.state = ANY(%s) GROUP BY 1 ORDER BY 1
            """,
            list(ENDED_EARLY),
        ):
            ((saved,),) = self._rows(
                "SELECT max((body->>'step')::int) FROM journal "
                "WHERE event = 'CheckpointPublished' AND (body->>'fence')::int = %s",
                fence,
            )
            base = max(start, saved or 0)
            begun = [step for step in self._begun.get(fence, ()) if step > base]
            found[fence] = (max(0, trained - base), max(0, trained - min(begun, default=trained)))
        return found


@dataclass
class Arena(Pool):
    """A pool whose callers speak through proxies; ``database`` is empty where the server brings its own.

    ``storage`` is an address; empty: a folder of the home. A change of ``work_lease_seconds`` holds from the next start
    of the server on.
    """

    storage: str = ""
    work_lease_seconds: float = 3.0
    embedded: bool = field(init=False)
    to_workers: Proxy = field(init=False)
    to_clients: Proxy = field(init=False)
    rows: Rows = field(init=False)
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        """Makes the proxies; nothing runs yet."""
        self.embedded = not self.database
        self.to_workers = Proxy(lambda: super(Arena, self).address)
        self.to_clients = Proxy(lambda: super(Arena, self).address)
        self.rows = Rows(lambda: embedded_url(self.path) if self.embedded else self.database)
        self.ledger = Ledger(self.rows, self.path / "storage", self.path / "one" / "spool")

    @property
    def gate(self) -> Path:
        """While this file is there, trainers stand at the steps of their option ``gate_steps``."""
        return self.path / "gate"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Inside, trainers stand at the step that they are in: what a test does then costs it nothing of the study."""
        hold = self.path / "hold"
        hold.touch()
        yield
        hold.unlink()

    @property
    def address(self) -> str:
        """Where workers find the server."""
        return self.to_workers.address

    def client(self) -> Client:
        """A client that stays good when the server is started again."""
        return Client(self.to_clients.address, (self.path / "server" / "admin.token").read_text().strip())

    def launch_server(self) -> None:
        """Starts the server, and does not wait for it."""
        self._told_address.unlink(missing_ok=True)
        given = [] if self.embedded else ["--database-url", self.database]
        self._start(
            "server",
            "hippo_server.main",
            *("--home", str(self.path), *given, "--grpc-port", "0", "--http-port", "0"),
            *("--heartbeat-seconds", "0.2", "--lease-seconds", str(self.work_lease_seconds)),
            *(("--storage", self.storage) if self.storage else ()),
        )

    def start_server(self) -> None:
        """Starts the server and waits until it takes calls."""
        self.launch_server()
        until(self._ready, "a ready server")

    def _ready(self) -> bool:
        assert self.processes["server"].poll() is None, "the server ended at its start: see server.log"
        return self._told_address.exists()

    @property
    def _told_address(self) -> Path:
        """Where a server that is ready says where it listens."""
        return self.path / "server" / "server.json"

    def kill(self, name: str) -> None:
        """``kill -9``, and nothing that was held on the way arrives any more."""
        self.end(name, signal.SIGKILL)
        if name == "server":  # its port may be a server's of another test by now
            self._told_address.unlink(missing_ok=True)
        self.ledger.note_saves()
        self.to_workers.cut()
        self.to_clients.cut()

    def kill_runner(self) -> None:
        """``kill -9`` of the one runner."""
        runner = psutil.Process(self.runner())
        runner.kill()
        self.ledger.note_saves()

    def runner(self) -> int:
        """The process of the one runner."""
        (found,) = family(self.processes["one"].pid, "hippo-runner")
        return found.pid

    def postmaster(self) -> int:
        """The process of the server's PostgreSQL."""
        return int((self.path / "postgres" / "data" / "postmaster.pid").read_text().split("\n")[0])

    def stop(self, name: str) -> None:
        """Stops a process where it stands."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """Lets it go on."""
        self.processes[name].send_signal(signal.SIGCONT)

    # Moments.

    def now(self) -> int:
        """The journal's last entry."""
        return int(self.rows("SELECT coalesce(max(id), 0) FROM journal")[0][0])

    def happens(
        self, event: str, *, after: int | None = None, where: str = "true", count: int = 1
    ) -> dict[str, Any]:
        """Waits until an event is in the journal that is not there yet; gives its body.

        Args:
            event: Its kind.
            after: The entry after which it is looked for; by default the last one.
            where: A condition on ``body``.
            count: Which one of those.
        """
        after = self.now() if after is None else after
        statement = (
            f"SELECT body FROM journal WHERE id > %s AND event = %s AND {where} ORDER BY id OFFSET %s LIMIT 1"
        )
        found = until(lambda: self.rows(statement, after, event, count - 1), f"{event} where {where}")
        body: dict[str, Any] = found[0][0]
        return body

    @contextlib.contextmanager
    def commit_held(self) -> Iterator[int]:
        """Inside, the server waits at the last statement before a COMMIT; gives the process that serves it."""
        connection = self.rows.connect()
        try:
            connection.autocommit = False
            with connection.cursor() as cursor:
                cursor.execute("SELECT term FROM leader FOR UPDATE")
            holder: int = connection.info.backend_pid
            yield until(lambda: self._waiting(holder), "a transaction that waits for the leader's row")
        finally:
            connection.close()

    def _waiting(self, holder: int) -> int | None:
        """The process whose transaction is held, renewals of the lead apart. PostgreSQL tells but the beginning of
        statements that are sent together, and the last of them is the one that waits."""
        found = self.rows(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND %s = ANY(pg_blocking_pids(pid)) AND query !~ '^\\s*UPDATE leader SET beat'",
            holder,
        )
        return int(found[0][0]) if found else None

    def close(self) -> None:
        """Ends everything, workers first."""
        self.to_workers.release()
        self.to_clients.release()
        for name in [*(each for each in self.processes if each != "server"), "server"]:
            if name in self.processes:
                self.go_on(name)
                self.end(name)
        self.rows.close()
        self.to_workers.close()
        self.to_clients.close()


def kill_process(pid: int) -> None:
    """``kill -9``, and waits until it is gone."""
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    until(lambda: is_gone(process), f"the end of {pid}")
