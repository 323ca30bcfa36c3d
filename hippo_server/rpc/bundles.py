"""Bundles: taken from clients, checked against their digest, and kept in the storage."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import blake3

from hippo_core.errors import InvalidStudy
from hippo_server.rpc.checkpoints import in_thread
from hippo_storage.bundle import check
from hippo_storage.storage import Storage
from hippo_wire.streams import PIECE_BYTES
from hippo_wire.v1 import study_pb2

LARGEST_BUNDLE_BYTES = 100 << 20


class Bundles:
    """The server's door to the storage's bundles.

    Args:
        storage: Where they are kept.
        folder: Where those are gathered that are on their way.
    """

    def __init__(self, storage: Storage, folder: Path) -> None:
        self._storage = storage
        self._folder = folder
        self._checking = asyncio.Lock()  # one archive at a time is in memory
        if folder.exists():  # what a server that died left behind
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700, parents=True)

    async def has(self, digest: str) -> bool:
        """Whether there is a bundle of this digest."""
        return await asyncio.to_thread(self._storage.has_bundle, digest)

    async def require(self, digest: str) -> None:
        """Checks that a study's bundle is there.

        Raises:
            InvalidStudy: It is not.
        """
        if not digest or not await self.has(digest):
            raise InvalidStudy("bundle", f"'{digest}' is not on the server", "Upload it first.")

    async def take(self, requests: AsyncIterator[study_pb2.UploadBundleRequest]) -> int:
        """Takes a bundle in; returns its size in bytes.

        Raises:
            InvalidStudy: It is too large, its bytes are not those of the digest that was named first, or workers would
                refuse it.
            StorageError: It cannot be kept.
        """
        digest, size = "", 0
        hasher = blake3.blake3()
        with tempfile.NamedTemporaryFile(dir=self._folder) as file:
            async for request in requests:
                digest = digest or request.digest
                size += len(request.data)
                if size > LARGEST_BUNDLE_BYTES:
                    raise InvalidStudy(
                        "bundle",
                        f"is larger than {LARGEST_BUNDLE_BYTES >> 20} MiB",
                        "List data and results in .hippoignore; data belongs on the workers.",
                    )
                hasher.update(request.data)
                await asyncio.to_thread(file.write, request.data)
            if hasher.hexdigest() != digest:
                raise InvalidStudy(
                    "digest",
                    f"'{digest}' is not that of the {size} bytes that came",
                    "Send the bundle again.",
                )
            await asyncio.to_thread(file.flush)
            async with self._checking:
                await asyncio.to_thread(check, Path(file.name))
            await asyncio.to_thread(self._storage.put_bundle, digest, Path(file.name))
        return size

    async def give(self, digest: str) -> AsyncIterator[bytes]:
        """A bundle, verified, in pieces of at most 1 MiB.

        Raises:
            NotFound: There is none of this digest.
            StorageError: It cannot be read.
        """
        async with self.fetched(digest) as archive:
            async for piece in in_thread(read_pieces(archive)):
                yield piece

    @contextlib.asynccontextmanager
    async def fetched(self, digest: str) -> AsyncIterator[Path]:
        """A bundle, verified, as a file for a while; raises as ``give``."""
        with self.room() as folder:
            archive = folder / "archive"
            await asyncio.to_thread(self._storage.get_bundle, digest, archive)
            yield archive

    @contextlib.contextmanager
    def room(self) -> Iterator[Path]:
        """A folder for what is on its way, gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            yield Path(folder)


def read_pieces(path: Path) -> Iterator[bytes]:
    """A file in pieces of at most 1 MiB."""
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
