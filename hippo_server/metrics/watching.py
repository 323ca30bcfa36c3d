"""What is looked at now and then for the metrics, whether or not somebody asks for them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from hippo_core.errors import Unavailable
from hippo_server.metrics.engine_counters import EngineCounters
from hippo_server.metrics.metrics import Metrics
from hippo_server.term import Term
from hippo_storage.errors import StorageError
from hippo_storage.storage import Storage

STAGES_SECONDS = 2.0
#: Between two pieces of a look at very many stages, so that what others ask for meanwhile waits for one piece at most.
PIECE_SECONDS = 0.005
SPACE_SECONDS = 30.0

log = logging.getLogger(__name__)


async def watch_stages(lead: Callable[[], Term], counters: EngineCounters) -> None:
    """Notes what is ready, to tell how long it waits, until cancelled.

    Args:
        lead: The term that lives; raises where this server does not lead just now.
        counters: Told.
    """
    while True:
        with contextlib.suppress(Unavailable):
            for _ in counters.watch_stages(lead().engine):
                await asyncio.sleep(PIECE_SECONDS)
        await asyncio.sleep(STAGES_SECONDS)


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
