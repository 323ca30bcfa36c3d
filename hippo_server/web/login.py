"""Logging in by a link that is good once, and out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hippo_core.errors import NotAllowed
from hippo_server.auth.roles import VIEWERS
from hippo_server.auth.sessions import SESSION_LASTS
from hippo_server.auth.tokens import Unauthenticated
from hippo_server.store import Session
from hippo_server.web.addresses import own_path
from hippo_server.web.forms import read_form
from hippo_server.web.hosts import cookie_name
from hippo_server.web.page import Page, by_method
from hippo_server.web.site import Site
from hippo_wire.secrets import new_secret, secret_hash


def pages(site: Site) -> tuple[Page, ...]:
    """The pages that log in and out."""
    sessions = site.driver.sessions

    async def ask(request: Request) -> Response:
        return site.show(
            request,
            "login.html",
            link=request.query_params.get("link", ""),
            to=own_path(request.query_params.get("to", "/")),
        )

    async def log_in(request: Request) -> Response:
        site.driver.current()  # where another server leads, that one has the link
        form = await read_form(request)
        token = sessions.redeem(form.get("link", ""))
        if token is None:
            raise NotAllowed(
                "this link is not good: it logs in once, within two minutes.", "Ask for another: hippo open."
            )
        try:
            site.driver.tokens.holder(token)
        except Unauthenticated:
            raise NotAllowed("the token is valid no more.", "Ask an administrator for another.") from None
        cookie = new_secret()
        session = Session(
            secret_hash=secret_hash(cookie), token=token, expires_at=datetime.now(UTC) + SESSION_LASTS
        )
        await asyncio.to_thread(site.driver.store.begin_session, session)
        sessions.begin(session)
        answer = RedirectResponse(own_path(form.get("to", "/")), 303)
        answer.set_cookie(
            cookie_name(request.headers["host"]),
            cookie,
            max_age=int(SESSION_LASTS.total_seconds()),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    async def log_out(request: Request) -> Response:
        name = cookie_name(request.headers["host"])
        cookie = request.cookies.get(name, "")
        sessions.end(cookie)
        await asyncio.to_thread(site.driver.store.end_session, secret_hash(cookie))
        answer = RedirectResponse("/login?out=1", 303)
        answer.delete_cookie(name, secure=request.url.scheme == "https", httponly=True, samesite="strict")
        return answer

    return (
        Page(path="/login", roles={"GET": None, "POST": None}, answer=by_method(GET=ask, POST=log_in)),
        Page(path="/logout", roles={"POST": VIEWERS}, answer=log_out),
    )
