"""A connection to a server for asyncio. ``retries.py`` says what is tried again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from hippo_core.errors import HippoError
from hippo_wire.channel import caller_metadata, channel_options
from hippo_wire.observing import tracing
from hippo_wire.retries import (
    CONTROL_SECONDS,
    Failed,
    attempt_seconds,
    explained,
    leave,
    pause_before_retry,
    pauses,
    telling,
)
from hippo_wire.route import Route
from hippo_wire.streams import Request, Response
from hippo_wire.tls import Trust
from hippo_wire.v1.account_pb2_grpc import AccountServiceStub
from hippo_wire.v1.admin_pb2_grpc import AdminServiceStub
from hippo_wire.v1.study_pb2_grpc import StudyServiceStub
from hippo_wire.v1.worker_pb2_grpc import WorkerServiceStub


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

        self.metadata = caller_metadata(token)
        self._trust = trust
        self._route = Route(servers, trust is not None, open_channel)
        routed: Any = Routed(self._route)
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
        told: Failed | None = None
        for pause in pauses(self._route):
            address, left = self._route.at, attempt_seconds(self._route, timeout, deadline)
            try:
                return await method(request, timeout=left, metadata=(*self.metadata, *tracing.headers()))
            except grpc.RpcError as error:
                wait = pause_before_retry(error, pause, self._route, deadline)
                told = telling((address, error), told, left)
                leave(self._route, address, error)
                if wait is None:
                    raise await self._explained(*told) from error
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
            leave(self._route, address, error)
            raise await self._explained(address, error) from error
        finally:
            call.cancel()

    async def _explained(self, address: str, error: grpc.RpcError) -> HippoError:
        return await asyncio.to_thread(explained, error, address, self._trust, self._route.names)

    async def close(self) -> None:
        """Ends the connection and the calls on it."""
        for channel in self._route.channels:
            await channel.close()


class Routed:
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


__all__ = ["AsyncConnection"]
