"""What a client and the supervisor say over the Unix socket: one JSON object a line.

The client's first line is a request; the connection then *is* the attachment. The supervisor answers with
states: ``starting`` (any number of times), then ``ready`` or ``failed``; ``notice`` at any time; ``draining``
and ``ended`` when it goes. A client that meets a supervisor on its way out gets ``draining`` first, and
``ended`` when the home is free for a new one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any


class Verb(StrEnum):
    """What a client wants."""

    ATTACH = "attach"  #: keep the server (and the worker) up for as long as this connection lasts
    DETACH = "detach"  #: go; if nobody else is attached, drain and end now. Answered with DETACHED or ENDED
    DOWN = "down"  #: drain and end, whoever is attached


class State(StrEnum):
    """What the supervisor says."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    NOTICE = "notice"
    DETACHED = "detached"
    DRAINING = "draining"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A client's line."""

    verb: Verb
    worker: bool = False  #: a worker is needed too
    slots: int | None = None  #: its slots; None: as many as fit the machine
    stay: bool = False  #: stay up when nobody is attached
    grpc_port: int = 0  #: wanted if the server is not up yet; 0: any free one
    http_port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The supervisor's line."""

    state: State
    message: str = ""
    hint: str = ""
    server: str = ""  #: host:port of gRPC
    http: str = ""  #: host:port of HTTP
    worker: bool = False  #: whether there is a worker
    slots: int | None = None  #: what it was started with; None: as many as fit
    stays: bool = False  #: whether it stays when nobody is attached


def encode(line: Request | Answer) -> bytes:
    """The line's bytes."""
    return json.dumps(asdict(line)).encode() + b"\n"


def decode_request(line: bytes) -> Request:
    """The client's line.

    Raises:
        ValueError: It is none.
    """
    said = _known(line, Request)
    return Request(**{**said, "verb": Verb(said["verb"])})


def decode_answer(line: bytes) -> Answer:
    """The supervisor's line.

    Raises:
        ValueError: It is none.
    """
    said = _known(line, Answer)
    return Answer(**{**said, "state": State(said["state"])})


def _known(line: bytes, kind: type[Request | Answer]) -> dict[str, Any]:
    # Names that this version does not know are skipped: the other side may be a newer one.
    said = json.loads(line)
    if not isinstance(said, dict):
        raise ValueError(f"not an object: {line!r}")
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in said.items() if name in names}
