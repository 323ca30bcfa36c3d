"""Checkpoints for clients that have no access to the storage: the server moves bytes, and never reads them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

from hippo_core.engine.commands import UnusableReport
from hippo_core.engine.trial_paths import CheckpointRef
from hippo_core.errors import HippoError
from hippo_server.driver import Driver
from hippo_storage.errors import CheckpointCorrupt, CheckpointMissing
from hippo_storage.manifest import MANIFEST
from hippo_storage.storage import CheckpointLocation
from hippo_wire.v1 import study_pb2

log = logging.getLogger(__name__)
T = TypeVar("T")


async def stream_checkpoint(
    driver: Driver, found: CheckpointRef, digest: str
) -> AsyncIterator[study_pb2.DownloadCheckpointResponse]:
    """The manifest of a checkpoint, by which the client verifies what follows: its files, in pieces of at most 1 MiB.

    Args:
        driver: Has the storage, and is told where the checkpoint cannot be used.
        found: Which one.
        digest: Its manifest's, as it was recorded.

    Raises:
        StorageError: It is missing or corrupt, or the storage failed.
    """
    location = CheckpointLocation(plan=found.plan, node=found.node, step=found.step, fence=found.fence)
    storage = driver.storage
    try:
        manifest = await asyncio.to_thread(storage.manifest, location, digest)
        yield study_pb2.DownloadCheckpointResponse(step=found.step, file=MANIFEST, data=manifest.encode())
        current = MANIFEST
        async for name, data in in_thread(storage.read(location, digest)):
            response = study_pb2.DownloadCheckpointResponse(data=data)
            if name != current:
                response.file = current = name
            yield response
    except (CheckpointMissing, CheckpointCorrupt) as error:
        await tell_unusable(driver, location, error)
        raise


async def tell_unusable(
    driver: Driver, location: CheckpointLocation, error: CheckpointMissing | CheckpointCorrupt
) -> None:
    """A checkpoint that the server finds missing or corrupt is lost, as one that a worker finds so."""
    log.warning("checkpoint_unusable", extra={"checkpoint": str(location), "error": str(error)})
    unusable = UnusableReport(
        node=location.node,
        step=location.step,
        fence=location.fence,
        missing=isinstance(error, CheckpointMissing),
        reason=error.message,
    )
    with contextlib.suppress(HippoError):  # whoever reads it next finds the same
        term = driver.current()
        term.carry_out(unusable, "server")
        await term.settled()


async def in_thread(pieces: Iterator[T]) -> AsyncIterator[T]:
    """Reads a blocking iterator in a thread, one piece at a time, so that a slow reader holds one piece."""
    while True:
        piece = await asyncio.to_thread(next, pieces, None)
        if piece is None:
            return
        yield piece
