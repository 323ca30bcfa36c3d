"""What is streamed to a server and from it: requests that can be sent anew, responses that are asked for anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import grpc

from hippo_core.errors import HippoError
from hippo_wire.retries import CONTROL_SECONDS, pauses, seconds_until_turn

PIECE_BYTES = 1 << 20
Request = TypeVar("Request")
Response = TypeVar("Response")


def pieces(data: Iterable[bytes]) -> Iterator[bytes]:
    """Cuts what is streamed into pieces of at most 1 MiB; an empty whole is one empty piece."""
    empty = True
    for part in data:
        for start in range(0, len(part), PIECE_BYTES):
            empty = False
            yield part[start : start + PIECE_BYTES]
    if empty:
        yield b""


class Upload(Iterator[Request]):
    """Requests to stream that can be sent again from their beginning.

    Args:
        begin: Gives all of them, each time anew.
    """

    def __init__(self, begin: Callable[[], Iterator[Request]]) -> None:
        self.begin = begin
        self._requests = begin()

    def __next__(self) -> Request:
        return next(self._requests)


class Responses(Iterator[Response]):
    """What a server streams; errors arrive as those of ``hippo_core.errors``.

    Args:
        ask: Asks for the stream. It is asked for again while the server says, before its first message, that the
            caller asks too often.
        explained: What a failed call stands for.
        patience: For how many seconds it may be asked for again.
    """

    def __init__(
        self,
        ask: Callable[[], Any],
        explained: Callable[[grpc.RpcError], HippoError],
        patience: float = CONTROL_SECONDS,
    ) -> None:
        self._ask = ask
        self._explained = explained
        self._deadline = time.monotonic() + patience
        self._pauses = pauses()
        self._begun = False
        self._cancelled = threading.Event()
        self._call = ask()

    def __next__(self) -> Response:
        while True:
            try:
                response: Response = next(self._call)
            except grpc.RpcError as error:
                wait = None if self._begun else seconds_until_turn(error, next(self._pauses))
                if wait is None or time.monotonic() + wait >= self._deadline or self._cancelled.wait(wait):
                    raise self._explained(error) from error
                self._call = self._ask()
                if self._cancelled.is_set():
                    self._call.cancel()
                continue
            self._begun = True
            return response

    def cancel(self) -> None:
        """Ends the stream; may be called from any thread."""
        self._cancelled.set()
        self._call.cancel()


__all__ = ["PIECE_BYTES", "Responses", "Upload", "pieces"]
