"""Checkpoints for clients that have no access to the storage: the server moves bytes, and never reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

from hippo_core.engine.trial_paths import CheckpointRef
from hippo_storage.manifest import MANIFEST
from hippo_storage.storage import CheckpointLocation, Storage
from hippo_wire.v1 import study_pb2

T = TypeVar("T")


async def stream_checkpoint(
    storage: Storage, found: CheckpointRef, digest: str
) -> AsyncIterator[study_pb2.DownloadCheckpointResponse]:
    """The manifest of a checkpoint, by which the client verifies what follows: its files, in pieces of at most 1 MiB.

    Args:
        storage: Has it.
        found: Which one.
        digest: Its manifest's, as it was recorded.

    Raises:
        StorageError: It is missing or corrupt, or the storage failed.
    """
    location = CheckpointLocation(plan=found.plan, node=found.node, step=found.step, fence=found.fence)
    manifest = await asyncio.to_thread(storage.manifest, location, digest)
    yield study_pb2.DownloadCheckpointResponse(step=found.step, file=MANIFEST, data=manifest.encode())
    current = MANIFEST
    async for name, data in in_thread(storage.read(location, digest)):
        response = study_pb2.DownloadCheckpointResponse(data=data)
        if name != current:
            response.file = current = name
        yield response


async def in_thread(pieces: Iterator[T]) -> AsyncIterator[T]:
    """Reads a blocking iterator in a thread, one piece at a time, so that a slow reader holds one piece."""
    while True:
        piece = await asyncio.to_thread(next, pieces, None)
        if piece is None:
            return
        yield piece
