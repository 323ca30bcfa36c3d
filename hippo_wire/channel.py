"""Channels to a server: the token, deadlines, retries and errors, so that no caller need think of them.

Every call carries the bearer token and the caller's version. A unary call gets a deadline, ``CONTROL_SECONDS`` unless
its caller gives another, and is tried again within it: while the answer is UNAVAILABLE, after a random pause from zero
to a bound that doubles (full jitter); where it is that the caller asks too often, after the time that the server names.
That is safe for every method: reads change nothing, mutations carry a request id, log pieces an offset. An upload gets
``UPLOAD_SECONDS``; streams that the server sends have no deadline. Both are tried again only where the caller asks too
often: a stream before its first message has come, for as long as ``CONTROL_SECONDS``; an upload from its beginning, if
its requests say how (``Upload``). Errors arrive as those of ``hippo_core.errors``.

Several servers may be named, of which one leads (``route.py``). A unary call is then tried again for
``TAKE_OVER_SECONDS``, unless its caller says otherwise: for as long as nobody may lead after one has fallen silent.
An attempt may take half of what a call to one server may, so that a silent one does not use up all of the time.

A change of a large study takes its time, and whoever asked is to hear that it was made: a server that has taken such a
call (one with a request id) may answer within ``ANSWER_SECONDS``. One that cannot be reached is given up as before.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from hippo_core.errors import HippoError, NotAllowed, TooManyCalls, Unavailable
from hippo_wire.errors import answered, from_rpc_error
from hippo_wire.observing import tracing
from hippo_wire.route import Route, check_address, check_addresses, is_loopback
from hippo_wire.tls import Trust, diagnosis
from hippo_wire.v1.account_pb2_grpc import AccountServiceStub
from hippo_wire.v1.admin_pb2_grpc import AdminServiceStub
from hippo_wire.v1.checkpoint_pb2_grpc import CheckpointServiceStub
from hippo_wire.v1.study_pb2_grpc import StudyServiceStub
from hippo_wire.v1.worker_pb2_grpc import WorkerServiceStub
from hippo_wire.versions import HEADER, own_version

CONTROL_SECONDS = 5.0
ANSWER_SECONDS = 60.0
TAKE_OVER_SECONDS = 30.0
UPLOAD_SECONDS = 60.0
PIECE_BYTES = 1 << 20
LARGEST_MESSAGE_BYTES = 64 << 20
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0

Request = TypeVar("Request")
Response = TypeVar("Response")


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
        servers: ``host:port``, or several with commas between. Nothing is sent before the first call.
        token: The bearer token.
        trust: Whom to believe to be the server; None: nothing is encrypted.
        origin: A sentence on where the token comes from, told to whoever is refused with it.

    Raises:
        InvalidStudy: An address makes no sense.
        NotAllowed: The token cannot be one.
    """

    def __init__(self, servers: str, token: str, trust: Trust | None = None, origin: str = "") -> None:
        def open_channel(address: str) -> grpc.Channel:
            if trust is None:
                return grpc.insecure_channel(address, options=channel_options())
            return grpc.secure_channel(address, trust.credentials(), options=channel_options())

        self.encrypted = trust is not None
        self._route = Route(servers, trust is not None, open_channel)
        self.channel = grpc.intercept_channel(_Routed(self._route), _Calls(self._route, token, trust, origin))
        self.studies = StudyServiceStub(self.channel)
        self.workers = WorkerServiceStub(self.channel)
        self.admin = AdminServiceStub(self.channel)
        self.accounts = AccountServiceStub(self.channel)
        self.checkpoints = CheckpointServiceStub(self.channel)

    @property
    def address(self) -> str:
        """Where calls go now."""
        return self._route.at

    def close(self) -> None:
        """Ends the connection and the calls on it."""
        for channel in self._route.channels:
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


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
                wait = None if self._begun else _turn(error, next(self._pauses))
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


