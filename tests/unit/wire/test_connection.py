"""Connections: tokens, deadlines, and tries again where it may help and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from hippo_core.errors import Conflict, InvalidStudy, NotAllowed, NotFound, Standby, TooManyCalls, Unavailable
from hippo_wire import retries
from hippo_wire.aio_connection import AsyncConnection
from hippo_wire.connection import Connection
from hippo_wire.errors import to_wire
from hippo_wire.streams import Upload
from hippo_wire.v1 import admin_pb2, study_pb2, worker_pb2
from hippo_wire.versions import own_version
from tests.waiting import until


class Script(grpc.GenericRpcHandler):
    """Refuses as often as it is told, then answers; remembers what each call carried."""

    def __init__(self) -> None:
        self.refusals: list[Exception] = []
        self.at_the_door = False
        self.silent_after: int | None = None  #: how many calls are answered; None: all are
        self.uploaded: list[list[bytes]] = []
        self.calls: list[tuple[str, dict[str, str], float | None]] = []

    def service(self, details):
        def admit(context):
            metadata = dict(details.invocation_metadata)
            self.calls.append((details.method.rpartition("/")[2], metadata, context.time_remaining()))
            if self.refusals:
                wire = to_wire(self.refusals.pop(0))
                context.set_trailing_metadata(wire.metadata)
                context.abort(wire.code, wire.details)

        def unary(request, context):
            admit(context)
            if self.silent_after is not None and len(self.calls) > self.silent_after:
                gone = threading.Event()
                if context.add_callback(gone.set):
                    gone.wait()  # until the caller has given up
            return b""

        def upload(requests, context):
            admit(context)
            self.uploaded.append(list(requests))
            return b""

        def stream(request, context):
            if self.at_the_door:
                admit(context)
            yield b""
            if not self.at_the_door:
                admit(context)

        kinds = {
            "WatchStudy": grpc.unary_stream_rpc_method_handler(stream),
            "UploadBundle": grpc.stream_unary_rpc_method_handler(upload),
            "Work": grpc.stream_stream_rpc_method_handler(stream),
        }
        name = details.method.rpartition("/")[2]
        return kinds.get(name) or grpc.unary_unary_rpc_method_handler(unary)


@pytest.fixture
def script():
    return Script()


@pytest.fixture
def address(script):
    server = grpc.server(ThreadPoolExecutor(2), handlers=(script,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def silent():
    """An address that takes connections and never answers, as a stopped process does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def distant(address):
    """An address from which the first word of a server comes late, as it does over a long line."""
    host, port = address.split(":")
    with socket.create_server((host, 0)) as listener:

        def answer():
            listener.settimeout(60.0)
            caller, _ = listener.accept()
            caller.setblocking(True)
            server = socket.create_connection((host, int(port)))
            late = threading.Timer(0.3, pass_on, [server, caller])
            late.start()
            pass_on(caller, server)
            late.join()
            for each in (caller, server):
                each.close()

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"{host}:{listener.getsockname()[1]}"
        thread.join()


