"""A server in a thread of its own, on real sockets and a real PostgreSQL; clients are ordinary connections."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import blake3
import pytest

from hippo_core.engine.decision import EngineSettings
from hippo_core.study import StudySpec
from hippo_server.auth.limits import CallLimits
from hippo_server.proposals.processes import Proposers
from hippo_server.server import Server
from hippo_server.settings import Settings
from hippo_server.store import Store
from hippo_server.tls import TlsFiles
from hippo_storage.bundle import build
from hippo_wire.connection import Connection
from hippo_wire.json_text import dump
from hippo_wire.secrets import new_secret, secret_hash
from hippo_wire.streams import Upload
from hippo_wire.tls import Trust
from hippo_wire.v1 import study_pb2
from tests.studies import grid


def _archive() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "trainer.py").write_text("class Trainer: ...\n")
        return build(Path(folder)).archive


ARCHIVE = _archive()
BUNDLE = blake3.blake3(ARCHIVE).hexdigest()
UNLIMITED = CallLimits(calls_per_second=1e6, burst=1_000_000, streams=10_000)
SETTINGS = EngineSettings(heartbeat_seconds=0.1, lease_seconds=30.0, orphan_seconds=5.0)


class ServerWithStore(Server):
    """A server whose store is made by the test."""

    def __init__(
        self,
        settings: Settings,
        make: Callable[[str], Store],
        make_proposers: Callable[[Settings], Proposers] | None,
    ) -> None:
        super().__init__(settings)
        self._make = make
        self._make_proposers = make_proposers

    def make_store(self, url: str) -> Store:
        return self._make(url)

    def make_proposers(self) -> Proposers:
        return (
            super().make_proposers() if self._make_proposers is None else self._make_proposers(self.settings)
        )


class RunningServer:
    """A server that runs in a thread.

    Args:
        home: Its home.
        database_url: Its database; None: an embedded one.
        engine: The engine's times.
        make_store: Makes the store.
        make_proposers: Makes what makes points; None: as a server does.
        leader_lease_seconds: How long its lead lasts without a renewal.
        grpc_port: Where it listens; 0: any free port.
        tls: Its certificates; None: nothing is encrypted.
        limits: What one caller may ask; by default more than any test does.
        storage: Its storage; None: a folder in its home.
    """

    def __init__(
        self,
        home: Path,
        database_url: str | None,
        engine: EngineSettings = SETTINGS,
        make_store: Callable[[str], Store] = Store,
        grpc_port: int = 0,
        leader_lease_seconds: float = 10.0,
        make_proposers: Callable[[Settings], Proposers] | None = None,
        tls: TlsFiles | None = None,
        limits: CallLimits = UNLIMITED,
        storage: str | None = None,
    ) -> None:
        self.settings = Settings(
            tls=tls,
            limits=limits,
            home=home,
            storage=storage or str(home / "storage"),
            grpc_port=grpc_port,
            http_port=0,
            database_url=database_url,
            engine=engine,
            leader_lease_seconds=leader_lease_seconds,
            grace_seconds=1.0,
        )
        self._make_store = make_store
        self._make_proposers = make_proposers
        self._stop = asyncio.Event()
        self._connections = contextlib.ExitStack()
        self._started = threading.Event()
        self._error: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="server")
        self._thread.start()
        assert self._started.wait(60)
        if self._error is not None:
            self._thread.join()
            raise self._error

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.server = ServerWithStore(self.settings, self._make_store, self._make_proposers)
        try:
            await self.server.start()
        except BaseException as error:  # noqa: BLE001 - it is raised in the test
            self._error = error
            self._started.set()
            return
        self._started.set()
        await self._stop.wait()
        await self.server.stop()

    def stop(self) -> None:
        """Stops it, and the connections to it."""
        self._connections.close()
        if self._thread.is_alive():
            assert self.loop is not None
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def in_loop(self, function: Callable[[], object]) -> object:
        """Runs a function in the server's loop."""

        async def run() -> object:
            return function()

        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)

    @property
    def address(self) -> str:
        return self.server.grpc_address

    @property
    def url(self) -> str:
        return f"http://{self.server.http_address}"

    @property
    def store(self) -> Store:
        return self.server.driver.store

    def token(self, role: str) -> str:
        """The token of the home for admins and workers; a new one for other roles."""
        if role == "admin":
            return self.settings.admin_token_file.read_text().strip()
        if role == "worker":
            return self.settings.worker_token_file.read_text().strip()
        return self.new_token(role, role)

    def new_token(self, name: str, role: str, project: str = "default", **options: object) -> str:
        """A new token, known to the server from now on."""
        secret = new_secret()
        self.store.create_token(name, role, project, secret_hash(secret), replace=True, **options)
        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(self.server.driver.read_tokens(), self.loop).result(90)
        return secret

    def connect(self, token: str | None = None, trust: Trust | None = None) -> Connection:
        """A connection, as the owner unless a token is given."""
        connection = Connection(self.address, self.token("admin") if token is None else token, trust)
        self._connections.callback(connection.close)
        return connection


@pytest.fixture
def start_server(tmp_path: Path, database_url: str) -> Iterator[Callable[..., RunningServer]]:
    """Starts servers on one database and one home, one after the other."""
    running: list[RunningServer] = []

    def start(**options: object) -> RunningServer:
        server = RunningServer(tmp_path / "home", database_url, **options)
        running.append(server)
        return server

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def server(start_server: Callable[..., RunningServer]) -> RunningServer:
    return start_server()


@pytest.fixture
def client(server: RunningServer) -> Connection:
    connection = server.connect()
    upload(connection)
    return connection


def upload(connection: Connection, archive: bytes = ARCHIVE) -> None:
    digest = blake3.blake3(archive).hexdigest()
    request = study_pb2.UploadBundleRequest(digest=digest, data=archive)
    connection.studies.UploadBundle(Upload(lambda: iter([request])))


def spec(name: str = "study", **changes: object) -> StudySpec:
    """Four trials of three steps; two pairs share their first two steps."""
    space = changes.pop("space", {"lr": [0.1, 0.2], "momentum": [0.8, 0.9]})
    return grid(choices(space), name=name, max_steps=3, bundle=BUNDLE, **changes)


def choices(options: dict[str, list[object]]) -> object:
    from hippo_core import space as domains

    return {name: domains.choice(each) for name, each in options.items()}


def submit(
    connection: Connection, request_id: str = "first", **changes: object
) -> study_pb2.SubmitStudyResponse:
    request = study_pb2.SubmitStudyRequest(request_id=request_id, spec_json=dump(spec(**changes).to_json()))
    return connection.studies.SubmitStudy(request)
