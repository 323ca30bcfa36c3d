"""Waiting only for as long as somebody wants what is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class NotWanted(Exception):
    """The path, or what was made for one to come, was to end before it could begin."""


async def unless(unwanted: asyncio.Event, waiting: Coroutine[Any, Any, Result]) -> Result:
    """Waits for something, which goes no further where it is not wanted any more.

    Raises:
        NotWanted: The event was set before.
    """
    done = asyncio.ensure_future(waiting)
    given_up = asyncio.ensure_future(unwanted.wait())
    either: set[asyncio.Future[Any]] = {done, given_up}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        done.cancel()
        given_up.cancel()
    if not done.done():
        raise NotWanted
    return done.result()
