"""Hippo's errors on the wire: a gRPC status with a ``google.rpc.ErrorInfo``, and back to the same error.

The ``reason`` is the error's code, the ``domain`` is "hippo", the metadata hold the hint and the field. After how long
to ask again is a ``google.rpc.RetryInfo`` beside it. The metadata of a reply are limited by every HTTP/2 stack on the
way, so that long texts are cut; nothing but words is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from hippo_core.errors import (
    Conflict,
    HippoError,
    Incompatible,
    InvalidStudy,
    InvariantViolated,
    NotAllowed,
    NotFound,
    Stale,
    Standby,
    TooManyCalls,
    Unavailable,
)

Detail = TypeVar("Detail", bound=Message)

DOMAIN = "hippo"
DETAILS_KEY = "grpc-status-details-bin"

# Bytes of UTF-8. gRPC refuses metadata beyond 8 KiB; what is in the packed status grows by a third on the way, and the
# details, which are percent-encoded, by up to three times.
LONGEST_MESSAGE = 2000
LONGEST_HINT = 1000
LONGEST_FIELD = 300
LONGEST_DETAILS = 500

_STATUS: Mapping[str, grpc.StatusCode] = {
    InvalidStudy.code: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound.code: grpc.StatusCode.NOT_FOUND,
    Conflict.code: grpc.StatusCode.ALREADY_EXISTS,
    NotAllowed.code: grpc.StatusCode.PERMISSION_DENIED,
    Incompatible.code: grpc.StatusCode.FAILED_PRECONDITION,
    Stale.code: grpc.StatusCode.ABORTED,
    Unavailable.code: grpc.StatusCode.UNAVAILABLE,
    TooManyCalls.code: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Standby.code: grpc.StatusCode.UNAVAILABLE,
    InvariantViolated.code: grpc.StatusCode.INTERNAL,
}
_LOST = frozenset({"CHECKPOINT_MISSING", "CHECKPOINT_CORRUPT", "BUNDLE_CORRUPT", "STATE"})
"""Codes of the storage, which the wire does not know, that say that bytes are gone or are not what they were."""
_WITHOUT_REASON: Mapping[grpc.StatusCode, Callable[[str, str], HippoError]] = {
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: Conflict,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
    grpc.StatusCode.UNAUTHENTICATED: NotAllowed,
    grpc.StatusCode.ABORTED: Stale,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WireError:
    """What a failed call carries: the code, the words, and the packed status for the trailing metadata."""

    code: grpc.StatusCode
    details: str
    metadata: tuple[tuple[str, bytes], ...]


def to_wire(error: HippoError, *, unauthenticated: bool = False) -> WireError:
    """Puts an error into what gRPC sends.

    Args:
        error: The error.
        unauthenticated: For a ``NotAllowed``: nobody knows who asks; else the role does not suffice.
    """
    code = grpc.StatusCode.UNAUTHENTICATED if unauthenticated else _status_of(error)
    message = error.message
    metadata = {"hint": _cut(error.hint, LONGEST_HINT)}
    if isinstance(error, InvalidStudy):
        metadata["field"] = _cut(error.field, LONGEST_FIELD)
        message = message.removeprefix(f"{error.field}: ")
    if isinstance(error, Standby):
        metadata["holder"] = _cut(error.holder, LONGEST_FIELD)
        metadata["address"] = _cut(error.address, LONGEST_FIELD)
    info = error_details_pb2.ErrorInfo(reason=error.code, domain=DOMAIN, metadata=metadata)
    number: int = code.value[0]
    status = status_pb2.Status(code=number, message=_cut(message, LONGEST_MESSAGE))
    status.details.add().Pack(info)
    if isinstance(error, TooManyCalls):
        again = error_details_pb2.RetryInfo()
        again.retry_delay.FromNanoseconds(round(error.retry_seconds * 1e9))
        status.details.add().Pack(again)
    return WireError(
        code=code,
        details=_cut(error.message, LONGEST_DETAILS),
        metadata=((DETAILS_KEY, status.SerializeToString()),),
    )


def from_rpc_error(error: grpc.RpcError, address: str = "") -> HippoError:
    """The error that a failed call stands for.

    Args:
        error: What gRPC raised; of a synchronous or of an asyncio channel.
        address: Whom it was to reach, for the words.
    """
    code, details = _code_of(error), _details_of(error)
    status = _status_sent(error)
    info = _detail(status, error_details_pb2.ErrorInfo)
    if status is None or info is None or info.domain != DOMAIN:
        return _without_reason(code, details, address)
    message = status.message
    hint = info.metadata.get("hint", "")
    match info.reason:
        case InvalidStudy.code:
            return InvalidStudy(info.metadata.get("field", ""), message, hint)
        case InvariantViolated.code:
            return InvariantViolated(message, tuple(hint.splitlines()))
        case NotFound.code:
            return NotFound(message, hint)
        case Conflict.code:
            return Conflict(message, hint)
        case NotAllowed.code:
            return NotAllowed(message, hint)
        case Incompatible.code:
            return Incompatible(message, hint)
        case Stale.code:
            return Stale(message, hint)
        case TooManyCalls.code:
            again = _detail(status, error_details_pb2.RetryInfo)
            return TooManyCalls(message, again.retry_delay.ToNanoseconds() / 1e9 if again else 0.0, hint)
        case Standby.code:
            return Standby(info.metadata.get("holder", ""), info.metadata.get("address", ""))
        case _:
            unavailable = code is grpc.StatusCode.UNAVAILABLE
            other = (Unavailable if unavailable else _WITHOUT_REASON.get(code, HippoError))(message, hint)
            other.code = info.reason  # of a class that is known to the server alone
            return other


def answered(error: grpc.RpcError) -> bool:
    """Whether it was the server that said why a call failed."""
    info = _detail(_status_sent(error), error_details_pb2.ErrorInfo)
    return info is not None and info.domain == DOMAIN


def _status_of(error: HippoError) -> grpc.StatusCode:
    known = _STATUS.get(error.code)
    if known is not None:
        return known
    if error.code in _LOST:
        return grpc.StatusCode.DATA_LOSS
    return grpc.StatusCode.UNAVAILABLE if error.retryable else grpc.StatusCode.INTERNAL


def _cut(text: str, length: int) -> str:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= length:
        return encoded.decode()
    return encoded[: length - 3].decode("utf-8", "ignore") + "…"


def _code_of(error: grpc.RpcError) -> grpc.StatusCode:
    code: object = error.code() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
    return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def _details_of(error: grpc.RpcError) -> str:
    words: object = error.details() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
    return words if isinstance(words, str) else str(error)


def _status_sent(error: grpc.RpcError) -> status_pb2.Status | None:
    """What the server put into the trailing metadata."""
    if isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        for key, value in error.trailing_metadata() or ():
            if key == DETAILS_KEY and isinstance(value, bytes):
                return status_pb2.Status.FromString(value)
    return None


def _detail(status: status_pb2.Status | None, kind: type[Detail]) -> Detail | None:
    """The first of a kind among a status's details."""
    found = kind()
    for packed in () if status is None else status.details:
        if packed.Unpack(found):
            return found
    return None


