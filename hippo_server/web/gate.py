"""The gate that every HTTP request passes: for which host, from whose page, who asks, how often, whether they may.

Nothing passes by default: a path without a page, or a method that a page does not name, does not exist. A page that
shows data needs a bearer token, or the cookie of a browser that is logged in, also on loopback, since any browser
reaches that too:

- ``Host`` must be one name of this server's. A browser that was tricked into asking (DNS rebinding) sends another.
- ``Origin`` and ``Sec-Fetch-Site`` must be this server's own wherever a request changes something, and on streams,
  which browsers open to any host without asking first. Which methods are safe is a list of two, not a list of the
  others.

Every answer carries the headers that keep browsers from making more of it than what it is.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Message, Receive, Scope, Send

from hippo_core.errors import (
    Conflict,
    HippoError,
    Incompatible,
    InvalidStudy,
    NotAllowed,
    NotFound,
    Stale,
    TooManyCalls,
    Unavailable,
)
from hippo_server.audit import Audit, cut
from hippo_server.auth.limits import Door, stranger
from hippo_server.auth.roles import Role, least_words
from hippo_server.auth.sessions import Sessions
from hippo_server.auth.tokens import Identity, TokenBook, Unauthenticated
from hippo_server.store.audit import UNAUTHENTICATED, Call
from hippo_server.tls import Certificates
from hippo_wire.observing.logs import bind
from hippo_wire.route import is_loopback

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often it is looked whether who listens to a stream may still do so."""

SAFE_METHODS = ("GET", "HEAD")
LARGEST_BODY_BYTES = 1 << 20
LARGEST_HEAD_BYTES = 16 << 10
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What every answer carries, unless its page says otherwise."""

STATUS: Mapping[type[HippoError], int] = {
    InvalidStudy: 400,
    NotAllowed: 403,
    NotFound: 404,
    Conflict: 409,
    Incompatible: 409,
    Stale: 409,
    TooManyCalls: 429,
    Unavailable: 503,
}


def status_of(error: HippoError) -> int:
    """How HTTP calls an error of a page."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def cookie_name(host: str) -> str:
    """What the cookie of a server is called: by its port, since browsers keep cookies of a host's ports together."""
    return f"hippo-{_port(host) or 'session'}"


def caller(request: Request) -> Identity:
    """Who asks for a page that is not open to all."""
    who = request.scope["hippo.caller"]
    assert isinstance(who, Identity), "the gate lets nobody in whom it does not know"
    return who


def peer(scope: Scope) -> str:
    """Where a request comes from, as gRPC writes it."""
    host, port = scope.get("client") or ("", 0)
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A path, and who may do what there.

    Attributes:
        path: As Starlette writes it: ``/studies/{name}``.
        roles: For each method the roles that it lets in; None: everybody. HEAD goes with GET.
        answer: Answers.
        streams: Whether an answer goes on for as long as the caller listens.
        counted: Whether it counts among what a caller asks.
    """

    path: str
    roles: Mapping[str, frozenset[Role] | None]
    answer: Callable[[Request], Awaitable[Response]]
    streams: bool = False
    counted: bool = True

    def allowed(self, method: str) -> frozenset[Role] | None:
        """The roles that a method lets in; None: everybody.

        Raises:
            KeyError: The page has no such method.
        """
        return self.roles["GET" if method == "HEAD" else method]


def by_method(
    **answers: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """What answers a page whose methods are answered differently: ``by_method(GET=show, POST=change)``."""

    async def answer(request: Request) -> Response:
        return await answers["GET" if request.method == "HEAD" else request.method](request)

    return answer


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered.

    Attributes:
        status: HTTP's.
        error: In words.
        headers: What the answer carries beside.
    """

    status: int
    error: HippoError
    headers: Mapping[str, str]


