"""The worker's own page over HTTP, where it is asked for: metrics, whether it lives, and whether it is ready.

Three paths and GET, so that it is written here and needs no framework. ``/livez`` and ``/readyz`` are open to all and
show no data; ``/metrics`` needs the token. It is answered in the daemon's event loop: one that hangs does not answer.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import ssl
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST

from hippo_core.errors import Conflict, InvalidStudy, NotAllowed
from hippo_wire.observing.loop_lag import keep_measuring
from hippo_wire.private_file import write_private
from hippo_wire.secrets import new_secret
from hippo_worker.metrics import Glance, WorkerMetrics
from hippo_worker.settings import PageSettings

logger = logging.getLogger(__name__)

HEAD_SECONDS = 10.0
LARGEST_HEAD_BYTES = 16 << 10
MOST_CONNECTIONS = 50
_SHARED_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Connection": "close",
}


class StatusPage:
    """The page.

    Args:
        settings: Where it is.
        folder: The worker's data folder.
        metrics: What is shown, and told how late the event loop comes.
        glance: How the worker is now.
        reasons: Why the worker cannot train now; none: it can.

    Raises:
        NotAllowed: The token cannot be read.
        InvalidStudy: The certificate cannot.
    """

    def __init__(
        self,
        settings: PageSettings,
        folder: Path,
        metrics: WorkerMetrics,
        glance: Callable[[], Glance],
        reasons: Callable[[], Mapping[str, str]],
    ) -> None:
        self._settings = settings
        self._token = _token(
            settings.token_file or folder / "metrics.token", make=settings.token_file is None
        )
        self._tls = _context(settings)
        self._metrics = metrics
        self._glance = glance
        self._reasons = reasons
        self._open = 0
        self._server: asyncio.Server | None = None
        self._measuring: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listens; gives the port.

        Raises:
            Conflict: It is taken.
        """
        host, port = self._settings.host, self._settings.port
        try:
            self._server = await asyncio.start_server(
                self._serve, host, port, ssl=self._tls, limit=LARGEST_HEAD_BYTES
            )
        except OSError as error:
            raise Conflict(
                f"the address {host}:{port} cannot be used: {error.strerror}.",
                "Choose another one with --metrics-address.",
            ) from error
        bound: int = self._server.sockets[0].getsockname()[1]
        self._measuring = asyncio.create_task(keep_measuring(self._metrics.event_loop_lag.observe))
        logger.info("status_page", extra={"host": host, "port": bound})
        return bound

    def close(self) -> None:
        """Ends it."""
        if self._server is not None:
            self._server.close()
        if self._measuring is not None:
            self._measuring.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                if self._open > MOST_CONNECTIONS:
                    answer = _answer(HTTPStatus.SERVICE_UNAVAILABLE, b"too many connections\n")
                else:
                    answer = self._answer_to(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, OSError):
            pass  # no HTTP, or nobody listens any more
        finally:
            self._open -= 1
            writer.close()

    def _answer_to(self, head: bytes) -> bytes:
        request, *lines = head.decode("latin-1").split("\r\n")
        words = request.split(" ")
        if len(words) != 3 or words[0] not in ("GET", "HEAD"):
            return _answer(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET\n", Allow="GET, HEAD")
        match words[1].partition("?")[0]:
            case "/livez":
                answer = _answer(HTTPStatus.OK, b"ok\n")
            case "/readyz":
                answer = _ready(self._reasons())
            case "/metrics":
                answer = self._metrics_for(lines)
            case _:
                answer = _answer(HTTPStatus.NOT_FOUND, b"/livez, /readyz, /metrics\n")
        return answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if words[0] == "HEAD" else answer

    def _metrics_for(self, lines: Iterable[str]) -> bytes:
        """The metrics, for whoever shows the token in the lines of a request's head."""
        headers = (line.partition(":") for line in lines)
        given = [value.strip() for name, _, value in headers if name.lower() == "authorization"]
        if len(given) == 1 and hmac.compare_digest(given[0].encode(), f"Bearer {self._token}".encode()):
            return _answer(
                HTTPStatus.OK, self._metrics.page(self._glance()), **{"Content-Type": CONTENT_TYPE_LATEST}
            )
        refused = {"WWW-Authenticate": "Bearer"}
        return _answer(HTTPStatus.UNAUTHORIZED, b"a valid token is needed\n", **refused)


def _ready(reasons: Mapping[str, str]) -> bytes:
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    body = json.dumps({"ready": not reasons, "reasons": dict(reasons)}) + "\n"
    return _answer(status, body.encode(), **{"Content-Type": "application/json"})


def _answer(status: HTTPStatus, body: bytes, **headers: str) -> bytes:
    shown = {
        "Content-Type": "text/plain; charset=utf-8",
        **_SHARED_HEADERS,
        **headers,
        "Content-Length": str(len(body)),
    }
    lines = [f"HTTP/1.1 {status} {status.phrase}", *(f"{name}: {value}" for name, value in shown.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _token(path: Path, *, make: bool) -> str:
    try:
        if make and not path.exists():
            write_private(path, f"{new_secret()}\n".encode())
        token = path.read_text().strip()
    except OSError as error:
        raise NotAllowed(
            f"the token file {path} cannot be read: {error.strerror}.", "Make it readable."
        ) from error
    if not token:
        raise NotAllowed(f"the token file {path} is empty.", "Write a token there.")
    return token


def _context(settings: PageSettings) -> ssl.SSLContext | None:
    if settings.certificate is None or settings.key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        words = f"{settings.certificate} and {settings.key} cannot be used: {error.strerror or error}"
        raise InvalidStudy("metrics-cert", words, "Give PEM files that fit each other.") from error
    return context
