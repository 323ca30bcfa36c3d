"""Joining: a worker that is given a token to join with gets one of its own, keeps it, and uses it from then on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hippo_core.errors import NotAllowed
from hippo_wire.aio_connection import AsyncConnection
from hippo_wire.private_file import write_private
from hippo_wire.secrets import new_secret, secret_hash
from hippo_wire.v1 import worker_pb2
from hippo_worker.settings import Endpoint, WorkerSettings

JOIN_SECONDS = 60.0


def own_token_file(settings: WorkerSettings) -> Path:
    """Where the token of a worker that has joined is kept."""
    return settings.data_folder / "worker.token"


async def join(endpoint: Endpoint, worker: str, file: Path) -> Endpoint:
    """The server, with the worker's own token.

    Args:
        endpoint: The server, with a token to join with.
        worker: The worker's name.
        file: Where its own token is kept; only its owner can read it.

    Raises:
        NotAllowed: The file cannot be used, or as many workers have joined as may.
        Conflict: A worker of that name is at work.
        Unavailable: The server was out of reach for a minute.
    """
    secret = _read(file)
    if secret is None:
        secret = new_secret()
        connection = AsyncConnection(endpoint.server, endpoint.token, endpoint.trust)
        try:
            request = worker_pb2.JoinPoolRequest(worker=worker, secret_hash=secret_hash(secret))
            await connection.call(connection.workers.JoinPool, request, timeout=JOIN_SECONDS)
        finally:
            await connection.close()
        write_private(file, f"{secret}\n".encode())
    return replace(endpoint, token=secret)


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotAllowed(
            f"{file} cannot be read: {error.strerror}.", "It must be the worker's own file."
        ) from error
