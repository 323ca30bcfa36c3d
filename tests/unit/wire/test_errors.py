"""Each of our errors arrives as itself, with its words, its field and its remedy, over a real socket."""

from __future__ import annotations

import string
from collections.abc import Iterator
from datetime import timedelta

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from hippo_core.errors import (
    Conflict,
    HippoError,
    InvalidStudy,
    InvariantViolated,
    NotAllowed,
    NotFound,
    Stale,
    TooManyCalls,
    Unavailable,
)
from hippo_storage.errors import CheckpointCorrupt, StorageError
from hippo_wire.errors import from_rpc_error, to_wire

CODES = {
    InvalidStudy: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    Conflict: grpc.StatusCode.ALREADY_EXISTS,
    NotAllowed: grpc.StatusCode.PERMISSION_DENIED,
    Stale: grpc.StatusCode.ABORTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
}


class Refusing(grpc.GenericRpcHandler):
    """Answers every call with an error."""

    error: HippoError | None = None

    def service(self, details):
        def refuse(request, context):
            wire = to_wire(self.error, unauthenticated=details.method.endswith("Unauthenticated"))
            context.set_trailing_metadata(wire.metadata)
            context.abort(wire.code, wire.details)

        return grpc.unary_unary_rpc_method_handler(refuse)


@pytest.fixture(scope="module")
def travel() -> Iterator:
    """Sends an error through a server; gives the status code and the error that arrives."""
    from concurrent.futures import ThreadPoolExecutor

    handler = Refusing()
    server = grpc.server(ThreadPoolExecutor(1), handlers=(handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:

        def send(error: HippoError, method: str = "/x/Any") -> tuple[grpc.StatusCode, HippoError]:
            handler.error = error
            with pytest.raises(grpc.RpcError) as failed:
                channel.unary_unary(method)(b"", timeout=60)
            return failed.value.code(), from_rpc_error(failed.value)

        yield send
    server.stop(None).wait()


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=200)


@given(st.sampled_from([NotFound, Conflict, NotAllowed, Stale, Unavailable]), words, words)
def test_an_error_arrives_as_it_was_sent(travel, kind, message, hint):
    code, arrived = travel(kind(message, hint))
    assert code is CODES[kind]
    assert type(arrived) is kind
    assert (arrived.message, arrived.hint) == (message, hint)


@given(words, words, words)
def test_an_invalid_study_keeps_its_field(travel, field, message, hint):
    code, arrived = travel(InvalidStudy(field, message, hint))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(arrived, InvalidStudy)
    assert (arrived.field, arrived.message, arrived.hint) == (field, f"{field}: {message}", hint)


def test_who_asks_too_often_is_told_for_how_long(travel):
    code, arrived = travel(TooManyCalls("more than 50 calls a second.", 0.25, "Ask again."))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert isinstance(arrived, TooManyCalls)
    assert (arrived.retry_seconds, arrived.hint, arrived.retryable) == (0.25, "Ask again.", True)


def test_for_how_long_is_told_in_the_standard_way():
    """A RetryInfo, which libraries in other languages know."""
    ((_, packed),) = to_wire(TooManyCalls("more than 50 calls a second.", 0.25)).metadata
    again = error_details_pb2.RetryInfo()
    assert status_pb2.Status.FromString(packed).details[1].Unpack(again)
    assert again.retry_delay.ToTimedelta() == timedelta(seconds=0.25)


def test_a_defect_keeps_its_story(travel):
    code, arrived = travel(InvariantViolated("steps", ("one", "two")))
    assert code is grpc.StatusCode.INTERNAL
    assert isinstance(arrived, InvariantViolated)
    assert arrived.story == ("one", "two")


def test_who_is_not_known_is_told_apart_from_who_may_not(travel):
    code, arrived = travel(NotAllowed("a token is needed"), "/x/Unauthenticated")
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert type(arrived) is NotAllowed


def test_errors_of_the_storage_say_whether_to_try_again(travel):
    code, arrived = travel(StorageError("the disk is away", "Mount it."))
    assert (code, type(arrived)) == (grpc.StatusCode.UNAVAILABLE, Unavailable)
    assert (arrived.code, arrived.hint) == ("STORAGE", "Mount it.")
    code, arrived = travel(CheckpointCorrupt("a byte differs"))
    assert (code, arrived.code, arrived.retryable) == (grpc.StatusCode.DATA_LOSS, "CHECKPOINT_CORRUPT", False)
    assert arrived.message == "a byte differs"


def test_long_words_are_cut_and_still_arrive(travel):
    """Metadata of more than 8 KiB would make gRPC drop the whole error."""
    for letter in (string.ascii_letters, "ß€😀"):
        code, arrived = travel(InvalidStudy("field", letter * 5000, letter * 5000))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert isinstance(arrived, InvalidStudy)
        assert arrived.message.startswith(f"field: {letter}")
        assert arrived.message.endswith("…")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Unavailable),
        (grpc.StatusCode.CANCELLED, Unavailable),
        (grpc.StatusCode.UNAUTHENTICATED, NotAllowed),
        (grpc.StatusCode.PERMISSION_DENIED, NotAllowed),
        (grpc.StatusCode.NOT_FOUND, NotFound),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, InvalidStudy),
        (grpc.StatusCode.UNIMPLEMENTED, HippoError),
        (grpc.StatusCode.INTERNAL, HippoError),
    ],
)
def test_what_grpc_itself_says_becomes_one_of_ours(code, kind):
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="ipv4: refused")
    found = from_rpc_error(error, "127.0.0.1:1")
    assert type(found) is kind
    assert found.message


def test_a_server_that_is_full_may_be_asked_again():
    details = "Concurrent RPC limit exceeded!"
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)
    assert isinstance(from_rpc_error(error, "127.0.0.1:1"), TooManyCalls)
