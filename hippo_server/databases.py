"""Where the database comes from: embedded, and started again when it dies; or given, and only waited for."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from hippo_core.errors import Unavailable
from hippo_server.postgres.embedded import EmbeddedPostgres, PostgresError


class Database(Protocol):
    """Where the store's database comes from."""

    def start(self) -> str:
        """Starts it, where it is ours to start; returns its address. Called once, in a thread."""

    def ensure(self) -> None:
        """Starts it, where it is ours to start and does not run; called in a thread."""

    def running(self) -> bool:
        """Whether it runs, as far as one can tell without asking it."""

    def stop(self) -> None:
        """Stops it, where it is ours."""


class EmbeddedDatabase:
    """A PostgreSQL of the server's own.

    Args:
        home: Hippo's home folder.
    """

    def __init__(self, home: Path) -> None:
        self.postgres = EmbeddedPostgres(home)

    def start(self) -> str:
        """Starts it for the first time; returns its address.

        Raises:
            PostgresError: It cannot be started.
        """
        return self.postgres.start()

    def ensure(self) -> None:
        """Starts it again where it does not run.

        Raises:
            Unavailable: It cannot be started now.
        """
        try:
            self.postgres.start()
        except PostgresError as error:
            raise Unavailable(error.message, error.hint) from error

    def running(self) -> bool:
        """Whether its process lives."""
        return self.postgres.running()

    def stop(self) -> None:
        """Stops it."""
        self.postgres.stop()


class GivenDatabase:
    """A PostgreSQL that somebody else runs.

    Args:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def start(self) -> str:
        """It runs already; returns its address."""
        return self._url

    def ensure(self) -> None:
        """There is nothing to start."""

    def running(self) -> bool:
        """Only asking it can tell."""
        return True

    def stop(self) -> None:
        """It goes on."""