class _Refused(Exception):
    def __init__(self, status: int, error: HippoError, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.refusal = Refusal(status, error, headers or {})


def error_json(refusal: Refusal) -> Response:
    """A refusal for programs."""
    error = refusal.error
    return Response(
        json.dumps(error.to_json()),
        status_code=refusal.status,
        media_type=JSONResponse.media_type,
        headers=dict(refusal.headers),
    )


def _as_json(request: Request, refusal: Refusal) -> Response:
    return error_json(refusal)


class Gate:
    """Pages, behind the gate.

    Args:
        pages: All there are.
        tokens: The tokens that are known now.
        door: Counts who asks how much.
        audit: Hears of requests that are refused for who asked.
        certificates: For whose names the server may be asked, beside this machine's own; None: for none.
        sessions: The browsers that are logged in.
        refuse: Puts a refusal into words, for who asks.
        on_page: Told of each answer: the page's path as it is written, or empty; HTTP's status; seconds. Of none that
            streams.
    """

    def __init__(
        self,
        pages: Sequence[Page],
        *,
        tokens: Callable[[], TokenBook],
        door: Door,
        audit: Audit,
        certificates: Certificates | None,
        sessions: Sessions,
        refuse: Callable[[Request, Refusal], Response] = _as_json,
        on_page: Callable[[str, int, float], None] = lambda path, status, seconds: None,
    ) -> None:
        self._pages = [(page, Route(page.path, page.answer, methods=list(page.roles))) for page in pages]
        self._tokens = tokens
        self._door = door
        self._audit = audit
        self._certificates = certificates
        self._sessions = sessions
        self._refuse = refuse
        self._on_page = on_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or refuses."""
        if scope["type"] != "http":
            return
        answering, began = _Answering(receive, send), time.perf_counter()
        try:
            await self._answer(scope, answering)
        finally:
            page = scope.get("hippo.page")
            if page is None or not page.streams:
                path = "" if page is None else page.path
                self._on_page(path, answering.status, time.perf_counter() - began)

    async def _answer(self, scope: Scope, answering: _Answering) -> None:
        try:
            await self._admit(scope, answering)
        except _Refused as refused:
            refusal = refused.refusal
        except HippoError as error:
            refusal = Refusal(status_of(error), error, {})
        except Exception as error:
            log.error("page_failed", extra={"path": cut(scope["path"])}, exc_info=error)
            failed = HippoError("the server failed at this request.", "Its log says more.")
            refusal = Refusal(500, failed, {})
        else:
            return
        if not answering.begun:
            answer = self._refuse(Request(scope, answering.receive), refusal)
            await answer(scope, answering.receive, answering.send)

    async def _admit(self, scope: Scope, answering: _Answering) -> None:
        headers, method = Headers(scope=scope), scope["method"]
        if sum(len(name) + len(value) for name, value in headers.raw) > LARGEST_HEAD_BYTES:
            error = HippoError(f"the headers of a request have at most {LARGEST_HEAD_BYTES >> 10} KiB.")
            raise _Refused(431, error, {"Connection": "close"})
        host = self._checked_host(headers)
        page, route = self._found(scope)
        if method not in SAFE_METHODS or (page is not None and page.streams):
            _check_origin(headers, f"{scope['scheme']}://{host}")
        who = scope["hippo.caller"] = self._identified(headers, host)
        bind(page=None if page is None else page.path, user=None if who is None else who.user)
        # A browser follows what changes on many pages by itself, which is to leave its user's commands alone.
        kind = "token" if "authorization" in headers else "browser"
        counted = stranger(peer(scope)) if who is None else f"{kind} {who.user}"
        try:
            if page is None or page.counted:
                self._door.call(counted)
            if page is None or route is None:
                raise _Refused(404, NotFound("there is no such page.", "The start page lists what there is."))
            if who is None and not self._sessions.known and self._cookies(headers, host):
                _require_open(page, method)
            self._require(scope, page, method, who)
            if not page.streams:
                await route.handle(scope, answering.receive, answering.send)
                return
            with self._door.stream(counted):
                answer = route.handle(scope, answering.receive, answering.send)
                if not await self._while_known(answer, headers, host, who):
                    await answering.end()
        except TooManyCalls as error:
            raise _Refused(429, error, {"Retry-After": str(math.ceil(error.retry_seconds))}) from error

    def _found(self, scope: Scope) -> tuple[Page, Route] | tuple[None, None]:
        """The page of a path, whose parts the scope gets."""
        for page, route in self._pages:
            match, parts = route.matches(scope)
            if match is not Match.NONE:
                scope.update(parts)
                scope["hippo.page"] = page
                return page, route
        return None, None

    def _checked_host(self, headers: Headers) -> str:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not hosts[0]:
            raise _Refused(400, HippoError("a request names one host."))
        name = _name(hosts[0]).lower()
        names = () if self._certificates is None else self._certificates.names
        if not (is_loopback(name) or name in names or f"*.{name.partition('.')[2]}" in names):
            raise _Refused(421, HippoError("this server is asked for by another name."))
        return hosts[0].lower()

    def _identified(self, headers: Headers, host: str) -> Identity | None:
        given = headers.getlist("authorization")
        try:
            if given:
                return self._tokens().identify(given[0]) if len(given) == 1 else None
            found = self._cookies(headers, host)
            token = self._sessions.token(found[0]) if len(found) == 1 else None
            return None if token is None else self._tokens().holder(token)
        except Unauthenticated:
            return None

    @staticmethod
    def _cookies(headers: Headers, host: str) -> list[str]:
        """What a browser has that was logged in."""
        cookies = [cookie_parser(each) for each in headers.getlist("cookie")]
        return [each[cookie_name(host)] for each in cookies if cookie_name(host) in each]

    async def _while_known(
        self, answer: Awaitable[None], headers: Headers, host: str, who: Identity | None
    ) -> bool:
        """Lets a stream go on for as long as who listens is who they were; whether it came to its own end."""
        answering = asyncio.ensure_future(answer)
        try:
            while True:
                done, _ = await asyncio.wait({answering}, timeout=LOOK_SECONDS)
                if done:
                    answering.result()
                    return True
                if self._identified(headers, host) != who:
                    return False
        finally:
            answering.cancel()
            await asyncio.wait({answering})

    def _require(self, scope: Scope, page: Page, method: str, who: Identity | None) -> None:
        try:
            allowed = page.allowed(method)
        except KeyError:
            methods = {*page.roles, *(("HEAD",) if "GET" in page.roles else ())}
            error = HippoError(f"the page has no {cut(method)}.")
            raise _Refused(405, error, {"Allow": ", ".join(sorted(methods))}) from None
        if allowed is None or (who is not None and who.role in allowed):
            return
        error = (
            Unauthenticated()
            if who is None
            else NotAllowed(f"this page needs the role {least_words(allowed)}.", "Use another token.")
        )
        self._write_down(scope, page, method, who)
        if who is None:
            raise _Refused(401, error, {"WWW-Authenticate": "Bearer"})
        raise _Refused(403, error)

    def _write_down(self, scope: Scope, page: Page, method: str, who: Identity | None) -> None:
        self._audit.note(
            Call(
                at=datetime.now(UTC),
                actor="" if who is None else who.user,
                role="" if who is None else who.role.value,
                project="" if who is None else who.project,
                peer=cut(peer(scope)),
                method=cut(f"{method} {page.path}"),
                subject="",
                request_id="",
                digest="",
                result=UNAUTHENTICATED if who is None else NotAllowed.code,
            )
        )


def _require_open(page: Page, method: str) -> None:
    """Lets a browser in of which nobody can say yet whether it is logged in."""
    if method in page.roles and page.allowed(method) is not None:
        raise Unavailable(
            "the server is starting: it does not know yet who is logged in.", "Try again in a moment."
        )


class _Answering:
    """One answer: its headers are completed, and no more of the request is read than is allowed."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._size_bytes = 0
        self.begun = False
        self.status = 499  #: HTTP's; this one where whoever asked has gone before the answer

    async def receive(self) -> Message:
        message = await self._receive()
        self._size_bytes += len(message.get("body", b""))
        if self._size_bytes > LARGEST_BODY_BYTES:
            error = HippoError(f"a request has at most {LARGEST_BODY_BYTES >> 20} MiB.")
            raise _Refused(413, error, {"Connection": "close"})
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun, self.status = True, message["status"]
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def end(self) -> None:
        """Ends a stream whose reader may not go on reading; one that has not begun is refused.

        Raises:
            _Refused: It has not begun.
        """
        if not self.begun:
            raise _Refused(401, Unauthenticated())
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _check_origin(headers: Headers, own: str) -> None:
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    same_site = all(site in ("same-origin", "none") for site in sites)
    if not same_site or any(origin.lower() != own for origin in origins):
        raise _Refused(403, NotAllowed("this request comes from another site's page."))


def _name(host: str) -> str:
    """A host header's name, without the port."""
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[")
    return host.partition(":")[0]


def _port(host: str) -> str:
    """A host header's port, where it has one."""
    return host.removeprefix(f"[{_name(host)}]").removeprefix(_name(host)).removeprefix(":")
