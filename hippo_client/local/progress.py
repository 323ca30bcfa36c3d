"""How many steps the local server has committed, asked of its metrics page without gRPC."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from hippo_client.local.home import Home
from hippo_core.errors import NotAllowed

METRIC = "hippo_steps_trained_total"
_ANSWER_SECONDS = 2.0


async def committed_steps(address: str, home: Home) -> int | None:
    """The steps committed since the server started, or None while it does not answer."""
    try:
        token = home.admin_token()
        return parse(await asyncio.wait_for(_fetch(address, token), _ANSWER_SECONDS))
    except (OSError, TimeoutError, NotAllowed):
        return None


def parse(page: str) -> int | None:
    """The sum of the metric's samples on a page in Prometheus' text format."""
    found: list[float] = []
    for line in page.splitlines():
        name = line.split("{")[0].split(" ")[0]
        if name == METRIC:
            found.append(float(line.rsplit(" ", 1)[1]))
    return int(sum(found)) if found else None


async def _fetch(address: str, token: str) -> str:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(
            f"GET /metrics HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        return (await reader.read(-1)).decode(errors="replace")
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
