"""The pages of administrators: tokens, and the audit log."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from hippo_server.auth.roles import ADMINS
from hippo_server.web.page import Page
from hippo_server.web.site import Site
from hippo_wire import json_types
from hippo_wire.admin_shapes import call_json, token_json
from hippo_wire.v1 import admin_pb2

PAGE_CALLS = 100


def pages(site: Site) -> tuple[Page, ...]:
    """The pages of tokens and of the audit log."""

    async def tokens(request: Request) -> Response:
        answer = await site.calls.call(request, "AdminService/ListTokens", admin_pb2.ListTokensRequest())
        listed = [token_json(each) for each in answer.tokens]
        return site.show(request, "tokens.html", tokens=[{**each, "state": _state(each)} for each in listed])

    async def audit(request: Request) -> Response:
        asked = request.query_params
        message = admin_pb2.ListCallsRequest(
            actor=asked.get("token", "").strip(),
            denied=asked.get("denied") == "yes",
            page_size=PAGE_CALLS,
            page_token=asked.get("before", ""),
        )
        answer = await site.calls.call(request, "AdminService/ListCalls", message)
        return site.show(
            request,
            "audit.html",
            calls=[call_json(each) for each in answer.calls],
            older=answer.next_page_token,
            token=message.actor,
            denied=message.denied,
        )

    return (
        Page(path="/tokens", roles={"GET": ADMINS}, answer=tokens),
        Page(path="/audit", roles={"GET": ADMINS}, answer=audit),
    )


def _state(token: json_types.Token) -> str:
    if token["revoked_at"] is not None:
        return "revoked"
    expires = token["expires_at"]
    if expires is not None and datetime.fromisoformat(expires) <= datetime.now(UTC):
        return "expired"
    return "valid"
