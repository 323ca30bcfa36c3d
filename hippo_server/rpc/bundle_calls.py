"""Bundles and archives, as clients send and fetch them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from hippo_server.driver import Driver
from hippo_server.rpc.archives import export_archive
from hippo_server.rpc.bundles import Bundles
from hippo_server.rpc.gate import Context, caller
from hippo_server.rpc.imports import Imports
from hippo_wire.v1 import study_pb2


class BundleCalls:
    """Takes and gives bundles and archives of studies."""

    def __init__(self, driver: Driver, bundles: Bundles) -> None:
        self._driver = driver
        self._bundles = bundles
        self._imports = Imports(driver, bundles)

    async def ExportArchive(  # noqa: N802
        self, request: study_pb2.ExportArchiveRequest, context: Context
    ) -> AsyncIterator[study_pb2.ExportArchiveResponse]:
        """Streams the study as an archive for another server."""
        project = caller().project
        async for response in export_archive(
            self._driver, self._bundles, project, request.name, checkpoints=request.checkpoints
        ):
            yield response

    async def ImportStudy(  # noqa: N802
        self, request_iterator: AsyncIterator[study_pb2.ImportStudyRequest], context: Context
    ) -> study_pb2.ImportStudyResponse:
        """Takes the study of an archive in."""
        return await self._imports.take(request_iterator, caller())

    async def FindBundle(  # noqa: N802
        self, request: study_pb2.FindBundleRequest, context: Context
    ) -> study_pb2.FindBundleResponse:
        """Says whether the server has a bundle."""
        return study_pb2.FindBundleResponse(found=await self._bundles.has(request.digest))

    async def UploadBundle(  # noqa: N802
        self, request_iterator: AsyncIterator[study_pb2.UploadBundleRequest], context: Context
    ) -> study_pb2.UploadBundleResponse:
        """Takes a bundle."""
        return study_pb2.UploadBundleResponse(size_bytes=await self._bundles.take(request_iterator))

    async def DownloadBundle(  # noqa: N802
        self, request: study_pb2.DownloadBundleRequest, context: Context
    ) -> AsyncIterator[study_pb2.DownloadBundleResponse]:
        """Streams a bundle."""
        async for data in self._bundles.give(request.digest):
            yield study_pb2.DownloadBundleResponse(data=data)
