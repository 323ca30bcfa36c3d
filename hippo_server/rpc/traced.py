"""Calls as spans, each a child of its caller's."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from hippo_wire.observing import tracing

Behaviour = Callable[[Any, Any], Any]


def traced(method: str, behaviour: Behaviour, *, streams: bool) -> Behaviour:
    """A call's behaviour, as a span where spans are sent.

    Args:
        method: ``/service/method``.
        behaviour: What answers.
        streams: Whether it answers with a stream.
    """
    if not tracing.is_on():
        return behaviour

    @contextlib.contextmanager
    def call(context: Any) -> Iterator[None]:
        service, _, name = method.strip("/").partition("/")
        with tracing.span(
            f"{service}/{name}",
            {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
            kind="server",
            parent=tracing.parent_in(context.invocation_metadata()),
            current=not streams,
        ) as late:
            try:
                yield
            finally:
                code = context.code()  # None where nothing was said against it
                late["rpc.grpc.status_code"] = 0 if code is None else getattr(code, "value", (code,))[0]

    async def answer(raw: Any, context: Any) -> Any:
        with call(context):
            return await behaviour(raw, context)

    async def answer_all(raw: Any, context: Any) -> AsyncIterator[Any]:
        with call(context):
            async with contextlib.aclosing(behaviour(raw, context)) as responses:
                async for response in responses:
                    yield response

    return answer_all if streams else answer
