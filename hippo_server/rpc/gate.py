"""The gate that every call passes: who asks, how often, whether they may, with which deadline, and how errors leave.

A method that the table of roles does not name is denied, so that a new one is closed until somebody decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError, Message

from hippo_core.errors import HippoError, InvalidStudy, NotAllowed, Unavailable
from hippo_server.audit import Audit
from hippo_server.auth.limits import Door, stranger
from hippo_server.auth.roles import METHOD_ROLES, OPEN_METHODS, Role, least_words
from hippo_server.auth.tokens import Identity, Unauthenticated
from hippo_server.driver import Driver
from hippo_server.rpc.auditing import audited
from hippo_server.rpc.traced import traced
from hippo_server.store.audit import UNAUTHENTICATED
from hippo_wire.channel import LARGEST_MESSAGE_BYTES
from hippo_wire.errors import to_wire
from hippo_wire.observing.logs import bind
from hippo_wire.versions import HEADER, check_caller, own_version

log = logging.getLogger(__name__)

LARGEST_REQUEST_BYTES = 8 << 20
"""Of one message of whoever is no worker: what people write is smaller, and is read while nothing else is answered."""
LOOK_SECONDS = 2.0
"""How often it is looked whether the token of an open stream is still valid."""

Handler = Any  # grpc.RpcMethodHandler, whose behaviours have no types
Context = Any  # grpc.aio.ServicerContext; generated servicers expect a type of their own
Behaviour = Callable[[Any, Context], Any]
Parse = Callable[[bytes], Message]

_caller: ContextVar[Identity | None] = ContextVar("caller", default=None)
_subject: ContextVar[str] = ContextVar("subject", default="")


def caller() -> Identity:
    """Who makes the call that is being answered."""
    who = _caller.get()
    assert who is not None, "the gate lets nobody in whom it does not know"
    return who


def call_as(who: Identity) -> None:
    """Makes somebody the caller of what this task calls from now on, as a page does for whoever asks for it."""
    _caller.set(who)


def name_subject(name: str) -> None:
    """Says what a call is about whose first message does not; for the audit log."""
    _subject.set(name)


class Gate(grpc.aio.ServerInterceptor):
    """Checks each call, and puts errors into the wire's form.

    Who asks, and how often, is looked at before anything of a message is read; messages are parsed here, so that one
    that is none is refused in words.

    Args:
        driver: Knows the tokens.
        audit: Hears of calls that change something, and of those that are refused.
        door: Counts who asks how much.
    """

    def __init__(self, driver: Driver, audit: Audit, door: Door) -> None:
        self._driver = driver
        self._version = own_version()
        self._metrics = driver.metrics
        self._audit = audit
        self._door = door

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Wraps a method's behaviour."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        who: Identity | None = None
        if method not in OPEN_METHODS:
            try:
                who = self._identify(handler_call_details.invocation_metadata)
            except Unauthenticated as error:
                return self._refusing(method, error)
        parse = handler.request_deserializer
        if handler.response_streaming:
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            behaviour = self._streaming(method, who, parse, handler.stream_stream or handler.unary_stream)
            behaviour = traced(method, behaviour, streams=True)
        else:
            make = (
                grpc.stream_unary_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_unary_rpc_method_handler
            )
            behaviour = self._unary(method, who, parse, handler.stream_unary or handler.unary_unary)
            behaviour = traced(method, behaviour, streams=False)
        return make(behaviour, None, handler.response_serializer)

    def _refusing(self, method: str, error: Unauthenticated) -> Handler:
        """Refuses a stranger. A stream's behaviour, whatever the method is, since of streams nothing is read ahead."""

        async def refuse(requests: object, context: Context) -> None:
            found: HippoError = error
            who: Identity | None = None
            try:
                self._door.call(stranger(context.peer()))
                if await self._driver.look_for_tokens():
                    who = self._identify(context.invocation_metadata())
                    self._require_role(method, who, context)
                    # It leads by now.
                    raise Unavailable("the server takes the lead.", "Try again in a moment.")
            except HippoError as other:
                found = other
            await self._refuse(method, who, context, found, None, None)

        return grpc.stream_stream_rpc_method_handler(refuse)

    def _unary(self, method: str, who: Identity | None, parse: Parse, behaviour: Behaviour) -> Behaviour:
        async def answer(raw: Any, context: Context) -> Any:
            began = time.perf_counter()
            request = None
            bind(method=method.rpartition("/")[2], user=None if who is None else who.user)
            try:
                with self._admitted(who, context, streams=not isinstance(raw, bytes)):
                    request = _parsed(parse, raw, _largest(who))
                    bind(request_id=getattr(request, "request_id", None) or None)
                    self._require_role(method, who, context)
                    if who is not None and context.time_remaining() is None:
                        raise InvalidStudy("deadline", "the call has none", "Give each call a timeout.")
                    response = await behaviour(_required(request), context)
            except Exception as error:  # noqa: BLE001 - every error is put into words for the caller
                await self._refuse(method, who, context, error, time.perf_counter() - began, request)
            self._metrics.call(method, "OK", time.perf_counter() - began)
            self._write_down(method, who, context, request, "OK")
            return response

        return answer

    def _streaming(self, method: str, who: Identity | None, parse: Parse, behaviour: Behaviour) -> Behaviour:
        async def answer(raw: Any, context: Context) -> AsyncIterator[Any]:
            request = None
            bind(method=method.rpartition("/")[2], user=None if who is None else who.user)
            try:
                with self._admitted(who, context, streams=True):
                    request = _parsed(parse, raw, _largest(who))
                    self._require_role(method, who, context)
                    async with self._while_known(who, context):
                        responses = behaviour(_required(request), context)
                        if inspect.iscoroutine(responses):
                            await responses  # gRPC's own services write to the context
                            return
                        try:
                            async for response in responses:
                                yield response
                        finally:
                            if inspect.isasyncgen(responses):
                                await responses.aclose()
            except Exception as error:  # noqa: BLE001 - every error is put into words for the caller
                await self._refuse(method, who, context, error, None, request)
            self._metrics.call(method, "OK", None)

        return answer

    @contextlib.contextmanager
    def _admitted(self, who: Identity | None, context: Context, *, streams: bool) -> Iterator[None]:
        """Counts a call, and a stream for as long as it is open. Workers are not counted."""
        _caller.set(who)
        if who is not None and who.role is Role.WORKER:
            yield
            return
        counted = stranger(context.peer()) if who is None else f"token {who.user}"
        self._door.call(counted)
        with self._door.stream(counted) if streams else contextlib.nullcontext():
            yield

    @contextlib.asynccontextmanager
    async def _while_known(self, who: Identity | None, context: Context) -> AsyncIterator[None]:
        """Ends a stream whose token is no longer valid."""
        if who is None:
            yield
            return
        answering = asyncio.current_task()
        assert answering is not None
        refused: list[Unauthenticated] = []

        async def look() -> None:
            while not refused:
                await asyncio.sleep(LOOK_SECONDS)
                try:
                    self._identify(context.invocation_metadata())
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

    def _identify(self, metadata: Sequence[tuple[str, str | bytes]] | None) -> Identity:
        values = [value for key, value in metadata or () if key == "authorization"]
        if len(values) != 1 or not isinstance(values[0], str):
            raise Unauthenticated
        return self._driver.tokens.identify(values[0])

    def _require_role(self, method: str, who: Identity | None, context: Context) -> None:
        """Lets in who may call a method, with a version that fits, while no other server leads."""
        if who is None:  # what shows no data is open to all, and to those who look whether this server leads
            return
        allowed = METHOD_ROLES.get(method, frozenset())
        if who.role not in allowed:
            raise NotAllowed(
                f"{method.rpartition('/')[2]} needs the role {least_words(allowed)} in the project {who.project};"
                f" '{who.user}' is {who.role.value}.",
                "Ask an administrator of it, or use another token.",
            )
        self._driver.require_no_standby()
        part = "worker" if who.role in (Role.WORKER, Role.JOIN) else "client"
        for key, value in context.invocation_metadata() or ():
            if key == HEADER:
                check_caller(part, str(value), self._version)

    def _write_down(
        self, method: str, who: Identity | None, context: Context, request: object, result: str
    ) -> None:
        call = audited(method, context.peer(), who, request, result, _subject.get())
        if call is not None:
            self._audit.note(call)

    async def _refuse(
        self,
        method: str,
        who: Identity | None,
        context: Context,
        error: Exception,
        seconds: float | None,
        request: object,
    ) -> NoReturn:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        if not isinstance(error, HippoError):
            log.error("call_failed", exc_info=error)
            error = HippoError("the server failed at this call.", "Its log says more.")
        unknown = isinstance(error, Unauthenticated)
        self._write_down(method, who, context, request, UNAUTHENTICATED if unknown else error.code)
        wire = to_wire(error, unauthenticated=unknown)
        self._metrics.call(method, wire.code.name, seconds)
        await context.abort(wire.code, wire.details, wire.metadata)
        raise AssertionError("abort raises")


def _largest(who: Identity | None) -> int:
    """How many bytes a message may have."""
    return LARGEST_MESSAGE_BYTES if who is not None and who.role is Role.WORKER else LARGEST_REQUEST_BYTES


def _parsed(parse: Parse, raw: Any, largest: int) -> Any:
    """A message, or the iterator of those that are streamed; None: the bytes are no message."""
    if isinstance(raw, bytes):
        if len(raw) > largest:
            raise InvalidStudy(
                "request",
                f"has {len(raw) / (1 << 20):.1f} MiB, at most {largest >> 20} MiB are read",
                "Write long tables of values as schedules.",
            )
        try:
            return parse(raw)
        except DecodeError:
            return None
    return _each_parsed(parse, raw, largest)


async def _each_parsed(parse: Parse, raws: AsyncIterator[bytes], largest: int) -> AsyncIterator[Message]:
    async for raw in raws:
        yield _required(_parsed(parse, raw, largest))


def _required(request: Any) -> Any:
    if request is None:
        raise InvalidStudy(
            "request", "its bytes are no message of this call", "Install the same version on both sides."
        )
    return request
