"""A server: database, driver, gRPC and HTTP, in the order in which they start and stop."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import socket
from pathlib import Path

from prometheus_client import CollectorRegistry

from hippo_core.errors import InvalidStudy
from hippo_server.audit import Audit
from hippo_server.auth.limits import Door
from hippo_server.auth.roles import Role
from hippo_server.auth.tokens import TokenBook, read_or_make
from hippo_server.databases import Database, EmbeddedDatabase, GivenDatabase
from hippo_server.driver import Driver
from hippo_server.held_home import HeldHome
from hippo_server.metrics import Metrics
from hippo_server.metrics.space import watch_space
from hippo_server.proposals.processes import Proposers
from hippo_server.rpc.accounts import AccountService
from hippo_server.rpc.admin import AdminService
from hippo_server.rpc.bundles import Bundles
from hippo_server.rpc.retention import CheckpointService
from hippo_server.rpc.serving import GrpcServer
from hippo_server.rpc.studies import StudyService
from hippo_server.rpc.tokens import Tokens
from hippo_server.rpc.workers import WorkerService
from hippo_server.settings import PROJECT, Settings
from hippo_server.store import Store
from hippo_server.tls import Certificates
from hippo_server.user_logs import UserLogs
from hippo_server.web.app import make_app
from hippo_server.web.calls import Calls
from hippo_server.web.serving import HttpServer
from hippo_server.web.site import Site
from hippo_wire.observing.loop_lag import keep_measuring
from hippo_wire.secrets import secret_hash

log = logging.getLogger(__name__)

#: Hosts that stand for all addresses of a machine, and how it reaches itself at them.
ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is looked for, and not where it listens


class Server:
    """All of a server, in one event loop.

    Args:
        settings: What it is told.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.grpc_address = ""
        self.http_address = ""
        self._database: Database | None = None
        self._driver: Driver | None = None
        self._grpc: GrpcServer | None = None
        self._http: HttpServer | None = None
        self._home: HeldHome | None = None
        self._following: list[asyncio.Task[None]] = []
        self._audit: Audit | None = None
        self._auditing: asyncio.Task[None] | None = None

    @property
    def driver(self) -> Driver:
        """The driver, once it has started."""
        assert self._driver is not None
        return self._driver

    async def start(self) -> None:
        """Starts everything, and says in the home how it is reached.

        Raises:
            HippoError: Something cannot be started; what was started has been stopped.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        settings = self.settings
        certificates = None if settings.tls is None else Certificates(settings.tls)
        _make_folders(settings)
        self._home = HeldHome(settings.home, settings.folder / "lock")
        settings.address_file.unlink(missing_ok=True)  # what a server said that was killed is void
        url = settings.database_url
        self._database = EmbeddedDatabase(settings.home) if url is None else GivenDatabase(url)
        self._driver = Driver(
            make_store=self.make_store,
            storage=settings.storage,
            database=self._database,
            settings=settings.engine,
            holder=f"{socket.gethostname()}:{os.getpid()}",
            lease_seconds=settings.leader_lease_seconds,
            metrics=Metrics(CollectorRegistry()),
            proposers=self.make_proposers(),
        )
        driver = self._driver
        self._audit, door = Audit(lambda calls: driver.store.add_calls(calls)), Door(settings.limits)
        self._auditing = asyncio.create_task(self._audit.keep_writing())
        calls = Calls(driver, self._audit)
        # HTTP first: whoever waits for a slow start reads why at /readyz.
        self._http = HttpServer(
            make_app(Site(driver, calls), self._audit, door, certificates),
            None if certificates is None else certificates.context,
        )
        http_port = await self._http.start(settings.host, settings.http_port)
        await driver.open()
        await asyncio.to_thread(self._make_tokens, driver)
        logs = UserLogs(settings.lease_logs)
        driver.on_lead = logs.lead
        bundles = Bundles(driver.storage, settings.folder / "uploads")
        tokens = Tokens(driver)
        studies, checkpoints, accounts = (
            StudyService(driver, bundles, logs),
            CheckpointService(driver),
            AccountService(driver),
        )
        version = await asyncio.to_thread(driver.store.version)
        admin = AdminService(driver, tokens, version, http_port)
        calls.serve(
            StudyService=studies, CheckpointService=checkpoints, AccountService=accounts, AdminService=admin
        )
        self._grpc = GrpcServer(
            driver,
            studies,
            WorkerService(driver, tokens, logs, driver.storage_address),
            admin,
            checkpoints,
            accounts,
            self._audit,
            door,
        )
        credentials = None if certificates is None else certificates.grpc_credentials()
        grpc_port = await self._grpc.start(settings.host, settings.grpc_port, credentials)
        await driver.start(settings.advertise or _advertised(settings.host, grpc_port))
        driver.duties.keep_up(keep_measuring(driver.metrics.event_loop_lag.observe))
        driver.duties.keep_up(watch_space(driver.storage, driver.metrics, driver.health.note_storage))
        self._following.append(asyncio.create_task(self._grpc.follow_health()))
        if certificates is not None:
            self._following.append(asyncio.create_task(certificates.follow()))
        self.grpc_address = _address(settings.host, grpc_port)
        self.http_address = _address(settings.host, http_port)
        _write_address(settings, grpc_port, http_port)
        log.info("server_ready", extra={"grpc": self.grpc_address, "http": self.http_address})

    async def stop(self) -> None:
        """Stops everything: calls are answered, what was decided is committed, the database is stopped last."""
        if self._grpc is not None:
            await self._grpc.leave()
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        if self._driver is not None:
            self._driver.close_streams()
        if self._grpc is not None:
            await self._grpc.stop(self.settings.grace_seconds)
        if self._audit is not None and self._auditing is not None:
            self._audit.close()
            await self._auditing
        if self._driver is not None:
            await self._driver.stop()
        if self._http is not None:
            await self._http.stop()
        if self._database is not None:
            await asyncio.to_thread(self._database.stop)
        if self.grpc_address:
            self.settings.address_file.unlink(missing_ok=True)
        if self._home is not None:
            self._home.let_go()

    def make_store(self, url: str) -> Store:
        """The store; tests put their own in its place."""
        return Store(url, self.settings.accepted_timeline)

    def make_proposers(self) -> Proposers:
        """What makes points; tests put their own in its place."""
        return Proposers(self.settings.proposal_seconds, self.settings.proposal_memory_bytes)

    def _make_tokens(self, driver: Driver) -> None:
        """Makes the home's tokens known to the database; both files and hashes survive the other's loss."""
        for path, role in (
            (self.settings.admin_token_file, Role.ADMIN),
            (self.settings.worker_token_file, Role.WORKER),
        ):
            hashed = secret_hash(read_or_make(path))
            known = driver.store.find_tokens()
            if all(token.secret_hash != hashed for token in known):
                name = role.value
                if self.settings.database_url is not None and any(each.name == name for each in known):
                    name = f"{name}@{_home_name(self.settings.home)}"  # that one is another home's
                driver.store.create_token(name, role.value, PROJECT, hashed, replace=True)
        driver.tokens = TokenBook(driver.store.find_tokens())


def _home_name(home: Path) -> str:
    """Tells a home from those of other servers on the same database: its host, and a digest of its path."""
    digest = hashlib.sha256(str(home).encode()).hexdigest()
    return f"{socket.gethostname()[:80]}-{digest[:6]}"


def _make_folders(settings: Settings) -> None:
    try:
        for folder in (settings.home, settings.folder, settings.home / "logs", settings.lease_logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidStudy(
            "home", f"{settings.home} cannot be written: {error.strerror}", "Choose a folder of yours."
        ) from error


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _advertised(host: str, port: int) -> str:
    """Where others find a server that listens at an address, unless it is told."""
    return _address(socket.gethostname() if host in ANY_HOST else host, port)


def _write_address(settings: Settings, grpc_port: int, http_port: int) -> None:
    """Says in the home how this machine reaches the server."""
    here = ANY_HOST.get(settings.host, settings.host)
    said = {
        "grpc": _address(here, grpc_port),
        "http": _address(here, http_port),
        "pid": os.getpid(),
        "tls": settings.tls is not None,
    }
    draft = settings.address_file.with_suffix(".new")
    draft.write_text(json.dumps(said))
    draft.replace(settings.address_file)
