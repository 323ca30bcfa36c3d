"""The gate that every call passes: who asks, whether they may, with which deadline, and how errors leave.

A method that the table of roles does not name is denied, so that a new one is closed until somebody decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any, NoReturn

import grpc

from hippo_core.errors import HippoError, InvalidStudy, NotAllowed
from hippo_server.audit import Audit
from hippo_server.auth.roles import METHOD_ROLES, OPEN_METHODS, least_words
from hippo_server.auth.tokens import Identity, Unauthenticated
from hippo_server.driver import Driver
from hippo_server.rpc.auditing import audited
from hippo_server.store.audit import UNAUTHENTICATED
from hippo_wire.errors import to_wire

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often it is looked whether the token of an open stream is still valid."""

Handler = Any  # grpc.RpcMethodHandler, whose behaviours have no types
Context = Any  # grpc.aio.ServicerContext; generated servicers expect a type of their own

_caller: ContextVar[Identity | None] = ContextVar("caller", default=None)


def caller() -> Identity:
    """Who makes the call that is being answered."""
    who = _caller.get()
    assert who is not None, "the gate lets nobody in whom it does not know"
    return who


class Gate(grpc.aio.ServerInterceptor):
    """Checks each call, and puts errors into the wire's form.

    Args:
        driver: Knows the tokens.
        audit: Hears of calls that change something, and of those that are refused.
    """

    def __init__(self, driver: Driver, audit: Audit) -> None:
        self._driver = driver
        self._metrics = driver.metrics
        self._audit = audit

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Wraps a method's behaviour."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method in OPEN_METHODS:
            return handler
        if handler.response_streaming:
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            behaviour = self._streaming(method, handler.stream_stream or handler.unary_stream)
        else:
            make = (
                grpc.stream_unary_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_unary_rpc_method_handler
            )
            behaviour = self._unary(method, handler.stream_unary or handler.unary_unary)
        return make(behaviour, handler.request_deserializer, handler.response_serializer)

    def _unary(self, method: str, behaviour: Callable[..., Any]) -> Callable[..., Any]:
        async def answer(request: Any, context: Context) -> Any:
            began = time.perf_counter()
            try:
                self._admit(method, context)
                if context.time_remaining() is None:
                    raise InvalidStudy("deadline", "the call has none", "Give each call a timeout.")
                response = await behaviour(request, context)
            except Exception as error:  # noqa: BLE001 - every error is put into words for the caller
                await self._refuse(method, context, error, time.perf_counter() - began, request)
            self._metrics.call(method, "OK", time.perf_counter() - began)
            self._write_down(method, context, request, "OK")
            return response

        return answer

    def _streaming(self, method: str, behaviour: Callable[..., Any]) -> Callable[..., Any]:
        async def answer(request: Any, context: Context) -> AsyncIterator[Any]:
            try:
                self._admit(method, context)
                async with self._while_known(context):
                    responses = behaviour(request, context)
                    try:
                        async for response in responses:
                            yield response
                    finally:
                        if inspect.isasyncgen(responses):
                            await responses.aclose()
            except Exception as error:  # noqa: BLE001 - every error is put into words for the caller
                await self._refuse(method, context, error, None, request)
            self._metrics.call(method, "OK", None)

        return answer

    @contextlib.asynccontextmanager
    async def _while_known(self, context: Context) -> AsyncIterator[None]:
        """Ends a stream whose token is no longer valid."""
        answering = asyncio.current_task()
        assert answering is not None
        refused: list[Unauthenticated] = []

        async def look() -> None:
            while not refused:
                await asyncio.sleep(LOOK_SECONDS)
                try:
                    self._identify(context)
                except Unauthenticated as error:
                    refused.append(error)
            answering.cancel()

        looking = asyncio.create_task(look())
        try:
            yield
        except asyncio.CancelledError:
            if not refused:
                raise
            answering.uncancel()
            raise refused[0] from None
        finally:
            looking.cancel()

    def _identify(self, context: Context) -> Identity:
        metadata = dict(context.invocation_metadata() or ())
        return self._driver.tokens.identify(metadata.get("authorization"))

    def _admit(self, method: str, context: Context) -> None:
        _caller.set(None)
        identity = self._identify(context)
        _caller.set(identity)
        allowed = METHOD_ROLES.get(method, frozenset())
        if identity.role not in allowed:
            raise NotAllowed(
                f"{method.rpartition('/')[2]} needs the role {least_words(allowed)};"
                f" '{identity.user}' is {identity.role.value}.",
                "Use another token.",
            )

    def _write_down(self, method: str, context: Context, request: Any, result: str) -> None:
        call = audited(method, context.peer(), _caller.get(), request, result)
        if call is not None:
            self._audit.note(call)

    async def _refuse(
        self, method: str, context: Context, error: Exception, seconds: float | None, request: Any
    ) -> NoReturn:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        if not isinstance(error, HippoError):
            log.error("call_failed method=%s", method, exc_info=error)
            error = HippoError("the server failed at this call.", "Its log says more.")
        unknown = isinstance(error, Unauthenticated)
        self._write_down(method, context, request, UNAUTHENTICATED if unknown else error.code)
        wire = to_wire(error, unauthenticated=unknown)
        self._metrics.call(method, wire.code.name, seconds)
        await context.abort(wire.code, wire.details, wire.metadata)
        raise AssertionError("abort raises")
