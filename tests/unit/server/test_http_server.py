"""HTTP in the server's event loop: it sleeps where nobody asks, and ends at once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from hippo_server.web import serving
from hippo_server.web.serving import HttpServer
from tests.waiting import PATIENCE_SECONDS


async def app(scope, receive, send) -> None:
    """Answers with nothing."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def date_of(port: int) -> str:
    """The date of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    head = (await reader.read()).decode()
    writer.close()
    return next(line.removeprefix("date: ") for line in head.split("\r\n") if line.startswith("date: "))


async def test_it_ends_at_once_however_seldom_it_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "DATE_SECONDS", 100 * PATIENCE_SECONDS)
    server = HttpServer(app)
    port = await server.start("127.0.0.1", 0)
    await date_of(port)
    await asyncio.wait_for(server.stop(), PATIENCE_SECONDS)
    with pytest.raises(OSError):
        await date_of(port)


async def test_answers_have_the_date_of_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "DATE_SECONDS", 0.001)
    clock = SimpleNamespace(time=lambda: 1_000_000_000.0)
    monkeypatch.setattr("uvicorn.server.time", clock)
    server = HttpServer(app)
    port = await server.start("127.0.0.1", 0)
    try:
        assert await date_of(port) == "Sun, 09 Sep 2001 01:46:40 GMT"
        clock.time = lambda: 1_000_003_600.0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await date_of(port) != "Sun, 09 Sep 2001 02:46:40 GMT":
                pass
    finally:
        await server.stop()
