"""The gate of HTTP before pages of every kind: those that change something, and those that stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from hippo_server.auth.limits import CallLimits, Door
from hippo_server.auth.roles import EDITORS, VIEWERS
from hippo_server.auth.sessions import Sessions
from hippo_server.auth.tokens import TokenBook
from hippo_server.store import Session
from hippo_server.store.audit import Call
from hippo_server.web import static_files
from hippo_server.web.answering import HEADERS, LARGEST_BODY_BYTES
from hippo_server.web.gate import Gate
from hippo_server.web.page import Page
from hippo_wire.secrets import secret_hash
from tests.unit.server.test_tokens import token

OWN = "http://127.0.0.1:7441"
CHANGES = ("POST", "PUT", "PATCH", "DELETE")


async def changed(request: Request) -> Response:
    return PlainTextResponse(f"{request.method} {request.path_params['name']} {len(await request.body())}")


async def read(request: Request) -> Response:
    return PlainTextResponse("read", headers={"Content-Security-Policy": "default-src 'self'"})


async def broken(request: Request) -> Response:
    raise RuntimeError("postgresql://hippo:password@host/db")


async def listened(request: Request) -> Response:
    async def lines() -> AsyncIterator[str]:
        yield "data: 1\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


PAGES = (
    Page(path="/studies/{name}", roles={"GET": VIEWERS} | dict.fromkeys(CHANGES, EDITORS), answer=changed),
    Page(path="/read", roles={"GET": VIEWERS}, answer=read),
    Page(path="/broken", roles={"GET": None}, answer=broken),
    Page(path="/open", roles={"GET": None}, answer=read),
    Page(path="/events", roles={"GET": VIEWERS}, answer=listened, streams=True),
)


class Written:
    """Stands in for the audit log."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def note(self, call: Call) -> None:
        self.calls.append(call)


async def alone() -> bool:
    """No other server makes tokens."""
    return False


def make_gate(
    pages: Sequence[Page],
    book: TokenBook,
    limits: CallLimits | None = None,
    audit: Written | None = None,
    sessions: Sessions | None = None,
    look_again: Callable[[], Awaitable[bool]] = alone,
) -> Gate:
    return Gate(
        pages,
        tokens=lambda: book,
        door=Door(limits or CallLimits(), clock=lambda: 0.0),
        audit=audit or Written(),  # type: ignore[arg-type]
        certificates=None,
        sessions=sessions or Sessions(),
        look_again=look_again,
    )


def make(limits: CallLimits | None = None) -> tuple[httpx.AsyncClient, Written]:
    written = Written()
    book = TokenBook([token(role, role=role, name=role) for role in ("viewer", "editor")])
    transport = httpx.ASGITransport(make_gate(PAGES, book, limits, written))
    return httpx.AsyncClient(transport=transport, base_url=OWN), written


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {role}"}


