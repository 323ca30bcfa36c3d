"""What clients read of studies and programs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from hippo_core.engine import study_views
from hippo_core.engine.engine import Engine
from hippo_core.engine.programs import program_views
from hippo_server.driver import Driver
from hippo_server.rpc.exports import export_study
from hippo_server.rpc.gate import Context, caller
from hippo_server.rpc.paging import page_position, page_size
from hippo_server.rpc.rendering import rendered
from hippo_server.rpc.watching import watch
from hippo_server.tree_reading import all_nodes
from hippo_wire import render
from hippo_wire.streams import PIECE_BYTES
from hippo_wire.v1 import study_pb2


class StudyReading:
    """Reads, lists, watches and exports studies; lists programs."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def GetStudy(  # noqa: N802
        self, request: study_pb2.GetStudyRequest, context: Context
    ) -> study_pb2.GetStudyResponse:
        """Reads one study."""
        project = caller().project
        view = await self._driver.current().read(
            lambda engine: study_views.study_view(engine, project, request.name, time.monotonic())
        )
        return study_pb2.GetStudyResponse(study=rendered(view, await self._driver.times()))

    async def ListStudies(  # noqa: N802
        self, request: study_pb2.ListStudiesRequest, context: Context
    ) -> study_pb2.ListStudiesResponse:
        """Lists studies, newest first."""
        project, size = caller().project, page_size(request.page_size, 100, 1000)
        before = page_position(request.page_token)

        def look(engine: Engine) -> list[study_views.StudyView]:
            names = [
                study.name
                for study in sorted(engine.state.studies.values(), key=lambda study: -study.id)
                if study.project == project and (before is None or study.id < before)
            ]
            return [
                study_views.study_view(engine, project, name, time.monotonic()) for name in names[: size + 1]
            ]

        found, times = await self._driver.current().read(look), await self._driver.times()
        return study_pb2.ListStudiesResponse(
            studies=[rendered(view, times) for view in found[:size]],
            next_page_token=str(found[size - 1].id) if len(found) > size else "",
        )

    async def WatchStudy(  # noqa: N802
        self, request: study_pb2.WatchStudyRequest, context: Context
    ) -> AsyncIterator[study_pb2.WatchStudyResponse]:
        """Sends the study whenever it changed, until it has ended."""
        async for response in watch(self._driver, caller().project, request.name):
            yield response

    async def GetStageTree(  # noqa: N802
        self, request: study_pb2.GetStageTreeRequest, context: Context
    ) -> study_pb2.GetStageTreeResponse:
        """Reads the study's part of the search plan."""
        response = study_pb2.GetStageTreeResponse()
        async for nodes in all_nodes(self._driver, caller().project, request.name):
            response.nodes.extend(render.tree_node(node) for node in nodes)
        return response

    async def ExportStudy(  # noqa: N802
        self, request: study_pb2.ExportStudyRequest, context: Context
    ) -> AsyncIterator[study_pb2.ExportStudyResponse]:
        """Streams the study as a document of its own."""
        async for data in export_study(self._driver, caller().project, request.name):
            for start in range(0, len(data), PIECE_BYTES):
                yield study_pb2.ExportStudyResponse(data=data[start : start + PIECE_BYTES])

    async def ListPrograms(  # noqa: N802
        self, request: study_pb2.ListProgramsRequest, context: Context
    ) -> study_pb2.ListProgramsResponse:
        """Lists the programs that the project has studies of."""
        project = caller().project
        found = await self._driver.current().read(lambda engine: program_views(engine.state, project))
        return study_pb2.ListProgramsResponse(programs=[render.program(each) for each in found])
