"""A study as an archive for another server, streamed file by file (``hippo_storage.archive_names``).

The journal is read from the rows as of one moment, so that of a running study the archive has a picture that is whole.
A checkpoint that goes before its turn has come is left out: who imports the archive trains its steps again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from hippo_core.engine import archive
from hippo_core.engine.events import CheckpointPublished, Event, StudyChanged, StudySubmitted
from hippo_core.engine.lookup import find_study
from hippo_server.driver import Driver
from hippo_server.rpc.bundles import Bundles, read_pieces
from hippo_server.rpc.checkpoints import in_thread, tell_unusable
from hippo_storage.archive_names import JOURNAL, bundle_name, state_file_name
from hippo_storage.errors import CheckpointCorrupt, CheckpointMissing, StorageError
from hippo_storage.manifest import MANIFEST
from hippo_storage.storage import CheckpointLocation
from hippo_wire.streams import pieces
from hippo_wire.v1 import study_pb2

log = logging.getLogger(__name__)


async def export_archive(
    driver: Driver, bundles: Bundles, project: str, name: str, *, checkpoints: bool
) -> AsyncIterator[study_pb2.ExportArchiveResponse]:
    """The files of a study's archive.

    Raises:
        NotFound: There is no study of that name.
        Conflict: Its trials were trained in several environments.
        StorageError: Its code, or a checkpoint, cannot be read.
    """
    found = await driver.current().read(
        lambda engine: (
            find_study(engine.state, project, name).id,
            find_study(engine.state, project, name).plan,
        )
    )
    study, plan = found
    events = await asyncio.to_thread(driver.store.study_events, study)
    states = _copies(events) if checkpoints else {}
    kept = [
        event
        for event in events
        if not isinstance(event, CheckpointPublished) or states.get((event.node, event.step)) is event
    ]
    journal = await asyncio.to_thread(lambda: b"".join(archive.write(name, kept)))
    for response in _file(JOURNAL, journal):
        yield response
    digest = _bundle(events)
    async with bundles.fetched(digest) as path:
        response = study_pb2.ExportArchiveResponse(file=bundle_name(digest), size_bytes=path.stat().st_size)
        async for data in in_thread(read_pieces(path)):
            response.data = data
            yield response
            response = study_pb2.ExportArchiveResponse()
    for event in states.values():
        async for response in _checkpoint(driver, plan, event):
            yield response


def _copies(events: list[Event]) -> dict[tuple[int, int], CheckpointPublished]:
    """One copy of each state that is kept."""
    found = [event for event in events if isinstance(event, CheckpointPublished)]
    return {(event.node, event.step): event for event in sorted(found, key=lambda event: event.fence)}


def _bundle(events: list[Event]) -> str:
    """The digest of the code that the study is trained with now."""
    specs = [event.spec for event in events if isinstance(event, StudySubmitted | StudyChanged)]
    return str(specs[-1]["bundle"])


async def _checkpoint(
    driver: Driver, plan: int, event: CheckpointPublished
) -> AsyncIterator[study_pb2.ExportArchiveResponse]:
    location = CheckpointLocation(plan=plan, node=event.node, step=event.step, fence=event.fence)
    storage = driver.storage
    try:
        manifest = await asyncio.to_thread(storage.manifest, location, event.digest)
    except StorageError as error:
        log.warning("left_out_of_archive", extra={"checkpoint": str(location), "error": str(error)})
        if isinstance(error, CheckpointMissing | CheckpointCorrupt):
            await tell_unusable(driver, location, error)
        return
    for response in _file(state_file_name(event.node, event.step, MANIFEST), manifest.encode()):
        yield response
    current = ""
    try:
        async for name, data in in_thread(storage.read(location, event.digest)):
            response = study_pb2.ExportArchiveResponse(data=data)
            if name != current:
                current = name
                response.file = state_file_name(event.node, event.step, name)
                response.size_bytes = manifest.files[name].size_bytes
            yield response
    except (CheckpointMissing, CheckpointCorrupt) as error:
        await tell_unusable(driver, location, error)
        raise


def _file(name: str, data: bytes) -> list[study_pb2.ExportArchiveResponse]:
    """A file that is at hand, as messages."""
    responses = [study_pb2.ExportArchiveResponse(data=piece) for piece in pieces([data])]
    responses[0].file, responses[0].size_bytes = name, len(data)
    return responses