FOREIGN: Sequence[dict[str, str]] = (
    {"Origin": "http://evil.test"},
    {"Origin": "null"},
    {"Origin": "https://127.0.0.1:7441"},
    {"Origin": "http://127.0.0.1:7442"},
    {"Origin": "http://localhost:7441"},
    {"Origin": f"{OWN}.evil.test"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.test"},
    {"Sec-Fetch-Site": "cross-site", "Origin": OWN},
)
OURS: Sequence[dict[str, str]] = (
    {},
    {"Origin": OWN},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": OWN, "Sec-Fetch-Site": "same-origin"},
)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_other_sites_pages_change_nothing_and_hear_no_stream(headers: dict[str, str]) -> None:
    """S03. Every method but GET and HEAD, those that no page has among them, and streams by GET; with a good token."""
    http, _ = make()
    async with http:
        for method in (*CHANGES, "OPTIONS", "TRACE", "PROPFIND", "BREW"):
            for path in ("/studies/x", "/read", "/events", "/nowhere"):
                answer = await http.request(method, path, headers=headers | bearer("editor"))
                assert answer.status_code == 403, (method, path)
        assert (await http.get("/events", headers=headers | bearer("editor"))).status_code == 403
        assert (await http.get("/read", headers=headers | bearer("editor"))).status_code == 200


@pytest.mark.parametrize("headers", OURS, ids=str)
async def test_what_comes_from_our_pages_or_from_no_page_passes(headers: dict[str, str]) -> None:
    http, _ = make()
    async with http:
        for method in CHANGES:
            answer = await http.request(
                method, "/studies/x", headers=headers | bearer("editor"), content=b"123"
            )
            assert answer.text == f"{method} x 3"
        assert (await http.get("/events", headers=headers | bearer("viewer"))).text == "data: 1\n\n"


async def test_roles_go_by_the_method() -> None:
    """Who may read may not change; a method that the page does not name is not there, whoever asks."""
    http, written = make()
    async with http:
        assert (await http.get("/studies/x", headers=bearer("viewer"))).status_code == 200
        assert (await http.head("/studies/x", headers=bearer("viewer"))).status_code == 200
        for method in CHANGES:
            assert (await http.request(method, "/studies/x", headers=bearer("viewer"))).status_code == 403
            assert (await http.request(method, "/studies/x")).status_code == 401
        answer = await http.request("TRACE", "/read", headers=bearer("editor"))
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert {(call.actor, call.method, call.result) for call in written.calls} == {
        (actor, f"{method} /studies/{{name}}", result)
        for method in CHANGES
        for actor, result in (("viewer", "NOT_ALLOWED"), ("", "UNAUTHENTICATED"))
    }


async def test_every_answer_carries_the_headers_and_a_page_may_have_a_policy_of_its_own() -> None:
    http, _ = make()
    async with http:
        answers = [
            await http.get("/events", headers=bearer("viewer")),
            await http.get("/read"),
            await http.get("/nowhere"),
            await http.get("/broken"),
            await http.request("BREW", "/read"),
            await http.get("/read", headers={"Host": "evil.test"}),
        ]
        assert [each.status_code for each in answers] == [200, 401, 404, 500, 405, 421]
        for answer in answers:
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        own = await http.get("/read", headers=bearer("viewer"))
    assert own.headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert own.headers["x-content-type-options"] == "nosniff"


async def test_a_defect_tells_the_caller_nothing(caplog: pytest.LogCaptureFixture) -> None:
    http, _ = make()
    async with http:
        answer = await http.get("/broken")
    assert answer.status_code == 500
    assert "password" not in answer.text
    (failed,) = [record for record in caplog.records if record.message == "page_failed"]
    assert vars(failed)["path"] == "/broken"


async def test_a_body_is_read_up_to_the_limit() -> None:
    """B26. One more byte is refused, also where no length was told."""

    async def pieces(size: int) -> AsyncIterator[bytes]:
        for start in range(0, size, 65536):
            yield b"x" * min(65536, size - start)

    http, _ = make()
    async with http:
        for size, status in ((LARGEST_BODY_BYTES, 200), (LARGEST_BODY_BYTES + 1, 413)):
            answer = await http.post("/studies/x", headers=bearer("editor"), content=pieces(size))
            assert answer.status_code == status
    assert "1 MiB" in answer.json()["error"]["message"]


async def test_who_asks_too_often_is_told_when_to_ask_again() -> None:
    """S15. 429 and Retry-After, for each caller alone: a token, and the hosts of strangers."""
    http, _ = make(CallLimits(calls_per_second=1, burst=2))
    async with http:
        for caller in (bearer("viewer"), bearer("editor"), {}):
            found = [await http.get("/read", headers=caller) for _ in range(3)]
            assert [each.status_code for each in found][2] == 429
            assert 429 not in [each.status_code for each in found][:2]
            assert found[2].headers["retry-after"] == "1"
            assert found[2].json()["error"]["code"] == "TOO_MANY_CALLS"


async def test_files_of_the_page_are_not_counted_and_a_browser_leaves_its_users_commands_alone() -> None:
    """S15. Files are kept by browsers for good; those of another version are not there."""
    viewer = token("viewer", role="viewer")
    sessions = Sessions()
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    sessions.begin(
        Session(secret_hash=secret_hash("hippo_c"), token=viewer.secret_hash, expires_at=expires_at)
    )
    limits = CallLimits(calls_per_second=1, burst=1)
    gate = make_gate([*PAGES, *static_files.pages()], TokenBook([viewer]), limits, sessions=sessions)
    browser = {"Cookie": "hippo-7441=hippo_c"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=OWN) as http:
        assert (await http.get("/read", headers=browser)).status_code == 200
        assert (await http.get("/read", headers=browser)).status_code == 429
        assert (await http.get("/read", headers=bearer("viewer"))).status_code == 200
        for caller in (browser, bearer("viewer"), {}, {}):
            answer = await http.get(static_files.address("page.js"), headers=caller)
            assert (answer.status_code, answer.headers["content-type"]) == (
                200,
                "text/javascript; charset=utf-8",
            )
            assert "immutable" in answer.headers["cache-control"]
            assert "script-src 'self'" in answer.headers["content-security-policy"]
        for other in (
            "/static/0/page.js",
            static_files.address("none.js"),
            static_files.address("../gate.py"),
        ):
            answer = await http.get(other)
            assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")


async def test_streams_that_are_open_at_once_are_limited() -> None:
    """S15. One more is refused; one that has ended makes room."""
    begun, hold = asyncio.Semaphore(0), asyncio.Event()

    async def held(request: Request) -> Response:
        begun.release()
        await hold.wait()
        return PlainTextResponse("all")

    book = TokenBook([token("viewer", role="viewer")])
    page = Page(path="/held", roles={"GET": VIEWERS}, answer=held, streams=True)
    gate = make_gate([page], book, CallLimits(streams=2))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=OWN) as http:
        listening = [asyncio.create_task(http.get("/held", headers=bearer("viewer"))) for _ in range(2)]
        await begun.acquire()
        await begun.acquire()
        assert (await http.get("/held", headers=bearer("viewer"))).status_code == 429
        hold.set()
        assert [each.status_code for each in await asyncio.gather(*listening)] == [200, 200]
        assert (await http.get("/held", headers=bearer("viewer"))).status_code == 200