class _Routed(grpc.Channel):
    """Each call is made on the channel to the server that calls go to by then."""

    def __init__(self, route: Route[grpc.Channel]) -> None:
        self._route = route

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        return self._route.channel.unary_unary(*arguments, **options)

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        return self._route.channel.unary_stream(*arguments, **options)

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        return self._route.channel.stream_unary(*arguments, **options)

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        return self._route.channel.stream_stream(*arguments, **options)

    def subscribe(self, *arguments: Any, **options: Any) -> None:
        self._route.channel.subscribe(*arguments, **options)

    def unsubscribe(self, *arguments: Any, **options: Any) -> None:
        self._route.channel.unsubscribe(*arguments, **options)

    def close(self) -> None:
        for channel in self._route.channels:
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self.close()


class _Calls(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self, route: Route[grpc.Channel], token: str, trust: Trust | None, origin: str) -> None:
        self._route = route
        self._origin = origin
        self._metadata = (*token_metadata(token), (HEADER, own_version()))
        self._trust = trust

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        patience = client_call_details.timeout or _patience(self._route)
        deadline = time.monotonic() + patience
        changes = bool(getattr(request, "request_id", ""))
        for pause in pauses():
            left = _attempt_seconds(self._route, client_call_details.timeout or CONTROL_SECONDS, deadline)
            if changes and client_call_details.timeout is None and not self._route.has_others():
                left = ANSWER_SECONDS
            address = self._route.at
            call = continuation(self._details(client_call_details, left), request)
            error = call.exception()
            if error is None:
                return call
            if not isinstance(error, grpc.RpcError):
                raise error
            wait = _wait(error, pause, self._route)
            if wait is None or time.monotonic() + wait >= deadline:
                raise self._explain(address, error) from error
            _leave(self._route, address, error)
            time.sleep(wait)
        raise AssertionError("pauses never end")

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        address = self._route.at
        details = self._details(client_call_details, client_call_details.timeout)
        return Responses(lambda: continuation(details, request), partial(self._explain, address))

    def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        address = self._route.at
        details = self._details(client_call_details, client_call_details.timeout)
        call = continuation(details, request_iterator)
        return Responses(lambda: call, partial(self._explain, address), patience=0.0)

    def intercept_stream_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        deadline = time.monotonic() + (client_call_details.timeout or UPLOAD_SECONDS)
        requests = request_iterator
        for pause in pauses():
            address = self._route.at
            left = max(0.001, deadline - time.monotonic())
            call = continuation(self._details(client_call_details, left), requests)
            error = call.exception()
            if not isinstance(error, grpc.RpcError):
                return call
            wait = _turn(error, pause) if isinstance(request_iterator, Upload) else None
            if wait is None or time.monotonic() + wait >= deadline:
                raise self._explain(address, error) from error
            time.sleep(wait)
            requests = request_iterator.begin()
        raise AssertionError("pauses never end")

    def _explain(self, address: str, error: grpc.RpcError) -> HippoError:
        """What a failed call stands for; the next one goes to another server where that may help."""
        _leave(self._route, address, error)
        found = _explained(error, address, self._trust, self._route.names)
        if isinstance(found, NotAllowed) and self._origin:
            found.hint = f"{self._origin} {found.hint}".rstrip()
        return found

    def _details(self, details: Any, timeout: float | None) -> Any:
        metadata = [*(details.metadata or ()), *self._metadata, *tracing.headers()]
        return details._replace(timeout=timeout, metadata=metadata)


