"""Archives of studies that come in: their files are published one by one, then the study is there at once, or not.

An archive is a stranger's. Its journal is read by ``hippo_core.engine.archive``, and nothing of it is believed before;
names, sizes and digests of files are checked as they come; what they hold is never looked at. Until the study is
committed only places are reserved, and files lie in folders that no row names: of an import that fails they are
removed, and what a server that dies leaves behind is swept as what dead writers leave. While it is under way, its
files are spared (``Term.importing``).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

from hippo_core.engine import archive as archives
from hippo_core.engine import study_views
from hippo_core.engine.archive import LARGEST_ARCHIVE_BYTES, Archive
from hippo_core.engine.commands import ImportStudy, PlaceArchive
from hippo_core.engine.commands.archives import Place, SavedState
from hippo_core.engine.engine import Engine, Result
from hippo_core.engine.importing import Imported
from hippo_core.errors import HippoError, InvalidStudy, TooManyCalls
from hippo_server.answers import Asked, require_request_id
from hippo_server.auth.tokens import Identity
from hippo_server.driver import Driver
from hippo_server.rpc.bundles import LARGEST_BUNDLE_BYTES, Bundles
from hippo_server.rpc.gate import name_subject
from hippo_server.rpc.rendering import rendered
from hippo_server.term import Term
from hippo_storage.archive_names import JOURNAL, bundle_digest, is_archive_file, state_file
from hippo_storage.errors import CheckpointCorrupt, StorageError
from hippo_storage.hashing import HashingWriter
from hippo_storage.manifest import MANIFEST, MAX_MANIFEST_BYTES, FileEntry, Manifest, decode
from hippo_storage.storage import CheckpointLocation
from hippo_wire import enums
from hippo_wire.v1 import study_pb2

MOST_AT_ONCE = 2
"""So many archives are taken in at once: each holds its journal in memory."""
RETRY_SECONDS = 10.0

log = logging.getLogger(__name__)
Requests = AsyncIterator[study_pb2.ImportStudyRequest]


class Imports:
    """Takes archives in.

    Args:
        driver: Decides.
        bundles: Has the code, and room for what is on its way.
    """

    def __init__(self, driver: Driver, bundles: Bundles) -> None:
        self._driver = driver
        self._bundles = bundles
        self._under_way = 0

    async def take(self, requests: Requests, who: Identity) -> study_pb2.ImportStudyResponse:
        """Takes one in.

        Args:
            requests: Its files, the journal first.
            who: Who imports, and will own the study.

        Raises:
            InvalidStudy: It is no archive, or not whole, or holds what no server has exported.
            Conflict: Another study has the name, or there is no room.
            TooManyCalls: Others are under way.
            StorageError: It cannot be kept.
        """
        if self._under_way >= MOST_AT_ONCE:
            raise TooManyCalls(
                f"{self._under_way} archives are being taken in.", RETRY_SECONDS, "Import it a little later."
            )
        self._under_way += 1
        try:
            files = Files(requests)
            first = await files.open()
            require_request_id(first)
            data = await files.whole(JOURNAL, LARGEST_ARCHIVE_BYTES)
            archive = await asyncio.to_thread(archives.read, data, first.name or None)
            del data
            name_subject(archive.name)
            term = self._driver.current()
            asked = _asked(first.request_id, archive, who)
            known = term.answers.find(asked)
            if known is not None:
                await term.settled()
                return study_pb2.ImportStudyResponse.FromString(known)
            return await self._take(term, archive, files, asked, who)
        finally:
            self._under_way -= 1

    async def _take(
        self, term: Term, archive: Archive, files: Files, asked: Asked, who: Identity
    ) -> study_pb2.ImportStudyResponse:
        placed = term.carry_out(PlaceArchive(project=who.project, user=who.user, archive=archive), who.user)
        assert isinstance(placed, Place)
        incoming = Incoming(self._driver, self._bundles, archive, placed)
        term.importing.add(placed.fence)
        try:
            await term.settled()
            await incoming.take(files)
            await self._bundles.require(archive.bundle)
            times = await self._driver.times()
        except BaseException:
            term.importing.discard(placed.fence)
            await incoming.remove()
            raise

        def answer(engine: Engine, result: Result) -> bytes:
            assert isinstance(result, Imported)
            view = study_views.study_view(engine, who.project, archive.name, time.monotonic())
            return study_pb2.ImportStudyResponse(
                study=rendered(view, times),
                outcome=enums.OUTCOMES[result.outcome],
                steps_brought=result.steps,
                checkpoints_brought=result.checkpoints,
            ).SerializeToString()

        command = ImportStudy(
            project=who.project, user=who.user, archive=archive, place=placed, saved=incoming.saved
        )
        # Once it is decided, the rows name the files, whether or not the caller still waits.
        committing = asyncio.create_task(term.change(command, who.user, asked, answer))
        committing.add_done_callback(lambda _: term.importing.discard(placed.fence))
        try:
            given = await asyncio.shield(committing)
        except HippoError:
            if not term.over:  # it was refused; else nobody knows yet what the rows say
                await incoming.remove()
            raise
        return study_pb2.ImportStudyResponse.FromString(given)


def _asked(request_id: str, archive: Archive, who: Identity) -> Asked:
    content = hashlib.sha256(f"{who.project}\0{who.user}\0{archive.name}\0{archive.digest}".encode())
    return Asked(request_id=request_id, method="ImportStudy", digest=content.hexdigest())


class Files:
    """The files of an archive, one after the other, as they come.

    Args:
        requests: The messages.
    """

    def __init__(self, requests: Requests) -> None:
        self._requests = aiter(requests)
        self._ahead: study_pb2.ImportStudyRequest | None = None
        self.name = ""
        self.size_bytes = 0

    async def open(self) -> study_pb2.ImportStudyRequest:
        """Begins the first file; returns its first message.

        Raises:
            InvalidStudy: There is none.
        """
        if not await self.next_file() or self._ahead is None:
            raise _refused("is empty")
        return self._ahead

    async def next_file(self) -> bool:
        """Goes on to the next file; tells whether there is one.

        Raises:
            InvalidStudy: It is none of an archive's.
        """
        self._ahead = await anext(self._requests, None)
        if self._ahead is None:
            return False
        self.name, self.size_bytes = self._ahead.file, self._ahead.size_bytes
        if not is_archive_file(self.name) or self.size_bytes < 0:
            raise _refused(f"has a file {self.name[:100]!r} of {self.size_bytes} bytes, which no archive has")
        return True

    async def pieces(self) -> AsyncIterator[bytes]:
        """The file's content."""
        left = self.size_bytes
        while True:
            assert self._ahead is not None
            left -= len(self._ahead.data)
            if left < 0:
                raise _refused(f"has more of {self.name} than it says")
            yield self._ahead.data
            if not left:
                return
            self._ahead = await anext(self._requests, None)
            if self._ahead is None or self._ahead.file or not self._ahead.data:
                raise _refused(f"is cut short in {self.name}")

    async def whole(self, name: str, most_bytes: int) -> bytes:
        """The content of a small file that is to come now."""
        if self.name != name:
            raise _refused(f"has {self.name} where {name} is to come")
        if self.size_bytes > most_bytes:
            raise _refused(f"has {self.size_bytes} bytes of {name}, and may have {most_bytes}")
        return b"".join([data async for data in self.pieces()])


