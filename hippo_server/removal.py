"""Removing the files of checkpoints that nobody needs, after the decision is durable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from hippo_core.engine.orders import RemoveCheckpoint
from hippo_core.errors import Stale, Unavailable
from hippo_server.store import Store
from hippo_server.term import Term
from hippo_storage.errors import StorageError
from hippo_storage.storage import CheckpointLocation, Storage

RETRY_SECONDS = 30.0
MOST_FAILURES = 3  #: after so many in a row the storage is left alone for a while

log = logging.getLogger(__name__)


async def remove_files(term: Term, storage: Storage, store: Store) -> None:
    """Removes whatever the engine wants gone, until the term is over.

    First the files, then the rows, then the engine is told: what is cut short in between is removed again, which is no
    error. What cannot be removed holds up nothing else, and is tried again after a while.
    """
    term.removals.set()
    failed: set[RemoveCheckpoint] = set()
    while not term.over:
        await term.removals.wait()
        term.removals.clear()
        # What failed comes last.
        wanted = sorted(term.engine.wanted_of(RemoveCheckpoint), key=failed.__contains__)
        failed = set()
        if not wanted:
            continue
        try:
            await term.settled()
            gone, failed = await asyncio.to_thread(_remove, storage, wanted)
            keys = [(each.node, each.step, each.fence) for each in gone]
            await asyncio.to_thread(store.forget_checkpoints, keys)
            term.removed(gone)
        except Stale as error:  # another server leads: it finds the same rows
            log.warning("removal_left_to_the_leader", extra={"error": str(error)})
            return
        except Unavailable as error:  # the database, or nobody knows who leads
            log.warning("removal_not_noted", extra={"error": str(error)})
            failed.update(wanted)
        if failed:
            asyncio.get_running_loop().call_later(RETRY_SECONDS, term.removals.set)


def _remove(
    storage: Storage, wanted: Collection[RemoveCheckpoint]
) -> tuple[list[RemoveCheckpoint], set[RemoveCheckpoint]]:
    """Removes files; gives what is gone, and what could not be removed. Blocks."""
    gone: list[RemoveCheckpoint] = []
    failed: set[RemoveCheckpoint] = set()
    in_a_row = 0
    for each in wanted:
        if in_a_row == MOST_FAILURES:
            break
        location = CheckpointLocation(plan=each.plan, node=each.node, step=each.step, fence=each.fence)
        try:
            storage.remove(location)
        except StorageError as error:
            log.warning("removal_failed", extra={"location": str(location), "error": str(error)})
            failed.add(each)
            in_a_row += 1
        else:
            gone.append(each)
            in_a_row = 0
    return gone, failed
