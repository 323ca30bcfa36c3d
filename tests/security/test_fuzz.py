"""S14. Whatever the bytes: a call is answered or refused in words; connection and engine live on, in the first term."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc
import pytest
from google.protobuf import descriptor, message_factory
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_wire.v1 import admin_pb2
from tests.integration.server.conftest import RunningServer, submit, upload
from tests.integration.server.test_roles import EXPECTED, METHODS
from tests.security.test_calls import bearer, call

DEFECTS = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.DATA_LOSS,
}
CALLED = sorted(path for path, roles in EXPECTED.items() if roles is not None and path.startswith("/hippo."))
texts = st.one_of(
    st.sampled_from(
        ["study", "default", "", "null", "{}", "[]", '{"a": NaN}', "1e999", "\ud7ff", "x\0", "[" * 3000]
    ),
    st.text(max_size=30),
)
whole = {
    descriptor.FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    descriptor.FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    descriptor.FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    descriptor.FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    descriptor.FieldDescriptor.CPPTYPE_ENUM: (-1, 9),
}


def values(of: descriptor.FieldDescriptor, depth: int) -> st.SearchStrategy[object]:
    """Anything that a field can hold."""
    if of.cpp_type in whole:
        least, most = whole[of.cpp_type]
        return st.one_of(st.integers(max(least, -2), min(most, 5)), st.sampled_from([least, most]))
    if of.type == of.TYPE_STRING:
        return texts
    if of.type == of.TYPE_BYTES:
        return st.binary(max_size=30)
    if of.cpp_type == of.CPPTYPE_BOOL:
        return st.booleans()
    if of.cpp_type in (of.CPPTYPE_DOUBLE, of.CPPTYPE_FLOAT):
        return st.floats(width=32)
    return messages(of.message_type, depth - 1)


@st.composite
def messages(draw: st.DrawFn, kind: descriptor.Descriptor, depth: int = 3) -> Message:
    """Any message of a kind."""
    made = message_factory.GetMessageClass(kind)()
    for each in kind.fields:
        if not depth or not draw(st.booleans()):
            continue
        if each.message_type is not None and each.message_type.GetOptions().map_entry:
            continue
        if each.is_repeated:
            getattr(made, each.name).extend(draw(st.lists(values(each, depth), max_size=2)))
        elif each.message_type is not None:
            getattr(made, each.name).CopyFrom(draw(values(each, depth)))
        else:
            setattr(made, each.name, draw(values(each, depth)))
    return made


def damaged(data: bytes, flips: list[tuple[int, int]]) -> bytes:
    """Some of its bytes are others."""
    changed = bytearray(data)
    for at, byte in flips:
        if changed:
            changed[at % len(changed)] ^= byte
    return bytes(changed)


@dataclass
class Fuzzed:
    """One server for all that is sent, and one connection.

    Attributes:
        server: The server.
        channel: The connection.
        tokens: By role.
    """

    server: RunningServer
    channel: grpc.Channel
    tokens: dict[str, tuple[str, str]] = field(default_factory=dict)

    def expect_words(self, path: str, data: bytes) -> None:
        """It is answered, or refused typed; the connection takes the next call, and the term is the first."""
        roles = EXPECTED[path]
        assert roles is not None
        known = next(self.tokens[role] for role in self.tokens if role in roles)
        refused = call(self.channel, path, data, known, timeout=30)
        assert refused is None or refused.code() not in DEFECTS, (path, data, refused)
        described = self.channel.unary_unary(
            "/hippo.v1.AdminService/GetServer", response_deserializer=admin_pb2.GetServerResponse.FromString
        )(b"", timeout=30, metadata=[self.tokens["admin"]])
        assert described.term == 1


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory, new_database, database_template) -> Iterator[Fuzzed]:
    server = RunningServer(
        tmp_path_factory.mktemp("fuzz"), new_database(database_template), leader_lease_seconds=60.0
    )
    with grpc.insecure_channel(server.address) as channel:
        found = Fuzzed(server, channel)
        client = server.connect()
        upload(client)
        submit(client)
        for role in ("admin", "worker", "join"):
            found.tokens[role] = bearer(server.token(role))
        server.new_token("last", "viewer")
        yield found
    server.stop()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_messages_with_anything_in_their_fields(fuzzed: Fuzzed, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(CALLED))
    message = data.draw(messages(METHODS[path].input_type))
    fuzzed.expect_words(path, message.SerializeToString())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_bytes_that_are_damaged_or_no_message_at_all(fuzzed: Fuzzed, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(CALLED))
    whole = data.draw(messages(METHODS[path].input_type)).SerializeToString()
    flips = data.draw(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 255)), min_size=1, max_size=3))
    fuzzed.expect_words(path, data.draw(st.one_of(st.just(damaged(whole, flips)), st.binary(max_size=60))))
