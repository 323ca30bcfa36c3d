"""Calls before the gate of gRPC: who floods, who sends what is too large or no message, and who holds streams."""

from __future__ import annotations

import contextlib
import socket
import threading

import grpc
import httpx
import pytest

from hippo_core.errors import NotAllowed, TooManyCalls
from hippo_server.auth.limits import CallLimits
from hippo_wire.errors import from_rpc_error
from hippo_wire.v1 import admin_pb2, study_pb2
from tests.integration.server.conftest import submit, upload
from tests.integration.server.test_roles import EXPECTED, METHODS
from tests.waiting import until

LIST = "/hippo.v1.StudyService/ListStudies"


def call(
    channel: grpc.Channel, path: str, data: bytes, *metadata: tuple[str, str], timeout: float = 60
) -> grpc.RpcError | None:
    """Calls a method with these bytes; how it was refused, None: it was not."""
    method = METHODS[path]
    kinds = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }
    behaviour = kinds[method.client_streaming, method.server_streaming](path)
    try:
        answer = behaviour(
            iter([data]) if method.client_streaming else data, timeout=timeout, metadata=metadata
        )
        if method.server_streaming:
            next(answer, None)
            answer.cancel()
    except grpc.RpcError as error:
        return error
    return None


def bearer(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"


def test_bytes_that_are_no_message_are_refused_in_words_after_the_token(server):
    """S14, B39. Every method, raw bytes of several kinds: a stranger hears of the token, others of the message."""
    tokens = {role: server.token(role) for role in ("admin", "worker", "join")}
    server.new_token("last", "viewer")
    bad = (b"\xff" * 100, b"\x0a\xff", bytes(range(256)), b"\x0a\x02\xff\xff", b"\x0a\xff\xff\xff\xff\x0f")
    refusals = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ABORTED}
    with grpc.insecure_channel(server.address) as channel:
        for path, roles in EXPECTED.items():
            known = []
            if roles is not None:
                known = [bearer(next(token for role, token in tokens.items() if role in roles))]
                for data in bad:
                    assert call(channel, path, data).code() is grpc.StatusCode.UNAUTHENTICATED, path
            found = [call(channel, path, data, *known) for data in bad]
            assert found[0].code() is grpc.StatusCode.INVALID_ARGUMENT, path
            # Some bytes are messages, of fields that nobody knows.
            assert {error.code() for error in found if error is not None} <= refusals, path
    assert server.connect().admin.GetServer(admin_pb2.GetServerRequest()).term == 1


def test_a_strangers_message_is_not_read(server):
    """B26. As large as they come: it is refused for the token, before its bytes have all come."""
    with grpc.insecure_channel(
        server.address, options=[("grpc.max_send_message_length", 1 << 30)]
    ) as channel:
        refused = call(channel, LIST, b"\0" * (200 << 20), timeout=60)
    assert refused is not None
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED


def test_what_is_too_large_is_refused_by_its_limit_and_the_connection_lives(server):
    """B26, B39. A message of more than 64 MiB, and headers of 1 MiB."""
    token = bearer(server.token("admin"))
    with grpc.insecure_channel(
        server.address, options=[("grpc.max_send_message_length", 1 << 30)]
    ) as channel:
        large = call(channel, LIST, b"\0" * (65 << 20), token, timeout=60)
        assert large is not None
        assert large.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "67108864" in (large.details() or "")
        heavy = call(channel, LIST, b"", token, ("x-heavy", "x" * (1 << 20)), timeout=60)
        assert heavy is not None
        assert heavy.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "16384" in (heavy.details() or "")
        assert call(channel, LIST, b"", token) is None


def test_a_large_study_is_refused_before_it_is_looked_into(server):
    """What would take seconds and gigabytes to read as JSON; a worker may say more at once."""
    large = study_pb2.SubmitStudyRequest(
        request_id="large", spec_json='{"space":[' + "{}," * (3 << 20) + "1]}"
    )
    editor, worker = bearer(server.token("editor")), bearer(server.token("worker"))
    with grpc.insecure_channel(
        server.address, options=[("grpc.max_send_message_length", 1 << 30)]
    ) as channel:
        refused = call(channel, "/hippo.v1.StudyService/SubmitStudy", large.SerializeToString(), editor)
        assert refused is not None
        assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "has 9.0 MiB, at most 8 MiB are read" in (refused.details() or "")
        denied = call(channel, "/hippo.v1.StudyService/SubmitStudy", large.SerializeToString(), worker)
        assert denied is not None
        assert denied.code() is grpc.StatusCode.PERMISSION_DENIED
    with httpx.Client(base_url=server.url, timeout=60) as http:
        heavy = http.get("/livez", headers={"X-Heavy": "x" * (17 << 10)})
        assert heavy.status_code == 431
        assert http.get("/livez", headers={"X-Heavy": "x" * (15 << 10)}).status_code == 200


def test_two_tokens_in_one_call_are_none(server):
    """Which of them would count is nothing that a caller may choose."""
    token = bearer(server.token("admin"))
    with grpc.insecure_channel(server.address) as channel:
        refused = call(channel, LIST, b"", token, token)
    assert refused is not None
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED


def refusal(answer):
    return answer if answer.status_code == 429 else None


