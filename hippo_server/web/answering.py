"""One answer: the headers that it carries, and how much of a request is read."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Send

from hippo_core.errors import (
    HippoError,
)
from hippo_server.auth.tokens import Unauthenticated
from hippo_server.web.refusal import Refused

LARGEST_BODY_BYTES = 1 << 20
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What every answer carries, unless its page says otherwise."""


class Answering:
    """One answer: its headers are completed, and no more of the request is read than is allowed."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._size_bytes = 0
        self.begun = False
        self.status = 499  #: HTTP's; this one where whoever asked has gone before the answer

    async def receive(self) -> Message:
        """More of the request.

        Raises:
            Refused: It is too much.
        """
        message = await self._receive()
        self._size_bytes += len(message.get("body", b""))
        if self._size_bytes > LARGEST_BODY_BYTES:
            error = HippoError(f"a request has at most {LARGEST_BODY_BYTES >> 20} MiB.")
            raise Refused(413, error, {"Connection": "close"})
        return message

    async def send(self, message: Message) -> None:
        """More of the answer."""
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
            Refused: It has not begun.
        """
        if not self.begun:
            raise Refused(401, Unauthenticated())
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
