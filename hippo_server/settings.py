"""What a server is told at its start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hippo_core.engine.decision import EngineSettings
from hippo_core.errors import InvalidStudy
from hippo_server.auth.limits import CallLimits
from hippo_server.tls import TlsFiles
from hippo_wire.route import check_address, is_loopback

PROJECT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A server's settings.

    Attributes:
        home: Its folder: tokens, the embedded database, logs.
        host: The address to listen at; one that other machines reach needs ``tls``.
        grpc_port: Port of gRPC; 0: a free one.
        http_port: Port of HTTP; 0: a free one.
        database_url: PostgreSQL's address; None: the embedded one, in the home.
        storage: Where checkpoints and bundles lie, in a folder for each database: a folder's path, or an address
            that fsspec knows.
        engine: The engine's times.
        proposal_seconds: How long a sampler may take for one point.
        proposal_memory_bytes: How much memory a process that makes points may hold.
        advertise: Where callers find the server, ``host:port`` of gRPC, for those that ask another one; None: at
            ``host``, or the machine's name where that stands for all addresses.
        leader_lease_seconds: How long a leader that is not heard of is waited for.
        accepted_timeline: PostgreSQL's timeline in which what a fail-over lost is to be lost; None: none.
        grace_seconds: How long calls may take that are being answered when the server is told to stop.
        tls: Its certificates; None: connections are not encrypted.
        limits: What one caller may ask.
    """

    home: Path
    storage: str
    host: str = "127.0.0.1"
    grpc_port: int = 7440
    http_port: int = 7441
    database_url: str | None = None
    engine: EngineSettings = field(default_factory=EngineSettings)
    proposal_seconds: float = 60.0
    proposal_memory_bytes: int = 4 * 2**30
    advertise: str | None = None
    leader_lease_seconds: float = 15.0
    accepted_timeline: int | None = None
    grace_seconds: float = 5.0
    tls: TlsFiles | None = None
    limits: CallLimits = field(default_factory=CallLimits)

    def __post_init__(self) -> None:
        """Refuses to listen where anybody could read along, twice at one port, and to name an address that is none."""
        if self.grpc_port and self.grpc_port == self.http_port:
            raise InvalidStudy(
                "http_port", f"is {self.http_port}, as grpc_port is", "gRPC and HTTP need a port each."
            )
        if self.advertise is not None:
            check_address(self.advertise, encrypted=True, field="advertise")
        if self.tls is None and not is_loopback(self.host):
            raise InvalidStudy(
                "host",
                f"'{self.host}' can be reached from other machines, and there are no certificates",
                "Make some with `hippo certs init`, or name yours with --tls-cert and --tls-key; or listen at "
                "127.0.0.1 and let others in by a tunnel, e.g. ssh -L 7440:127.0.0.1:7440.",
            )

    @property
    def folder(self) -> Path:
        """What is the server's own of the home."""
        return self.home / "server"

    @property
    def admin_token_file(self) -> Path:
        """The token of the home's owner."""
        return self.folder / "admin.token"

    @property
    def worker_token_file(self) -> Path:
        """The token of the home's workers."""
        return self.folder / "worker.token"

    @property
    def address_file(self) -> Path:
        """Where the server says how it is reached."""
        return self.folder / "server.json"

    @property
    def lease_logs(self) -> Path:
        """What user code printed."""
        return self.home / "logs" / "leases"