def pass_on(source, sink):
    """All that one end says, until it has said all."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def connection(address):
    with Connection(address, "secret") as connection:
        yield connection


def test_every_kind_of_call_carries_the_token_and_a_deadline_where_it_ends(script, connection):
    began = time.monotonic()
    connection.admin.GetServer(admin_pb2.GetServerRequest())
    connection.admin.GetServer(admin_pb2.GetServerRequest(), timeout=30.0)
    connection.studies.UploadBundle(iter([study_pb2.UploadBundleRequest()]))
    list(connection.studies.WatchStudy(study_pb2.WatchStudyRequest()))
    list(connection.workers.Work(iter([worker_pb2.WorkRequest()])))
    assert [name for name, _, _ in script.calls] == [
        "GetServer",
        "GetServer",
        "UploadBundle",
        "WatchStudy",
        "Work",
    ]
    assert {metadata["authorization"] for _, metadata, _ in script.calls} == {"Bearer secret"}
    assert {metadata["hippo-version"] for _, metadata, _ in script.calls} == {own_version()}
    limits = [seconds for _, _, seconds in script.calls]
    took = time.monotonic() - began
    for found, expected in zip(limits[:3], (5.0, 30.0, 60.0), strict=True):
        assert expected - took <= found <= expected + 0.1  # gRPC rounds up
    assert all(found is None or found > 1e6 for found in limits[3:])


def test_a_change_may_take_longer_than_a_look_where_the_server_is_there(script, connection, monkeypatch):
    """1. The server that has it may take its time. 2. One that is away is given up as soon as for a look."""
    began = time.monotonic()
    connection.studies.StopStudy(study_pb2.StopStudyRequest(request_id="a", name="study"))
    ((_, _, seconds),) = script.calls
    assert seconds is not None
    assert 60.0 - (time.monotonic() - began) <= seconds <= 60.1
    monkeypatch.setattr(retries, "CONTROL_SECONDS", 0.1)
    script.refusals = [Unavailable("away")] * 100
    with pytest.raises(Unavailable):
        connection.studies.StopStudy(study_pb2.StopStudyRequest(request_id="b", name="study"))
    assert len(script.refusals) > 50


def test_unavailable_is_tried_again(script, connection):
    script.refusals = [Unavailable("busy"), Unavailable("busy")]
    connection.admin.GetServer(admin_pb2.GetServerRequest())
    assert len(script.calls) == 3
    assert all(seconds <= 5.1 for _, _, seconds in script.calls)


def test_who_asks_too_often_waits_as_it_is_told(script, connection):
    script.refusals = [TooManyCalls("more than 50 calls a second.", 0.2)]
    began = time.monotonic()
    connection.admin.GetServer(admin_pb2.GetServerRequest())
    assert len(script.calls) == 2
    assert time.monotonic() - began >= 0.2
    script.refusals = [TooManyCalls("more than 50 calls a second.", 60.0)]
    with pytest.raises(TooManyCalls):
        connection.admin.GetServer(admin_pb2.GetServerRequest(), timeout=30.0)
    assert len(script.calls) == 3


@pytest.mark.parametrize("error", [Conflict("no"), NotFound("no"), InvalidStudy("x", "no")])
def test_nothing_else_is_tried_again(script, connection, error):
    script.refusals = [error]
    with pytest.raises(type(error)):
        connection.admin.GetServer(admin_pb2.GetServerRequest())
    assert len(script.calls) == 1


def requests():
    """More than what gRPC sends before the server reads."""
    for number in range(100):
        yield study_pb2.UploadBundleRequest(digest=str(number), data=b"\0" * 100_000)


BUSY = TooManyCalls("more than 50 calls a second.", 0.05)


def test_an_upload_that_is_refused_at_the_door_is_sent_from_its_beginning(script, connection):
    script.refusals = [BUSY, BUSY]
    connection.studies.UploadBundle(Upload(requests))
    assert len(script.calls) == 3
    ((*arrived,),) = script.uploaded
    assert arrived == [each.SerializeToString() for each in requests()]


@pytest.mark.parametrize(
    ("refusal", "upload"),
    [(Unavailable("busy"), Upload(requests)), (BUSY, requests())],
    ids=["broken", "once"],
)
def test_no_other_upload_is_sent_twice(script, connection, refusal, upload):
    script.refusals = [refusal]
    with pytest.raises(type(refusal)):
        connection.studies.UploadBundle(upload)
    assert len(script.calls) == 1


def test_an_upload_waits_within_its_deadline(script, connection):
    script.refusals = [TooManyCalls("more than 50 calls a second.", 60.0)]
    with pytest.raises(TooManyCalls):
        connection.studies.UploadBundle(Upload(requests), timeout=30.0)
    assert len(script.calls) == 1


def test_a_stream_that_is_refused_at_the_door_is_asked_for_again(script, connection):
    script.at_the_door = True
    script.refusals = [BUSY, BUSY]
    assert len(list(connection.studies.WatchStudy(study_pb2.WatchStudyRequest()))) == 1
    assert len(script.calls) == 3
    script.refusals = [TooManyCalls("more than 100 streams at once.", 60.0)]
    with pytest.raises(TooManyCalls):
        list(connection.studies.WatchStudy(study_pb2.WatchStudyRequest()))
    script.refusals = [Unavailable("busy")]
    with pytest.raises(Unavailable):
        list(connection.studies.WatchStudy(study_pb2.WatchStudyRequest()))
    assert len(script.calls) == 5


def test_a_stream_that_has_begun_is_not_begun_again(script, connection):
    script.refusals = [BUSY]
    stream = connection.studies.WatchStudy(study_pb2.WatchStudyRequest())
    next(stream)
    with pytest.raises(TooManyCalls):
        next(stream)
    assert len(script.calls) == 1


def test_a_stream_is_cancelled_while_it_waits_for_its_turn(script, connection):
    script.at_the_door = True
    script.refusals = [TooManyCalls("more than 50 calls a second.", 4.5)]
    stream = connection.studies.WatchStudy(study_pb2.WatchStudyRequest())
    with ThreadPoolExecutor(1) as reader:
        ended = reader.submit(list, stream)
        until(lambda: script.calls, "the refusal")
        stream.cancel()
        assert isinstance(ended.exception(), TooManyCalls | Unavailable)
    assert len(script.calls) == 1


def test_a_server_far_away_is_heard_by_a_stream_that_is_asked_for_once(distant):
    with Connection(distant, "secret") as connection:
        assert next(connection.studies.WatchStudy(study_pb2.WatchStudyRequest())) is not None


@pytest.mark.parametrize(
    ("short", "words"),
    [(300.0, "it reads its state"), (0.0, "did not answer in time")],
    ids=["short", "long"],
)
def test_a_refusal_is_told_where_little_time_was_left_for_another(
    script, connection, monkeypatch, short, words
):
    """1. A server says that it is not ready. 2. It is asked again, and does not answer in what is left."""
    monkeypatch.setattr(retries, "SHORT_ATTEMPT_SECONDS", short)
    script.refusals = [Unavailable("it reads its state.")]
    script.silent_after = 1
    with pytest.raises(Unavailable, match=words):
        connection.admin.GetServer(admin_pb2.GetServerRequest(), timeout=3.0)
    assert not script.refusals


def test_a_stream_that_breaks_raises_ours(script, connection):
    script.refusals = [NotFound("gone", "Look elsewhere.")]
    stream = connection.studies.WatchStudy(study_pb2.WatchStudyRequest())
    next(stream)
    with pytest.raises(NotFound) as broken:
        next(stream)
    assert broken.value.hint == "Look elsewhere."


def test_a_server_that_is_not_there_is_named_within_the_deadline(monkeypatch):
    monkeypatch.setattr(retries, "CONTROL_SECONDS", 300.0)
    began = time.monotonic()
    with Connection("127.0.0.1:1", "secret") as connection, pytest.raises(Unavailable) as away:
        connection.admin.GetServer(admin_pb2.GetServerRequest(), timeout=1.0)
    assert time.monotonic() - began < 30.0
    assert "127.0.0.1:1" in away.value.message
    assert "hippo-server" in away.value.hint


def test_the_same_for_asyncio(script, address):
    async def talk() -> worker_pb2.WorkResponse:
        connection = AsyncConnection(address, "secret")
        try:
            script.refusals = [Unavailable("busy"), TooManyCalls("more than 50 calls a second.", 0.01)]
            await connection.call(connection.admin.GetServer, admin_pb2.GetServerRequest())
            script.refusals = [Conflict("no")]
            with pytest.raises(Conflict):
                await connection.call(connection.admin.GetServer, admin_pb2.GetServerRequest())
            script.refusals = [NotFound("gone")]
            stream = connection.stream(connection.workers.Work, requests())
            received = await anext(stream)
            with pytest.raises(NotFound):
                await anext(stream)
            return received
        finally:
            await connection.close()

    async def requests():
        yield worker_pb2.WorkRequest()

    assert asyncio.run(talk()) == worker_pb2.WorkResponse()
    assert [name for name, _, _ in script.calls] == ["GetServer"] * 4 + ["Work"]
    assert {metadata["authorization"] for _, metadata, _ in script.calls} == {"Bearer secret"}


def test_of_several_servers_the_one_that_answers_is_found(script, address, silent):
    """One is not there, one has fallen silent; each costs a part of the deadline, and not all of it."""
    for servers in (f"127.0.0.1:1,{address}", f"{silent},{address}"):
        with Connection(servers, "secret") as connection:
            connection.admin.GetServer(admin_pb2.GetServerRequest())
            assert connection.address == address
    assert len(script.calls) >= 2


def test_calls_to_several_servers_wait_for_one_to_lead(script, address, monkeypatch):
    """1. Nobody leads for longer than a call to one server may take: it goes on. 2. Nobody ever does: all are named."""
    monkeypatch.setattr(retries, "CONTROL_SECONDS", 0.2)
    script.refusals = [Standby("other", "")] * 4
    with Connection(f"127.0.0.1:1,{address}", "secret") as connection:
        connection.admin.GetServer(admin_pb2.GetServerRequest())
    assert not script.refusals
    monkeypatch.setattr(retries, "TAKE_OVER_SECONDS", 0.5)
    with Connection("127.0.0.1:1,127.0.0.1:2", "secret") as connection, pytest.raises(Unavailable) as away:
        connection.admin.GetServer(admin_pb2.GetServerRequest())
    assert "127.0.0.1:1 or 127.0.0.1:2" in away.value.message


def test_a_standbys_word_is_followed_by_calls_and_streams(script, address):
    script.refusals = [Standby("other", "127.0.0.1:1")]
    with Connection(f"127.0.0.1:1,{address}", "secret") as connection:
        connection.admin.GetServer(admin_pb2.GetServerRequest())  # to the one away, and back, and so on
        assert connection.address == address
        script.refusals = [Standby("other", "127.0.0.1:1")]
        with pytest.raises(Standby):
            list(connection.studies.WatchStudy(study_pb2.WatchStudyRequest()))
        assert connection.address == "127.0.0.1:1"


def test_of_several_servers_for_asyncio(script, address, silent):
    async def talk() -> str:
        connection = AsyncConnection(f"127.0.0.1:1,{silent},{address}", "secret")
        try:
            await connection.call(connection.admin.GetServer, admin_pb2.GetServerRequest(), timeout=30.0)
            return connection.address
        finally:
            await connection.close()

    assert asyncio.run(talk()) == address


@pytest.mark.parametrize("address", ["10.0.0.1:7440", "example.org:7440", "0.0.0.0:7440", "[::]:1"])
def test_a_token_does_not_leave_the_machine_in_clear_text(address):
    with pytest.raises(InvalidStudy) as refused:
        Connection(address, "secret")
    assert "HIPPO_CA" in refused.value.hint


@pytest.mark.parametrize("token", ["h€llo", "a\nb", "\x00"])
def test_what_can_be_no_token_is_told_before_anything_is_sent(token):
    with pytest.raises(NotAllowed, match="no token has"):
        Connection("127.0.0.1:1", token)
    with pytest.raises(NotAllowed, match="no token has"):
        asyncio.run(_connect(token))


async def _connect(token):
    return AsyncConnection("127.0.0.1:1", token)
