from __future__ import annotations

import asyncio
from pathlib import Path

from hippo_client.local import Home
from hippo_client.local.progress import committed_steps, parse


def test_the_counter_is_summed_over_its_samples() -> None:
    page = (
        "# HELP hippo_steps_trained_total Steps.\n"
        "# TYPE hippo_steps_trained_total counter\n"
        'hippo_steps_trained_total{kind="first"} 12.0\n'
        'hippo_steps_trained_total{kind="again"} 3.0\n'
        "hippo_steps_trained_total_created 1.7e9\n"
    )
    assert parse(page) == 15


def test_a_page_without_the_counter_tells_nothing() -> None:
    assert parse("HTTP/1.1 401 Unauthorized\r\n\r\n") is None


async def test_the_page_is_asked_for_with_the_owners_token(tmp_path: Path) -> None:
    heard: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend((await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhippo_steps_trained_total 7.0\n")
        writer.close()

    home = Home.at(tmp_path)
    home.admin_token_file.parent.mkdir()
    home.admin_token_file.write_text("secret\n")
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        assert await committed_steps(f"{host}:{port}", home) == 7
    assert heard[0] == "GET /metrics HTTP/1.1"
    assert "Authorization: Bearer secret" in heard


async def test_a_server_that_is_not_there_tells_nothing(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    assert await committed_steps("127.0.0.1:9", home) is None, "no token"
    home.admin_token_file.parent.mkdir()
    home.admin_token_file.write_text("secret\n")
    assert await committed_steps("127.0.0.1:9", home) is None, "no server"
