"""A Hippo home: where the local server's data, tokens, logs and the supervisor's record lie."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from hippo_core.errors import NotAllowed


def default_home() -> Path:
    """The folder that ``HIPPO_HOME`` names, else the user's data folder."""
    named = os.environ.get("HIPPO_HOME")
    if named:
        return Path(named).expanduser().absolute()
    return platformdirs.user_data_path("hippo", appauthor=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """Where a ready server listens, as it says itself in the home."""

    grpc: str
    http: str
    pid: int
    tls: bool = False  #: whether connections are encrypted


def port_of(address: str) -> int:
    """The port of ``host:port``."""
    return int(address.rpartition(":")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The paths of a home. ``path`` is absolute."""

    path: Path

    @classmethod
    def at(cls, path: Path | str | None = None) -> Home:
        """The home at ``path``, by default the user's."""
        return cls(path=Path(path).expanduser().absolute() if path else default_home())

    @property
    def logs(self) -> Path:
        """Logs of the supervisor, the server and the worker."""
        return self.path / "logs"

    @property
    def server_file(self) -> Path:
        """Written by the server when it is ready."""
        return self.path / "server" / "server.json"

    @property
    def admin_token_file(self) -> Path:
        """The token of the home's owner."""
        return self.path / "server" / "admin.token"

    @property
    def worker_token_file(self) -> Path:
        """The token of the home's worker."""
        return self.path / "server" / "worker.token"

    @property
    def certificates(self) -> Path:
        """What ``hippo certs init`` made."""
        return self.path / "certs"

    @property
    def authorities_file(self) -> Path:
        """The certificate of the authority that the home's server has its own from."""
        return self.certificates / "ca.pem"

    @property
    def worker_folder(self) -> Path:
        """Where the home's worker keeps bundles, recent checkpoints and unpublished ones."""
        return self.path / "worker"

    @property
    def lock_file(self) -> Path:
        """Locked by the supervisor for as long as it, or anything that it started, lives."""
        return self.path / "supervisor" / "lock"

    @property
    def record_file(self) -> Path:
        """The supervisor's record: its socket and its children."""
        return self.path / "supervisor" / "record.json"

    @property
    def page_port_file(self) -> Path:
        """At which port the server's pages were found last."""
        return self.path / "supervisor" / "page-port"

    def create(self) -> None:
        """Make the home's folders, closed to other users.

        Raises:
            NotAllowed: The folder cannot be made or written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.logs, self.lock_file.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise NotAllowed(
                f"The home {self.path} cannot be written: {error.strerror}.",
                "Set HIPPO_HOME to a folder of yours.",
            ) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise NotAllowed(
                f"The home {self.path} cannot be written.", "Set HIPPO_HOME to a folder of yours."
            )

    def admin_token(self) -> str:
        """The owner's token.

        Raises:
            NotAllowed: It cannot be read.
        """
        try:
            return self.admin_token_file.read_text().strip()
        except OSError as error:
            raise NotAllowed(
                f"The token {self.admin_token_file} cannot be read: {error.strerror}.",
                "Use the home's owner, or set HIPPO_HOME to a folder of yours.",
            ) from error

    def free_page_port(self) -> int:
        """The port at which the last server's pages were found, if it is free; else 0: any."""
        try:
            port = int(self.page_port_file.read_text())
            with socket.create_server(("127.0.0.1", port)):
                return port
        except (OSError, ValueError, OverflowError):
            return 0

    def server_address(self) -> ServerAddress | None:
        """What the server last said, whether or not it still runs."""
        try:
            said = json.loads(self.server_file.read_text())
            return ServerAddress(
                grpc=said["grpc"], http=said["http"], pid=said["pid"], tls=said.get("tls", False)
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
