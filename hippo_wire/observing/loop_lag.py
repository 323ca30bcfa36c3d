"""How late an event loop comes to what is due: what holds it up, holds up every call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LOOK_SECONDS = 1.0


async def keep_measuring(observe: Callable[[float], None]) -> None:
    """Measures now and then, until cancelled.

    Args:
        observe: Told by how many seconds the loop came late.
    """
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOK_SECONDS
        await asyncio.sleep(LOOK_SECONDS)
        observe(max(0.0, loop.time() - due))
