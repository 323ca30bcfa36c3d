"""What is tried again, after how long, until when, and what is told in the end.

Every call carries the bearer token and the caller's version. A unary call gets a deadline, ``CONTROL_SECONDS`` unless
its caller gives another, and is tried again within it: while the answer is UNAVAILABLE, after a random pause from zero
to a bound that doubles (full jitter), and below half of what is left of the time, so that no pause uses up the rest of
it; where it is that the caller asks too often, after the time that the server names.
That is safe for every method: reads change nothing, mutations carry a request id, log pieces an offset. An upload gets
``UPLOAD_SECONDS``; streams that the server sends have no deadline. Both are tried again only where the caller asks too
often: a stream before its first message has come, for as long as ``CONTROL_SECONDS``; an upload from its beginning, if
its requests say how (``Upload``). Errors arrive as those of ``hippo_core.errors``.

Several servers may be named, of which one leads (``route.py``). A unary call is then tried again for
``TAKE_OVER_SECONDS``, unless its caller says otherwise: for as long as nobody may lead after one has fallen silent.
An attempt may take half of what a call to one server may, so that a silent one does not use up all of the time, and
pauses stay short (``LONGEST_PAUSE_AMONG_SECONDS``), as another server may lead at any moment.

A change of a large study takes its time, and whoever asked is to hear that it was made: a server that has taken such a
call (one with a request id) may answer within ``ANSWER_SECONDS``. One that cannot be reached is given up as before.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any, TypeAlias

import grpc

from hippo_core.errors import HippoError, TooManyCalls, Unavailable
from hippo_wire.errors import answered, from_rpc_error
from hippo_wire.route import Route
from hippo_wire.tls import Trust, diagnosis

CONTROL_SECONDS = 5.0
ANSWER_SECONDS = 60.0
TAKE_OVER_SECONDS = 30.0
UPLOAD_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.1
LAST_ATTEMPT_SECONDS = 0.2
SHORT_ATTEMPT_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_AMONG_SECONDS = 1.0

Failed: TypeAlias = tuple[str, grpc.RpcError]  #: the server that was asked, and how that failed


def pauses(route: Route[Any] | None = None) -> Iterator[float]:
    """Seconds to wait before each further attempt, without end.

    Args:
        route: The servers of which one is asked; None: there is one.
    """
    among = route is not None and route.has_others()
    most, longest = LONGEST_PAUSE_AMONG_SECONDS if among else LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS
    while True:
        yield random.uniform(0.0, longest)
        longest = min(2.0 * longest, most)


def patience_seconds(route: Route[Any]) -> float:
    """For how many seconds a unary call is tried again whose caller does not say."""
    return TAKE_OVER_SECONDS if route.has_others() else CONTROL_SECONDS


def attempt_seconds(route: Route[Any], timeout: float | None, deadline: float) -> float:
    """What one attempt may take of a call that may take ``timeout`` seconds where there is one server."""
    left = max(0.001, deadline - time.monotonic())
    return min(left, (timeout or CONTROL_SECONDS) / 2.0) if route.has_others() else left


def pause_before_retry(
    error: grpc.RpcError, pause: float, route: Route[Any], deadline: float
) -> float | None:
    """Seconds to wait before a call is tried again that failed so.

    Args:
        error: How it failed.
        pause: Of ``pauses``.
        route: The servers of which one is asked.
        deadline: Until when the call is tried, on the monotonic clock.

    Returns:
        None: trying again does not help, or there is no time for it.
    """
    left = deadline - time.monotonic()
    code = _code(error)
    silent = code is grpc.StatusCode.DEADLINE_EXCEEDED and route.has_others()
    if silent or code is grpc.StatusCode.UNAVAILABLE:
        return min(pause, random.uniform(left / 4.0, left / 2.0)) if left > LAST_ATTEMPT_SECONDS else None
    wait = seconds_until_turn(error, pause)
    return wait if wait is not None and wait < left else None


def telling(failed: Failed, refused: Failed | None, seconds: float) -> Failed:
    """How a call failed that is given up: a refusal says more than that what was left of the time was not enough.

    Args:
        failed: The server that was asked last, and how that failed.
        refused: The same of the attempt before, as this gave it; None: there was none.
        seconds: What the last attempt was given.
    """
    ran_out = _code(failed[1]) is grpc.StatusCode.DEADLINE_EXCEEDED and seconds <= SHORT_ATTEMPT_SECONDS
    return refused if ran_out and refused is not None else failed


def _code(error: grpc.RpcError) -> grpc.StatusCode | None:
    return error.code() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None


def seconds_until_turn(error: grpc.RpcError, pause: float) -> float | None:
    """Seconds after which a caller that asks too often may ask again; None: the call failed in another way."""
    found = from_rpc_error(error)
    return found.retry_seconds + pause if isinstance(found, TooManyCalls) else None


def leave(route: Route[Any], address: str, error: grpc.RpcError) -> None:
    """Lets the next call go to another server where that may help."""
    found = from_rpc_error(error, address)
    if isinstance(found, Unavailable) and not isinstance(found, TooManyCalls):
        route.leave(address, found)


def explained(error: grpc.RpcError, address: str, trust: Trust | None, names: str) -> HippoError:
    """What a failed call stands for; where the server was not reached, and TLS is why, that is said.

    Args:
        error: How it failed.
        address: The server that was asked last.
        trust: Whom to believe to be it.
        names: All that were to be asked.
    """
    found = from_rpc_error(error, names)
    if isinstance(found, Unavailable) and not answered(error) and (why := diagnosis(address, trust)):
        return Unavailable(*why)
    return found


__all__ = ["CONTROL_SECONDS", "UPLOAD_SECONDS", "pauses"]
