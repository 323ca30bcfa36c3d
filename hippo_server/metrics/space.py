"""How much room the storage's disk has, looked at now and then, whether or not somebody asks for the metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from hippo_server.metrics.metrics import Metrics
from hippo_storage.errors import StorageError
from hippo_storage.storage import Storage

SPACE_SECONDS = 30.0

log = logging.getLogger(__name__)


async def watch_space(storage: Storage, metrics: Metrics, on_failure: Callable[[str], None]) -> None:
    """Looks how much room the storage's disk has, until cancelled, or until nobody can tell.

    Args:
        storage: May hang, and is waited for in a thread of its own.
        metrics: Told.
        on_failure: Called with what the storage says each time that it cannot be looked at, and without words each
            time that it can.
    """
    while True:
        try:
            space = await asyncio.to_thread(storage.space)
        except StorageError as error:
            log.warning("storage_unreachable", extra={"error": str(error)})
            on_failure(str(error).rstrip("."))
        else:
            if space is None:
                return
            on_failure("")
            metrics.space(space)
        await asyncio.sleep(SPACE_SECONDS)
