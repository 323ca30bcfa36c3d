"""HTTP in the server's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from hippo_core.errors import Conflict
from hippo_server.web.answering import HEADERS
from hippo_server.web.gate import LARGEST_HEAD_BYTES

HEAD_SECONDS = 10.0
MOST_CONNECTIONS = 500
DATE_SECONDS = 1.0


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Ends, after the requests that are being answered."""
        self.should_exit = True
        self._ending.set()

    async def main_loop(self) -> None:
        """Keeps the date of answers right until the end; uvicorn's own looks ten times a second whether that is."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), DATE_SECONDS)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the process, which stops everything in order."""
        yield


class _Protocol(H11Protocol):
    """HTTP on one connection, which has so many seconds to bring a request's head to its end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._late: asyncio.TimerHandle | None = None
        if len(self.connections) > MOST_CONNECTIONS:
            self._answer_and_close(503, b"too many connections\n")
        else:
            self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._expect_nothing()
        elif self._late is None:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._answer_and_close(400, b"this is no HTTP request that can be answered\n")

    def _expect_head(self) -> None:
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _expect_nothing(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _answer_and_close(self, status: int, words: bytes) -> None:
        head = {
            **HEADERS,
            "Content-Type": "text/plain",
            "Content-Length": str(len(words)),
            "Connection": "close",
        }
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{key}: {head[key]}" for key in head)]
        self.transport.write("\r\n".join([*lines, "", ""]).encode("ascii") + words)
        self.transport.close()


class _Config(uvicorn.Config):
    """Uvicorn's settings, with a context for TLS that others keep up to date."""

    def __init__(self, app: ASGIApp, tls: ssl.SSLContext | None, **settings: Any) -> None:
        super().__init__(app, **settings)
        self._tls = tls

    def load(self) -> None:
        super().load()
        self.ssl = self._tls


class HttpServer:
    """HTTP on one port.

    Args:
        app: What answers.
        tls: For TLS; None: nothing is encrypted.
    """

    def __init__(self, app: ASGIApp, tls: ssl.SSLContext | None = None) -> None:
        config = _Config(
            app,
            tls,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
            http=_Protocol,
            h11_max_incomplete_event_size=LARGEST_HEAD_BYTES,
        )
        self._server = _Uvicorn(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port, which is a free one where 0 was asked for.

        Raises:
            Conflict: The port is taken.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Named as TCP, since asyncio turns Nagle's algorithm off for such sockets only: 40 ms an answer else.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            listener.close()
            raise Conflict(
                f"the address {host}:{port} cannot be used: {error.strerror}.",
                "Choose another port with --http-port.",
            ) from error
        listener.listen(128)
        listener.setblocking(False)
        bound: int = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        return bound

    async def stop(self) -> None:
        """Ends, after the requests that are being answered."""
        self._server.end()
        if self._task is not None:
            await self._task
