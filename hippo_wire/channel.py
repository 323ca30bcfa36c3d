"""Channels to a server: the token, deadlines, retries and errors, so that no caller need think of them.

Every call carries the bearer token. A unary call gets a deadline, ``CONTROL_SECONDS`` unless its caller
gives another, and is tried again within it: while the answer is UNAVAILABLE, after a random pause from zero to a bound
that doubles (full jitter); where it is that the caller asks too often, after the time that the server names. That is
safe for every method: reads change nothing, mutations carry a request id, log pieces an offset. An upload gets
``UPLOAD_SECONDS``; streams that the server sends have no deadline. Errors arrive as those of ``hippo_core.errors``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from hippo_core.errors import HippoError, InvalidStudy, NotAllowed, TooManyCalls, Unavailable
from hippo_wire.errors import answered, from_rpc_error
from hippo_wire.tls import Trust, diagnosis
from hippo_wire.v1.admin_pb2_grpc import AdminServiceStub
from hippo_wire.v1.checkpoint_pb2_grpc import CheckpointServiceStub
from hippo_wire.v1.study_pb2_grpc import StudyServiceStub
from hippo_wire.v1.worker_pb2_grpc import WorkerServiceStub

HOST = re.compile(r"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.%]+\]")
CONTROL_SECONDS = 5.0
UPLOAD_SECONDS = 60.0
PIECE_BYTES = 1 << 20
LARGEST_MESSAGE_BYTES = 64 << 20
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0

Request = TypeVar("Request")
Response = TypeVar("Response")


def check_address(address: str, *, encrypted: bool = False) -> str:
    """The address, if it is ``host:port``, and on this machine unless the connection is encrypted.

    Raises:
        InvalidStudy: It is not; a token must not travel in clear text.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not HOST.fullmatch(host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidStudy("server", f"{address!r} is not host:port", "Write e.g. 127.0.0.1:7440.")
    if not encrypted and not is_loopback(host):
        raise InvalidStudy(
            "server",
            f"{host!r} is another machine, and the token would travel in clear text",
            "Set HIPPO_CA to the file ca.pem that `hippo certs init` made there, or to `system`.",
        )
    return address


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def channel_options() -> list[tuple[str, int]]:
    """How channels behave: a server that comes back is found again within seconds, a dead one is noticed."""
    return [
        ("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES),
        ("grpc.max_send_message_length", LARGEST_MESSAGE_BYTES),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.enable_retries", 0),  # tried again here, and nowhere else
        ("grpc.enable_http_proxy", 0),  # the server is on this machine
    ]


def pauses() -> Iterator[float]:
    """Seconds to wait before each further attempt, without end."""
    longest = FIRST_PAUSE_SECONDS
    while True:
        yield random.uniform(0.0, longest)
        longest = min(2.0 * longest, LONGEST_PAUSE_SECONDS)


class Connection:
    """A connection for synchronous callers. Its stubs may be used from several threads.

    Args:
        address: ``host:port``. Nothing is sent before the first call.
        token: The bearer token.
        trust: Whom to believe to be the server; None: nothing is encrypted.

    Raises:
        InvalidStudy: The address makes no sense.
        NotAllowed: The token cannot be one.
    """

    def __init__(self, address: str, token: str, trust: Trust | None = None) -> None:
        self.address = check_address(address, encrypted=trust is not None)
        self._plain = (
            grpc.insecure_channel(address, options=channel_options())
            if trust is None
            else grpc.secure_channel(address, trust.credentials(), options=channel_options())
        )
        self.channel = grpc.intercept_channel(self._plain, _Calls(address, token, trust))
        self.studies = StudyServiceStub(self.channel)
        self.workers = WorkerServiceStub(self.channel)
        self.admin = AdminServiceStub(self.channel)
        self.checkpoints = CheckpointServiceStub(self.channel)

    def close(self) -> None:
        """Ends the connection and the calls on it."""
        self._plain.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Responses(Iterator[Response]):
    """What a server streams; errors arrive as those of ``hippo_core.errors``."""

    def __init__(self, call: Any, address: str, trust: Trust | None) -> None:
        self._call = call
        self._address = address
        self._trust = trust

    def __next__(self) -> Response:
        try:
            response: Response = next(self._call)
        except grpc.RpcError as error:
            raise _explained(error, self._address, self._trust) from error
        return response

    def cancel(self) -> None:
        """Ends the stream; may be called from any thread."""
        self._call.cancel()


class _Calls(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self, address: str, token: str, trust: Trust | None) -> None:
        self._address = address
        self._metadata = token_metadata(token)
        self._trust = trust

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        deadline = time.monotonic() + (client_call_details.timeout or CONTROL_SECONDS)
        for pause in pauses():
            left = max(0.001, deadline - time.monotonic())
            call = continuation(self._details(client_call_details, left), request)
            error = call.exception()
            if error is None:
                return call
            if not isinstance(error, grpc.RpcError):
                raise error
            wait = _wait(error, pause)
            if wait is None or time.monotonic() + wait >= deadline:
                raise _explained(error, self._address, self._trust) from error
            time.sleep(wait)
        raise AssertionError("pauses never end")

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        call = continuation(self._details(client_call_details, client_call_details.timeout), request)
        return Responses(call, self._address, self._trust)

    def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        return self.intercept_unary_stream(continuation, client_call_details, request_iterator)

    def intercept_stream_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        timeout = client_call_details.timeout or UPLOAD_SECONDS
        call = continuation(self._details(client_call_details, timeout), request_iterator)
        error = call.exception()
        if isinstance(error, grpc.RpcError):
            raise _explained(error, self._address, self._trust) from error
        return call

    def _details(self, details: Any, timeout: float | None) -> Any:
        metadata = [*(details.metadata or ()), *self._metadata]
        return details._replace(timeout=timeout, metadata=metadata)


class AsyncConnection:
    """A connection for asyncio. To be made, used and closed in one event loop.

    Args:
        address: ``host:port``.
        token: The bearer token.
        trust: Whom to believe to be the server; None: nothing is encrypted.

    Raises:
        InvalidStudy: The address makes no sense.
        NotAllowed: The token cannot be one.
    """

    def __init__(self, address: str, token: str, trust: Trust | None = None) -> None:
        self.address = check_address(address, encrypted=trust is not None)
        self.metadata = token_metadata(token)
        self._trust = trust
        self.channel = (
            grpc.aio.insecure_channel(address, options=channel_options())
            if trust is None
            else grpc.aio.secure_channel(address, trust.credentials(), options=channel_options())
        )
        self.studies = StudyServiceStub(self.channel)
        self.workers = WorkerServiceStub(self.channel)
        self.admin = AdminServiceStub(self.channel)

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout: float = CONTROL_SECONDS,  # noqa: ASYNC109 - it becomes the deadline that the server sees
    ) -> Response:
        """One unary call, tried again while the server is unavailable.

        Args:
            method: Of one of the stubs, e.g. ``connection.workers.RegisterWorker``.
            request: Its request.
            timeout: Seconds for all attempts together.

        Raises:
            HippoError: What the server answered, or ``Unavailable``.
        """
        deadline = time.monotonic() + timeout
        for pause in pauses():
            left = max(0.001, deadline - time.monotonic())
            try:
                return await method(request, timeout=left, metadata=self.metadata)
            except grpc.RpcError as error:
                wait = _wait(error, pause)
                if wait is None or time.monotonic() + wait >= deadline:
                    raise await self._explained(error) from error
            await asyncio.sleep(wait)
        raise AssertionError("pauses never end")

    async def stream(
        self,
        method: grpc.aio.StreamStreamMultiCallable[Request, Response],
        requests: AsyncIterator[Request],
    ) -> AsyncIterator[Response]:
        """One stream in both directions. It ends when the server ends it; closing the iterator cancels it.

        Args:
            method: Of one of the stubs, e.g. ``connection.workers.Work``.
            requests: What to send; read on while responses are read.

        Raises:
            HippoError: Why the stream broke; ``Unavailable`` where the server went away.
        """
        call = method(requests, metadata=self.metadata)
        try:
            async for response in call:
                yield response
        except grpc.RpcError as error:
            raise await self._explained(error) from error
        finally:
            call.cancel()

    async def _explained(self, error: grpc.RpcError) -> HippoError:
        return await asyncio.to_thread(_explained, error, self.address, self._trust)

    async def close(self) -> None:
        """Ends the connection and the calls on it."""
        await self.channel.close()


def token_metadata(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata that carry a bearer token.

    Raises:
        NotAllowed: It cannot be one.
    """
    if not (token.isascii() and token.isprintable()):
        raise NotAllowed("the token holds characters that no token has.", "Is it the right file?")
    return (("authorization", f"Bearer {token}"),)


def pieces(data: Iterable[bytes]) -> Iterator[bytes]:
    """Cuts what is streamed into pieces of at most 1 MiB; an empty whole is one empty piece."""
    empty = True
    for part in data:
        for start in range(0, len(part), PIECE_BYTES):
            empty = False
            yield part[start : start + PIECE_BYTES]
    if empty:
        yield b""


def _explained(error: grpc.RpcError, address: str, trust: Trust | None) -> HippoError:
    """What a failed call stands for; where the server was not reached, and TLS is why, that is said."""
    found = from_rpc_error(error, address)
    if isinstance(found, Unavailable) and not answered(error) and (why := diagnosis(address, trust)):
        return Unavailable(*why)
    return found


def _wait(error: grpc.RpcError, pause: float) -> float | None:
    """Seconds to wait before a call is tried again that failed so; None: trying again does not help."""
    code = error.code() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
    if code is grpc.StatusCode.UNAVAILABLE:
        return pause
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        found = from_rpc_error(error)
        return found.retry_seconds + pause if isinstance(found, TooManyCalls) else None
    return None


__all__ = [
    "CONTROL_SECONDS",
    "LARGEST_MESSAGE_BYTES",
    "PIECE_BYTES",
    "UPLOAD_SECONDS",
    "AsyncConnection",
    "Connection",
    "Responses",
    "channel_options",
    "check_address",
    "is_loopback",
    "pauses",
    "pieces",
    "token_metadata",
]