async def test_what_is_no_http_is_not_answered() -> None:
    """A WebSocket's handshake, say: there is none here."""
    gate = make_gate(PAGES, TokenBook([]))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await gate({"type": "websocket", "path": "/read", "headers": []}, receive, send)
    assert sent == []


async def test_who_shows_what_is_not_known_is_looked_for_where_another_server_makes_tokens() -> None:
    known = [token("viewer", role="viewer", name="viewer")]
    looks = 0

    class Book(TokenBook):
        """Knows what was read."""

        def __init__(self) -> None:
            super().__init__(known if looks else ())

    async def look_again() -> bool:
        nonlocal looks
        looks += 1
        return True

    gate = make_gate(PAGES, TokenBook(()), look_again=look_again)
    gate._tokens = Book
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=OWN) as client:
        assert (await client.get("/read")).status_code == 401
        assert looks == 0  # nothing was shown
        assert (await client.get("/read", headers=bearer("viewer"))).status_code == 200
        assert looks == 1
        assert (await client.get("/read", headers=bearer("viewer"))).status_code == 200
        assert looks == 1  # it is known by now
        assert (await client.get("/read", headers=bearer("nobody"))).status_code == 401
        assert looks == 2
        assert (await client.head("/read", headers=bearer("nobody"))).status_code == 401
        assert looks == 3
        for method, page in (("GET", "/open"), ("HEAD", "/open"), ("PUT", "/read")):
            await client.request(method, page, headers=bearer("nobody"))
        assert looks == 3  # nobody need be known there