def _without_reason(code: grpc.StatusCode, details: str, address: str) -> HippoError:
    """An error that gRPC itself made: the server was not reached, or did not get as far as to answer."""
    server = f"the server {address}" if address else "the server"
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            if "http1.x server" in details:
                return Unavailable(
                    f"{server} speaks HTTP, not gRPC.", "Give its gRPC port, which is 7440 unless set."
                )
            said = details.rpartition(": ")[2] or "no connection"
            return Unavailable(
                f"cannot reach {server}: {said}.", "Is hippo-server running there, and HIPPO_SERVER right?"
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return Unavailable(f"{server} did not answer in time.", "Look at its log, or try again.")
        case grpc.StatusCode.CANCELLED:
            return Unavailable(f"the call to {server} was cancelled.", "Try again.")
        case grpc.StatusCode.RESOURCE_EXHAUSTED if details.startswith("Concurrent RPC limit"):
            return TooManyCalls(f"{server} answers as many calls as it can.", 1.0, "Try again.")
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.RESOURCE_EXHAUSTED:
            return InvalidStudy("request", details)
        case grpc.StatusCode.UNIMPLEMENTED:
            return HippoError(
                f"{server} does not know this call: {details}.", "Install the same version on both sides."
            )
        case _:
            return _WITHOUT_REASON.get(code, HippoError)(details or f"{server} failed: {code.name}.", "")
