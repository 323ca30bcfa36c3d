"""A connection to a server for synchronous callers. ``retries.py`` says what is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

import grpc

from hippo_core.errors import HippoError, NotAllowed
from hippo_wire.channel import caller_metadata, channel_options
from hippo_wire.observing import tracing
from hippo_wire.retries import (
    ANSWER_SECONDS,
    UPLOAD_SECONDS,
    Failed,
    attempt_seconds,
    explained,
    leave,
    patience_seconds,
    pause_before_retry,
    pauses,
    seconds_until_turn,
    telling,
)
from hippo_wire.route import Route
from hippo_wire.streams import Responses, Upload
from hippo_wire.tls import Trust
from hippo_wire.v1.account_pb2_grpc import AccountServiceStub
from hippo_wire.v1.admin_pb2_grpc import AdminServiceStub
from hippo_wire.v1.checkpoint_pb2_grpc import CheckpointServiceStub
from hippo_wire.v1.study_pb2_grpc import StudyServiceStub
from hippo_wire.v1.worker_pb2_grpc import WorkerServiceStub


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
        self._metadata = caller_metadata(token)
        self._trust = trust

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        patience = client_call_details.timeout or patience_seconds(self._route)
        deadline = time.monotonic() + patience
        changes = bool(getattr(request, "request_id", ""))
        told: Failed | None = None
        for pause in pauses(self._route):
            left = attempt_seconds(self._route, client_call_details.timeout, deadline)
            if changes and client_call_details.timeout is None and not self._route.has_others():
                left = ANSWER_SECONDS
            address = self._route.at
            call = continuation(self._details(client_call_details, left), request)
            error = call.exception()
            if error is None:
                return call
            if not isinstance(error, grpc.RpcError):
                raise error
            wait = pause_before_retry(error, pause, self._route, deadline)
            told = telling((address, error), told, left)
            leave(self._route, address, error)
            if wait is None:
                raise self._in_words(*told) from error
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
            wait = seconds_until_turn(error, pause) if isinstance(request_iterator, Upload) else None
            if wait is None or time.monotonic() + wait >= deadline:
                raise self._explain(address, error) from error
            time.sleep(wait)
            requests = request_iterator.begin()
        raise AssertionError("pauses never end")

    def _explain(self, address: str, error: grpc.RpcError) -> HippoError:
        """What a failed call stands for; the next one goes to another server where that may help."""
        leave(self._route, address, error)
        return self._in_words(address, error)

    def _in_words(self, address: str, error: grpc.RpcError) -> HippoError:
        """What a failed call stands for, and where the token is from that did not do."""
        found = explained(error, address, self._trust, self._route.names)
        if isinstance(found, NotAllowed) and self._origin:
            found.hint = f"{self._origin} {found.hint}".rstrip()
        return found

    def _details(self, details: Any, timeout: float | None) -> Any:
        metadata = [*(details.metadata or ()), *self._metadata, *tracing.headers()]
        return details._replace(timeout=timeout, metadata=metadata)


__all__ = ["Connection"]