def test_who_asks_too_often_is_refused_with_a_time_and_others_are_not(start_server):
    """S15. A token's calls, over gRPC and HTTP together; strangers; and workers, who are not counted."""
    server = start_server(limits=CallLimits(calls_per_second=1, burst=20))
    ada, bob, worker = (
        server.new_token(name, role) for name, role in (("ada", "viewer"), ("bob", "viewer"), ("w", "worker"))
    )
    server.new_token("last", "viewer")
    describe = "/hippo.v1.AdminService/GetServer"
    with grpc.insecure_channel(server.address) as channel:
        found = [call(channel, LIST, b"", bearer(ada)) for _ in range(60)]
        refused = [error for error in found if error is not None]
        assert 60 - len(refused) >= 20
        error = from_rpc_error(refused[-1])
        assert isinstance(error, TooManyCalls)
        assert 0.0 < error.retry_seconds <= 1.0
        assert {each.code() for each in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        with httpx.Client(headers={"Authorization": f"Bearer {ada}"}, timeout=60) as http:
            # Each second allows one more call: one that comes late is answered, and the next is not.
            answer = until(lambda: refusal(http.get(f"{server.url}/metrics")), "a refusal over HTTP")
        assert answer.headers["retry-after"] == "1"
        assert call(channel, LIST, b"", bearer(bob)) is None
        assert all(call(channel, describe, b"", bearer(worker)) is None for _ in range(60))
        strangers = {call(channel, LIST, b"").code() for _ in range(60)}
        assert strangers == {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert call(channel, LIST, b"", bearer(bob)) is None


def test_a_connection_waits_as_it_is_told_and_its_caller_notices_nothing(start_server):
    """S15. The client's own retries keep to the limit: of calls, of uploads and of streams."""
    server = start_server(limits=CallLimits(calls_per_second=10, burst=1))
    client = server.connect()
    for _ in range(5):
        assert client.admin.GetServer(admin_pb2.GetServerRequest()).user == "admin"
    upload(client)
    submit(client)
    assert next(client.studies.WatchStudy(study_pb2.WatchStudyRequest(name="study"))).study.name == "study"


def test_streams_that_are_open_at_once_are_limited(start_server):
    """S15. One more is refused as one that may be tried again; one that ended makes room."""
    server = start_server(limits=CallLimits(streams=3))
    client = server.connect()
    upload(client)
    submit(client)
    watch = study_pb2.WatchStudyRequest(name="study")
    streams = [client.studies.WatchStudy(watch) for _ in range(3)]
    for stream in streams:
        next(stream)
    with grpc.insecure_channel(server.address) as channel:
        path = "/hippo.v1.StudyService/WatchStudy"
        refused = call(channel, path, watch.SerializeToString(), bearer(server.token("admin")))
        assert refused is not None
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "more than 3 streams" in refused.details()
    streams[0].cancel()
    next(client.studies.WatchStudy(watch))  # asked for again until there is room


def test_strangers_watch_the_health_of_the_server_up_to_the_limit(start_server):
    """S15. The one stream that needs no token."""
    server = start_server(limits=CallLimits(streams=2))
    with grpc.insecure_channel(server.address) as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
        streams = [watch(b"") for _ in range(2)]
        for stream in streams:
            assert next(stream) in {b"\x08\x01", b"\x08\x02"}, "serving, or not yet"
        with pytest.raises(grpc.RpcError) as refused:
            next(watch(b""))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_slow_heads_are_cut_off_and_honest_callers_served_meanwhile(server, monkeypatch):
    """S15. Connections that never finish their request (slowloris) are closed, whether they send on or are silent."""
    monkeypatch.setattr("hippo_server.web.serving.HEAD_SECONDS", 2.0)
    host, port = server.server.http_address.rsplit(":", 1)
    with contextlib.ExitStack() as open_:
        slow = [open_.enter_context(socket.create_connection((host, int(port)), 30)) for _ in range(20)]
        for number, each in enumerate(slow):
            if number % 2:
                each.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ")
        stop = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(0.02):
                    slow[1].sendall(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert httpx.get(server.url + "/livez", timeout=60).status_code == 200
            for each in slow:
                with contextlib.suppress(ConnectionError):
                    assert each.recv(1) == b""
        finally:
            stop.set()
            dripping.join()
    assert httpx.get(server.url + "/livez", timeout=60).status_code == 200


def test_connections_beyond_the_limit_are_told_so(server, monkeypatch):
    """S15. And those that leave make room."""
    monkeypatch.setattr("hippo_server.web.serving.MOST_CONNECTIONS", 5)
    host, port = server.server.http_address.rsplit(":", 1)
    with contextlib.ExitStack() as open_:
        for _ in range(5):
            open_.enter_context(socket.create_connection((host, int(port)), 30))
        until(lambda: httpx.get(server.url + "/livez", timeout=60).status_code == 503, "a full server")
    until(lambda: httpx.get(server.url + "/livez", timeout=60).status_code == 200, "room")


def test_a_wrong_token_is_worth_as_little_as_none(server):
    """B23. The answer is the same, and names no part of what was wrong."""
    words = set()
    for token in ("hippo_wrong", "x", server.token("admin")[:-1]):
        with pytest.raises(NotAllowed) as refused:
            server.connect(token).studies.ListStudies(study_pb2.ListStudiesRequest())
        words.add(str(refused.value))
    assert len(words) == 1
    assert "hippo login" in words.pop()
