"""Traces: a caller's span goes on in the server's, stages are spans of their path, the trainer is told of it.

The spans are those that a receiver of OTLP gets on loopback.
"""

from __future__ import annotations

import http.server
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hippo_core.errors import NotFound
from hippo_storage.storage import Storage
from hippo_wire.observing import tracing
from hippo_wire.v1 import study_pb2
from tests.integration.worker.conftest import Worker, make_lease, make_program, put_bundle, stage
from tests.integration.worker.scripted_server import ScriptedServer

TRACED = """

class Traced(Tiny):
    def train(self, step):
        print(f"traceparent {os.environ.get('TRACEPARENT')}")
        super().train(step)
"""


class Receiver:
    """What OpenTelemetry sends to a collector."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        received = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def services(self) -> set[str]:
        resources = [each.resource for request in self.requests for each in request.resource_spans]
        found = {each.key: each.value.string_value for resource in resources for each in resource.attributes}
        return {found["service.name"]}

    def spans(self, name: str) -> list[Any]:
        return [
            span
            for request in self.requests
            for each in request.resource_spans
            for scope in each.scope_spans
            for span in scope.spans
            if span.name == name
        ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def values(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_a_call_is_a_span_of_its_callers_trace(
    start_server: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. A call that succeeds and one that fails within a span. 2. The server's spans have it as their parent."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    end = tracing.begin("hippo-test", os.environ)
    try:
        server = start_server()
        connection = server.connect()
        with tracing.span("a script", {}):
            connection.studies.ListStudies(study_pb2.ListStudiesRequest())
            with pytest.raises(NotFound):
                connection.studies.GetStudy(study_pb2.GetStudyRequest(name="none"))
        server.stop()  # a call's span ends a moment after its answer
    finally:
        end()
    assert tracing.traceparent() == ""
    (script,) = receiver.spans("a script")
    (listed,) = receiver.spans("hippo.v1.StudyService/ListStudies")
    (missing,) = receiver.spans("hippo.v1.StudyService/GetStudy")
    for call in (listed, missing):
        assert (call.trace_id, call.parent_span_id) == (script.trace_id, script.span_id)
    assert values(listed)["rpc.grpc.status_code"] == 0
    assert values(missing)["rpc.grpc.status_code"] == 5
    assert missing.status.code == 2, "an error"
    assert receiver.services() == {"hippo-test"}


async def test_stages_are_spans_of_their_path_and_the_trainer_is_told_of_it(
    receiver: Receiver, tmp_path: Path
) -> None:
    """1. A runner trains two paths, of which one has two stages. 2. Each has a trace, whose path the trainer knows."""
    storage = Storage.open(str(tmp_path / "storage"))
    server = ScriptedServer(str(tmp_path / "storage"))
    await server.start()
    bundle = put_bundle(tmp_path, storage, TRACED)
    arguments = ["--server", f"127.0.0.1:{server.port}", "--name", "w", "--slots", "1"]
    worker = Worker(tmp_path / "w", arguments, {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url})
    program = make_program("Traced")
    orders = [
        make_lease(bundle, 1, program=program, stages=(stage(1, 0, 2), stage(2, 2, 3))),
        make_lease(bundle, 2, program=program, stages=(stage(3, 0, 1),)),
    ]
    try:
        for order in orders:
            await server.grant(order)
            await server.until_over(order.fence)
        logged = {1: (1, 2), 2: (3,)}
        for fence, nodes in logged.items():
            for node in nodes:
                await server.until(lambda at=(fence, node): b"step" in server.logs.get(at, b""), "the log")
        worker.process.terminate()
        assert await worker.ended() == 0
    finally:
        worker.end()
        await worker.until_nothing_is_left()
        await server.close()
    paths = {values(span)["hippo.fence"]: span for span in receiver.spans("path")}
    stages = {values(span)["hippo.node"]: span for span in receiver.spans("stage")}
    assert paths.keys() == {1, 2}
    assert paths[1].trace_id != paths[2].trace_id
    for fence, nodes in logged.items():
        path = paths[fence]
        for node in nodes:
            assert (stages[node].trace_id, stages[node].parent_span_id) == (path.trace_id, path.span_id)
            assert path.start_time_unix_nano <= stages[node].start_time_unix_nano
            assert stages[node].end_time_unix_nano <= path.end_time_unix_nano
            said = f"traceparent 00-{path.trace_id.hex()}-{path.span_id.hex()}-".encode()
            assert said in server.logs[fence, node]
    assert stages[1].end_time_unix_nano <= stages[2].start_time_unix_nano
    assert [values(stages[node])["hippo.stop"] for node in (1, 2, 3)] == [2, 3, 1]
    assert server.broken == []


def test_without_being_told_where_to_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where it is told to whoever has not installed it: a warning says so, and nothing fails."""
    tracing.begin("hippo-test", {})()
    assert not tracing.is_on()
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    tracing.begin("hippo-test", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})()
    assert not tracing.is_on()
    with tracing.span("nothing", {}) as late:
        late["a"] = 1
        assert tracing.context() is None
    tracing.record("nothing", {}, None, 0, 1)
