"""The HTTP application: three pages behind one gate.

The gate lets nothing through by default: a route without an entry in its table does not exist, whatever the method. A
page that shows data needs a bearer token, also on loopback; a foreign ``Host`` is refused, since a browser that was
tricked into asking (DNS rebinding) sends one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hippo_core.errors import NotAllowed, Unavailable
from hippo_server.auth.roles import METRICS_ROLES, Role, least_words
from hippo_server.auth.tokens import Unauthenticated
from hippo_server.driver import Driver
from hippo_server.tls import Certificates
from hippo_wire.channel import is_loopback

OPEN = None
#: Path to the roles that may read it; None: everybody.
ROUTE_ROLES: Mapping[str, frozenset[Role] | None] = {
    "/livez": OPEN,
    "/readyz": OPEN,
    "/metrics": METRICS_ROLES,
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def make_app(driver: Driver, certificates: Certificates | None = None) -> ASGIApp:
    """The application of a server.

    Args:
        driver: Answers.
        certificates: For whose names it may be asked, beside this machine's own; None: for none.
    """

    async def livez(request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=HEADERS)

    async def readyz(request: Request) -> Response:
        reasons = driver.reasons()
        return JSONResponse(
            {"ready": not reasons, "reasons": reasons},
            status_code=200 if not reasons else 503,
            headers=HEADERS,
        )

    async def metrics(request: Request) -> Response:
        with contextlib.suppress(Unavailable):  # the gauges stay as they were, and hippo_ready is 0
            await driver.current().read(driver.metrics.look_at)
        driver.metrics.ready(driver.ready)
        text = generate_latest(driver.metrics.registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST, headers=HEADERS)

    pages: Mapping[str, Callable[[Request], Awaitable[Response]]] = {
        "/livez": livez,
        "/readyz": readyz,
        "/metrics": metrics,
    }
    routes = [Route(path, page, methods=["GET"]) for path, page in pages.items()]
    return Gate(Starlette(routes=routes), driver, certificates)


class Gate:
    """Refuses what the table does not allow.

    Args:
        app: What is behind it.
        driver: Knows the tokens.
        certificates: For whose names the server may be asked.
    """

    def __init__(self, app: ASGIApp, driver: Driver, certificates: Certificates | None) -> None:
        self._app = app
        self._driver = driver
        self._certificates = certificates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or lets the application answer."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(Request(scope))
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(_name(hosts[0]).lower()):
            return _error(421, "MISDIRECTED", "this server is asked for by another name.", "")
        if request.url.path not in ROUTE_ROLES:
            return _error(404, "NOT_FOUND", "there is no such page.", "")
        if request.method not in {"GET", "HEAD"}:
            return _error(405, "METHOD_NOT_ALLOWED", "pages are only read.", "")
        allowed = ROUTE_ROLES[request.url.path]
        if allowed is OPEN:
            return None
        try:
            who = self._driver.tokens.identify(request.headers.get("authorization"))
        except Unauthenticated as error:
            return _error(401, error.code, error.message, error.hint)
        if who.role not in allowed:
            denied = NotAllowed(f"this page needs the role {least_words(allowed)}.")
            return _error(403, denied.code, denied.message, denied.hint)
        return None

    def _is_ours(self, name: str) -> bool:
        """Whether the server goes by a name: this machine's own, or one in its certificate."""
        if is_loopback(name):
            return True
        names = () if self._certificates is None else self._certificates.names
        return name in names or f"*.{name.partition('.')[2]}" in names


def _name(host: str) -> str:
    """A host header's name, without the port."""
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[")
    return host.partition(":")[0]


def _error(status: int, code: str, message: str, hint: str) -> Response:
    headers = dict(HEADERS)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(
        {"error": {"code": code, "message": message, "hint": hint}}, status_code=status, headers=headers
    )
