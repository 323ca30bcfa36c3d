"""Removing the files of checkpoints that nobody needs, after the decision is durable."""

from __future__ import annotations

import asyncio
import logging

from hippo_core.engine.orders import RemoveCheckpoint
from hippo_core.errors import Unavailable
from hippo_server.store import Store
from hippo_server.term import Term
from hippo_storage.errors import StorageError
from hippo_storage.storage import CheckpointLocation, Storage

RETRY_SECONDS = 30.0

log = logging.getLogger(__name__)


async def remove_files(term: Term, storage: Storage, store: Store) -> None:
    """Removes whatever the engine wants gone, until the term is over.

    First the files, then the rows: what is cut short between the two is removed again, which is no error.
    """
    term.removals.set()
    while not term.over:
        await term.removals.wait()
        term.removals.clear()
        wanted = [each for each in term.engine.wanted() if isinstance(each, RemoveCheckpoint)]
        if not wanted:
            continue
        try:
            await term.settled()
            for each in wanted:
                location = CheckpointLocation(
                    plan=each.plan, node=each.node, step=each.step, fence=each.fence
                )
                await asyncio.to_thread(storage.remove, location)
                term.engine.removed(each)
            gone = [(each.node, each.step, each.fence) for each in wanted]
            await asyncio.to_thread(store.forget_checkpoints, gone)
        except StorageError as error:
            log.warning("removal_failed error=%s", error)
            asyncio.get_running_loop().call_later(RETRY_SECONDS, term.removals.set)
        except Unavailable:
            return  # the term is over; the next one finds the same rows
