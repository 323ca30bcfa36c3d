"""What a daemon and a runner say to each other, as values and as frames on a socket.

A frame is a length of four bytes, big endian, and that many bytes of msgpack: a list of messages, each a list
of its tag and its fields in order. Both ends are of one installation, so that there are no versions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import msgpack

_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """To the runner: train this path after those that it was told before.

    ``order_json`` is a ``PathOrder``: in JSON, which has no largest integer.
    """

    fence: int
    order_json: str
    logs: str  #: the folder for what is printed meanwhile, a file for each node
    traceparent: str = ""  #: the span that what the trainer traces is part of, as W3C writes it; empty: none


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """To the runner: make a trainer for a path that is still to come; ``order_json`` is a ``SetupOrder``."""

    order_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """To the runner: save there if that is still to come, and answer."""

    fence: int
    node: int
    step: int
    is_on_path: (
        bool  #: whether the state is one of the path's, which is the answer where its turn has not come
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """To the runner: end the path at the next step, or give it back where its turn has not come."""

    fence: int
    save: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quit:
    """To the runner: end; no path is running or waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The runner listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A trainer is there. Where ``failure`` says that none could be made, the runner ends."""

    failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The path was told to end before its turn came: nothing was done for it."""

    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The path's turn has come: what the runner dies of from now on is of that path."""

    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Steps ``start..stop-1`` of ``node`` were trained."""

    fence: int
    node: int
    start: int
    stop: int
    train_seconds: float
    evaluate_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The state at ``step`` was evaluated, or the step before it returned training metrics."""

    fence: int
    node: int
    step: int
    metrics: dict[str, float]
    training: dict[str, float]
    evaluated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The files of a state are complete in ``folder``, which is the daemon's from now on."""

    fence: int
    node: int
    step: int
    folder: str
    files: dict[str, list[Any]]  #: of each, by name: its length and its digest
    blocked_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NotWritten:
    """The files of a state could not be written."""

    fence: int
    node: int
    step: int
    reason: str
    full: bool  #: whether no space is left on the worker's disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answer to an offer."""

    fence: int
    node: int
    step: int
    will: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """All steps of the path are trained; the runner is free, its saves may still be written.

    ``holds`` is the state that it holds in memory, as node and step.
    """

    fence: int
    holds: list[int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The path could not be trained further."""

    fence: int
    failure: str
    message: str
    traceback: str
    node: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The path ended as it was told to. ``holds`` is the state that the runner holds in memory, as node and step."""

    fence: int
    reason: str
    holds: list[int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Every save that the path began has been told of."""

    fence: int


Message = (
    Run
    | Prepare
    | Offer
    | Stop
    | Quit
    | Ready
    | Prepared
    | Returned
    | Begun
    | Steps
    | Metrics
    | Written
    | NotWritten
    | Answered
    | Trained
    | Failed
    | Released
    | Settled
)

_TYPES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        Run,
        Prepare,
        Offer,
        Stop,
        Quit,
        Ready,
        Prepared,
        Returned,
        Begun,
        Steps,
        Metrics,
        Written,
        NotWritten,
        Answered,
        Trained,
        Failed,
        Released,
        Settled,
    )
}
_FIELDS = {name: tuple(field.name for field in fields(kind)) for name, kind in _TYPES.items()}


def to_plain(message: Message) -> list[Any]:
    """The message as its tag and fields."""
    tag = type(message).__name__
    return [tag, *(getattr(message, name) for name in _FIELDS[tag])]


def from_plain(plain: Sequence[Any]) -> Message:
    """The inverse of :func:`to_plain`."""
    tag, *values = plain
    message: Message = _TYPES[tag](**dict(zip(_FIELDS[tag], values, strict=True)))
    return message


def frame(plain: Any) -> bytes:
    """Plain data as one frame."""
    body: bytes = msgpack.packb(plain)
    return _LENGTH.pack(len(body)) + body


def encode(messages: Iterable[Message]) -> bytes:
    """Messages as one frame."""
    return frame([to_plain(message) for message in messages])


class FrameReader:
    """Cuts a stream of bytes into frames, however it arrives."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """Takes bytes in and gives the plain data of each frame that they complete."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield msgpack.unpackb(body, strict_map_key=False)

    def messages(self, data: bytes) -> Iterator[Message]:
        """Takes bytes in and gives each message of the frames that they complete."""
        for plain in self.feed(data):
            for item in plain:
                yield from_plain(item)