class Incoming:
    """Code and checkpoints of an archive.

    Args:
        driver: Has the storage.
        bundles: Takes the code.
        archive: Says what they are.
        place: Where they belong.

    Attributes:
        saved: The checkpoints that have come, by the archive's node and step.
    """

    def __init__(self, driver: Driver, bundles: Bundles, archive: Archive, place: Place) -> None:
        self.saved: dict[tuple[int, int], SavedState] = {}
        self._storage = driver.storage
        self._bundles = bundles
        self._archive = archive
        self._place = place
        self._seen: set[tuple[int, int]] = set()

    async def take(self, files: Files) -> None:
        """Takes all of them in."""
        there = await files.next_file()
        while there:
            digest, state = bundle_digest(files.name), state_file(files.name)
            if digest is not None:
                await self._take_bundle(files, digest)
                there = await files.next_file()
            elif state is not None and state[2] == MANIFEST:
                there = await self._take_checkpoint(files, state[0], state[1])
            else:
                raise _refused(f"has {files.name} where no such file is to come")

    async def remove(self) -> None:
        """Removes the checkpoints again."""
        for node, step in self.saved:
            with contextlib.suppress(StorageError):
                await asyncio.to_thread(self._storage.remove, self._location(node, step))

    async def _take_bundle(self, files: Files, digest: str) -> None:
        if digest != self._archive.bundle:
            raise _refused("has other code than its study is trained with")
        if files.size_bytes > LARGEST_BUNDLE_BYTES:
            raise _refused(f"has {files.size_bytes} bytes of code, and may have {LARGEST_BUNDLE_BYTES}")

        async def requests() -> AsyncIterator[study_pb2.UploadBundleRequest]:
            async for data in files.pieces():
                yield study_pb2.UploadBundleRequest(digest=digest, data=data)

        await self._bundles.take(requests())

    async def _take_checkpoint(self, files: Files, node: int, step: int) -> bool:
        """Takes one checkpoint in, or passes over it; tells whether another file follows."""
        known = self._archive.checkpoints.get((node, step))
        if known is None or (node, step) in self._seen:
            raise _refused(f"has a state at step {step} of node {node} that its journal does not have")
        self._seen.add((node, step))
        data = await files.whole(files.name, MAX_MANIFEST_BYTES)
        there = CheckpointLocation(plan=self._archive.study.plan, node=node, step=step, fence=known.fence)
        try:
            manifest = decode(data, there, known.digest)
        except CheckpointCorrupt as error:
            raise _refused(f"has a checkpoint that is not what was saved: {error.message}") from error
        if manifest.size_bytes != known.size_bytes:
            raise _refused(f"has a state at step {step} of node {node} of another size than its journal says")
        wanted = (node, step) in self._place.nodes
        with self._bundles.room() as folder:
            left = dict(manifest.files)
            while left:
                if not await files.next_file():
                    raise _refused(f"is cut short in the state at step {step} of node {node}")
                found = state_file(files.name)
                entry = left.pop(found[2], None) if found is not None and found[:2] == (node, step) else None
                if found is None or entry is None or files.size_bytes != entry.size_bytes:
                    raise _refused(f"has {files.name} where a file of the state of node {node} is to come")
                await self._take_file(files, folder / found[2] if wanted else None, entry)
            if wanted:
                await self._publish(folder, manifest, node, step)
        return await files.next_file()

    async def _take_file(self, files: Files, path: Path | None, entry: FileEntry) -> None:
        """Writes a file, if there is a path for it, and checks it."""
        if path is None:
            async for _ in files.pieces():
                pass
            return
        with HashingWriter(path) as writer:
            async for data in files.pieces():
                await asyncio.to_thread(writer.write, data)
            if writer.entry != entry:
                raise _refused(f"has {files.name} with other bytes than were saved")

    async def _publish(self, folder: Path, manifest: Manifest, node: int, step: int) -> None:
        published = await asyncio.to_thread(
            self._storage.publish,
            folder,
            self._location(node, step),
            manifest.about,
            files=manifest.files,
            keep=True,
        )
        self.saved[node, step] = SavedState(size_bytes=published.size_bytes, digest=published.digest)

    def _location(self, node: int, step: int) -> CheckpointLocation:
        place = self._place
        return CheckpointLocation(plan=place.plan, node=place.nodes[node, step], step=step, fence=place.fence)


def _refused(what: str) -> InvalidStudy:
    return InvalidStudy("archive", what, "Export the study again.")
