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
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from hippo_core.errors import (
    HippoError,
    NotAllowed,
    NotFound,
    TooManyCalls,
    Unavailable,
)
from hippo_server.audit import Audit, cut
from hippo_server.auth.limits import Door, stranger
from hippo_server.auth.roles import least_words
from hippo_server.auth.sessions import Sessions
from hippo_server.auth.tokens import Identity, TokenBook, Unauthenticated
from hippo_server.store.audit import UNAUTHENTICATED, Call
from hippo_server.tls import Certificates
from hippo_server.web.answering import Answering
from hippo_server.web.hosts import cookie_name, name_of
from hippo_server.web.page import Page, peer
from hippo_server.web.refusal import Refusal, Refused, error_json, status_of
from hippo_wire.observing.logs import bind
from hippo_wire.route import is_loopback

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often it is looked whether who listens to a stream may still do so."""

SAFE_METHODS = ("GET", "HEAD")
LARGEST_HEAD_BYTES = 16 << 10


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
        look_again: Reads tokens and sessions again where they are made by another server; whether it does.
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
        look_again: Callable[[], Awaitable[bool]],
        refuse: Callable[[Request, Refusal], Response] = _as_json,
        on_page: Callable[[str, int, float], None] = lambda path, status, seconds: None,
    ) -> None:
        self._pages = [(page, Route(page.path, page.answer, methods=list(page.roles))) for page in pages]
        self._tokens = tokens
        self._door = door
        self._audit = audit
        self._certificates = certificates
        self._sessions = sessions
        self._look_again = look_again
        self._refuse = refuse
        self._on_page = on_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or refuses."""
        if scope["type"] != "http":
            return
        answering, began = Answering(receive, send), time.perf_counter()
        try:
            await self._answer(scope, answering)
        finally:
            page = scope.get("hippo.page")
            if page is None or not page.streams:
                path = "" if page is None else page.path
                self._on_page(path, answering.status, time.perf_counter() - began)

    async def _answer(self, scope: Scope, answering: Answering) -> None:
        try:
            await self._admit(scope, answering)
        except Refused as refused:
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

    async def _admit(self, scope: Scope, answering: Answering) -> None:
        headers, method = Headers(scope=scope), scope["method"]
        if sum(len(name) + len(value) for name, value in headers.raw) > LARGEST_HEAD_BYTES:
            error = HippoError(f"the headers of a request have at most {LARGEST_HEAD_BYTES >> 10} KiB.")
            raise Refused(431, error, {"Connection": "close"})
        host = self._checked_host(headers)
        page, route = self._found(scope)
        if method not in SAFE_METHODS or (page is not None and page.streams):
            _check_origin(headers, f"{scope['scheme']}://{host}")
        who = scope["hippo.caller"] = self._identified(headers, host)
        bind(page=None if page is None else page.path, user=None if who is None else who.user)
        # A browser follows what changes on many pages by itself, which is to leave its user's commands alone.
        given = "authorization" in headers
        kind = "token" if given else "browser"
        counted = stranger(peer(scope)) if who is None else f"{kind} {who.user}"
        try:
            if page is None or page.counted:
                self._door.call(counted)
            if page is None or route is None:
                raise Refused(404, NotFound("there is no such page.", "The start page lists what there is."))
            shown = given or self._cookies(headers, host)
            if who is None and shown and page.needs_caller(method) and await self._look_again():
                who = scope["hippo.caller"] = self._identified(headers, host)
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
            raise Refused(429, error, {"Retry-After": str(math.ceil(error.retry_seconds))}) from error

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
            raise Refused(400, HippoError("a request names one host."))
        name = name_of(hosts[0]).lower()
        names = () if self._certificates is None else self._certificates.names
        if not (is_loopback(name) or name in names or f"*.{name.partition('.')[2]}" in names):
            raise Refused(421, HippoError("this server is asked for by another name."))
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
            raise Refused(405, error, {"Allow": ", ".join(sorted(methods))}) from None
        if allowed is None or (who is not None and who.role in allowed):
            return
        error = (
            Unauthenticated()
            if who is None
            else NotAllowed(f"this page needs the role {least_words(allowed)}.", "Use another token.")
        )
        self._write_down(scope, page, method, who)
        if who is None:
            raise Refused(401, error, {"WWW-Authenticate": "Bearer"})
        raise Refused(403, error)

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
    if page.needs_caller(method):
        raise Unavailable(
            "the server is starting: it does not know yet who is logged in.", "Try again in a moment."
        )


def _check_origin(headers: Headers, own: str) -> None:
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    same_site = all(site in ("same-origin", "none") for site in sites)
    if not same_site or any(origin.lower() != own for origin in origins):
        raise Refused(403, NotAllowed("this request comes from another site's page."))