class AsyncConnection:
    """A connection for asyncio. To be made, used and closed in one event loop.

    Args:
        servers: ``host:port``, or several with commas between.
        token: The bearer token.
        trust: Whom to believe to be the server; None: nothing is encrypted.

    Raises:
        InvalidStudy: An address makes no sense.
        NotAllowed: The token cannot be one.
    """

    def __init__(self, servers: str, token: str, trust: Trust | None = None) -> None:
        def open_channel(address: str) -> grpc.aio.Channel:
            if trust is None:
                return grpc.aio.insecure_channel(address, options=channel_options())
            return grpc.aio.secure_channel(address, trust.credentials(), options=channel_options())

        self.metadata = (*token_metadata(token), (HEADER, own_version()))
        self._trust = trust
        self._route = Route(servers, trust is not None, open_channel)
        routed: Any = _RoutedAsync(self._route)
        self.studies = StudyServiceStub(routed)
        self.workers = WorkerServiceStub(routed)
        self.admin = AdminServiceStub(routed)
        self.accounts = AccountServiceStub(routed)

    @property
    def address(self) -> str:
        """Where calls go now."""
        return self._route.at

    def move(self, servers: str) -> None:
        """Talks to other servers from the next call on, where these are others; see ``Route.move``."""
        self._route.move(servers)

    def leave(self, error: HippoError) -> None:
        """Goes on to another server, where there is one: what this one says is not to be listened to."""
        self._route.leave(self._route.at, error)

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
            address = self._route.at
            try:
                return await method(
                    request,
                    timeout=_attempt_seconds(self._route, timeout, deadline),
                    metadata=(*self.metadata, *tracing.headers()),
                )
            except grpc.RpcError as error:
                wait = _wait(error, pause, self._route)
                if wait is None or time.monotonic() + wait >= deadline:
                    raise await self._explained(address, error) from error
                _leave(self._route, address, error)
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
        address = self._route.at
        call = method(requests, metadata=(*self.metadata, *tracing.headers()))
        try:
            async for response in call:
                yield response
        except grpc.RpcError as error:
            raise await self._explained(address, error) from error
        finally:
            call.cancel()

    async def _explained(self, address: str, error: grpc.RpcError) -> HippoError:
        _leave(self._route, address, error)
        return await asyncio.to_thread(_explained, error, address, self._trust, self._route.names)

    async def close(self) -> None:
        """Ends the connection and the calls on it."""
        for channel in self._route.channels:
            await channel.close()


class _RoutedAsync:
    """What stubs are made on: each call goes to the server that calls go to by then."""

    def __init__(self, route: Route[grpc.aio.Channel]) -> None:
        self._route = route

    def __getattr__(self, kind: str) -> Callable[..., Callable[..., Any]]:
        """``unary_unary`` and its like."""

        def method(*arguments: Any, **options: Any) -> Callable[..., Any]:
            def call(*given: Any, **more: Any) -> Any:
                return getattr(self._route.channel, kind)(*arguments, **options)(*given, **more)

            return call

        return method


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


def _explained(error: grpc.RpcError, address: str, trust: Trust | None, names: str) -> HippoError:
    """What a failed call stands for; where the server was not reached, and TLS is why, that is said.

    Args:
        error: How it failed.
        address: The server that was asked last.
        trust: Whom to believe to be it.
        names: All that were to be asked.
    """
    found = from_rpc_error(error, names)
    if isinstance(found, Unavailable) and not answered(error) and (why := diagnosis(address, trust)):
        return Unavailable(*why)
    return found


def _leave(route: Route[Any], address: str, error: grpc.RpcError) -> None:
    """Lets the next call go to another server where that may help."""
    found = from_rpc_error(error, address)
    if isinstance(found, Unavailable) and not isinstance(found, TooManyCalls):
        route.leave(address, found)


def _patience(route: Route[Any]) -> float:
    """For how many seconds a unary call is tried again whose caller does not say."""
    return TAKE_OVER_SECONDS if route.has_others() else CONTROL_SECONDS


def _attempt_seconds(route: Route[Any], timeout: float, deadline: float) -> float:
    """What one attempt may take of a call that may take ``timeout`` seconds where there is one server."""
    left = max(0.001, deadline - time.monotonic())
    return min(left, timeout / 2.0) if route.has_others() else left


def _wait(error: grpc.RpcError, pause: float, route: Route[Any]) -> float | None:
    """Seconds to wait before a call is tried again that failed so; None: trying again does not help."""
    code = error.code() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
    silent = code is grpc.StatusCode.DEADLINE_EXCEEDED and route.has_others()
    if silent or code is grpc.StatusCode.UNAVAILABLE:
        return pause
    return _turn(error, pause)


def _turn(error: grpc.RpcError, pause: float) -> float | None:
    """Seconds after which a caller that asks too often may ask again; None: the call failed in another way."""
    found = from_rpc_error(error)
    return found.retry_seconds + pause if isinstance(found, TooManyCalls) else None


__all__ = [
    "CONTROL_SECONDS",
    "LARGEST_MESSAGE_BYTES",
    "PIECE_BYTES",
    "UPLOAD_SECONDS",
    "AsyncConnection",
    "Connection",
    "Responses",
    "Upload",
    "channel_options",
    "check_address",
    "check_addresses",
    "is_loopback",
    "pauses",
    "pieces",
    "token_metadata",
]
