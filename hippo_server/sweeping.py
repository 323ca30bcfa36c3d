"""Sweeping the storage: what writers left there that died, or lost their leases.

Only a server that leads sweeps. It needs no lock against the next leader: what the rows do not need now no later
leader will record (see ``NeededCheckpoints``), so that a sweep that outlives its term a moment does no harm.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from hippo_core.errors import Unavailable
from hippo_server.commits import lost
from hippo_server.metrics import Metrics
from hippo_server.store import Store
from hippo_server.term import Term
from hippo_storage.storage import CheckpointLocation, Storage, Swept

SWEEP_SECONDS = 3600.0
IDLE_SECONDS = 5.0  #: how often a server that does not lead looks whether it does

log = logging.getLogger(__name__)


async def keep_swept(lead: Callable[[], Term], storage: Storage, store: Store, metrics: Metrics) -> None:
    """Sweeps at once and then every hour, for as long as the server leads.

    Args:
        lead: The term that lives; raises where this server does not lead just now.
        storage: What is swept.
        store: Says what is needed.
        metrics: Counts sweeps, and what went.
    """
    while True:
        try:
            term = lead()
        except Unavailable:  # another server leads, or none does just now
            await asyncio.sleep(IDLE_SECONDS)
            continue
        try:
            swept = await asyncio.to_thread(_sweep, term, storage, store)
        except Exception as error:  # noqa: BLE001 - whatever it is, rubbish that stays harms nobody for an hour
            log.warning("sweep_failed", extra={"error": repr(error)})
            metrics.swept(None)
        else:
            for failure in swept.failures:
                log.warning("leftover_stays", extra={"error": str(failure)})
            log.info("swept", extra={"removed": swept.removed, "failures": len(swept.failures)})
            metrics.swept(swept)
        await asyncio.sleep(SWEEP_SECONDS)


def _sweep(term: Term, storage: Storage, store: Store) -> Swept:
    importing = frozenset(term.importing)  # before the rows are read, which have what is imported meanwhile
    needed = store.needed_checkpoints()

    def is_needed(location: CheckpointLocation) -> bool:
        if term.over:
            raise lost()
        if location.fence in importing:
            return True
        return needed.holds(location.node, location.step, location.fence)

    return storage.sweep(is_needed, time.time())
