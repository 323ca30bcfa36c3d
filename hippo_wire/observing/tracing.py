"""Traces by OpenTelemetry, where its SDK is installed (the extra ``otel``) and told where to send spans; else nothing.

Where to, how many and under which name is said by OpenTelemetry's own variables (``OTEL_EXPORTER_OTLP_ENDPOINT``,
``OTEL_TRACES_SAMPLER``, ``OTEL_RESOURCE_ATTRIBUTES``, ...). The context of a caller comes and goes as W3C's
``traceparent``. Nothing of OpenTelemetry is imported before it is asked for.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from hippo_wire.observing.logs import bound

HEADER = "traceparent"
_ASKED = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
Kind = Literal["internal", "server"]

log = logging.getLogger(__name__)
_tracer: Any = None


def begin(
    service: str, variables: Mapping[str, str], attributes: Mapping[str, str] | None = None
) -> Callable[[], None]:
    """Sends spans from now on, where the environment says where to.

    Args:
        service: What calls itself so, unless ``OTEL_SERVICE_NAME`` says otherwise.
        variables: The environment.
        attributes: What stands on every span.

    Returns:
        What sends the last ones, and ends it.
    """
    global _tracer
    if not any(variables.get(name) for name in _ASKED) or variables.get("OTEL_SDK_DISABLED") == "true":
        return lambda: None
    if importlib.util.find_spec("opentelemetry") is None:
        log.warning("tracing_is_not_installed", extra={"remedy": "pip install 'hippo-hpo[otel]'"})
        return lambda: None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {} if variables.get("OTEL_SERVICE_NAME") else {"service.name": service}
    provider = TracerProvider(resource=Resource.create({**named, **(attributes or {})}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("hippo")

    def end() -> None:
        global _tracer
        _tracer = None
        provider.shutdown()

    return end


def is_on() -> bool:
    """Whether spans are sent."""
    return _tracer is not None


@contextlib.contextmanager
def span(
    name: str,
    attributes: Mapping[str, Any],
    *,
    kind: Kind = "internal",
    parent: str = "",
    current: bool = True,
) -> Iterator[dict[str, Any]]:
    """What happens within, as a span; an error that leaves it is the span's, too.

    Args:
        name: What it is; of few different ones.
        attributes: What is known of it.
        kind: Whether it answers a call.
        parent: The caller's ``traceparent``; empty: whatever is current is its parent.
        current: Whether spans that begin within are its children; not of a generator, which others may close.

    Yields:
        Attributes that are put on it at its end.
    """
    late: dict[str, Any] = {}
    if _tracer is None:
        yield late
        return
    from opentelemetry import trace

    kinds = {"internal": trace.SpanKind.INTERNAL, "server": trace.SpanKind.SERVER}
    begun = _tracer.start_span(name, context=_context(parent), kind=kinds[kind], attributes=dict(attributes))
    identity = format(begun.get_span_context().trace_id, "032x")
    try:
        with (
            trace.use_span(begun, record_exception=False, set_status_on_exception=False)
            if current
            else contextlib.nullcontext(),
            bound(trace_id=identity) if current else contextlib.nullcontext(),
        ):
            yield late
    except BaseException as error:
        begun.set_status(trace.StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        begun.set_attributes(late)
        begun.end()


def context() -> Any:
    """What is current, as the parent of spans that others record; None: nothing is traced."""
    if _tracer is None:
        return None
    from opentelemetry.context import get_current

    return get_current()


def record(
    name: str, attributes: Mapping[str, Any], parent: Any, began: int, ended: int, failed: str = ""
) -> None:
    """A span that is over.

    Args:
        name: What it was.
        attributes: What is known of it.
        parent: Of ``context``.
        began: When, in nanoseconds since 1970.
        ended: When.
        failed: What went wrong; empty: nothing.
    """
    if _tracer is None or parent is None:
        return
    from opentelemetry.trace import StatusCode

    made = _tracer.start_span(name, context=parent, start_time=began, attributes=dict(attributes))
    if failed:
        made.set_status(StatusCode.ERROR, failed)
    made.end(ended)


def traceparent() -> str:
    """The current span for others, as W3C writes it; empty: there is none. Also of spans that are not Hippo's."""
    if "opentelemetry.trace" not in sys.modules:
        return ""
    from opentelemetry import trace

    found = trace.get_current_span().get_span_context()
    if not found.is_valid:
        return ""
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


def headers() -> tuple[tuple[str, str], ...]:
    """The metadata of a call that tell of the current span; none: there is none."""
    found = traceparent()
    return ((HEADER, found),) if found else ()


def parent_in(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The caller's span, of a call's metadata; empty: it has none."""
    return next((str(value) for key, value in metadata or () if key == HEADER), "")


def _context(parent: str) -> Any:
    if not parent:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({HEADER: parent})
