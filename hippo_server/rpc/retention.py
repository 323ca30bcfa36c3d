"""What clients ask about the checkpoints that are kept."""

from __future__ import annotations

from hippo_core.engine import checkpoint_views as views
from hippo_core.engine.checkpoint_views import CollectedView
from hippo_core.engine.commands import CollectCheckpoints, PinCheckpoint, UnpinCheckpoints
from hippo_core.engine.engine import Engine, Result
from hippo_core.engine.lookup import find_study
from hippo_core.engine.pins import chosen_trial
from hippo_core.engine.trial_paths import CheckpointRef
from hippo_core.errors import InvalidStudy
from hippo_server.answers import asked
from hippo_server.driver import Driver
from hippo_server.rpc.gate import Context, caller
from hippo_server.rpc.paging import page_position, page_size
from hippo_wire import render
from hippo_wire.v1 import checkpoint_pb2, checkpoint_pb2_grpc

#: So many of what is collected are told one by one.
MOST_COLLECTED = 1000


class CheckpointService(checkpoint_pb2_grpc.CheckpointServiceServicer):
    """Checkpoints of studies: which are kept and why, which stay, which go; within the caller's project.

    Args:
        driver: Decides.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def ListCheckpoints(  # noqa: N802
        self, request: checkpoint_pb2.ListCheckpointsRequest, context: Context
    ) -> checkpoint_pb2.ListCheckpointsResponse:
        """Lists the checkpoints on the paths of a study's trials."""
        project, size = caller().project, page_size(request.page_size, 1000, 10_000)
        first = page_position(request.page_token) or 0
        found = await self._driver.current().read(
            lambda engine: views.kept_checkpoints(engine, project, request.name)
        )
        more = len(found.checkpoints) > first + size
        return checkpoint_pb2.ListCheckpointsResponse(
            checkpoints=[render.kept_checkpoint(each) for each in found.checkpoints[first : first + size]],
            study=render.checkpoint_budget(found.study),
            storage=render.checkpoint_budget(found.storage),
            next_page_token=str(first + size) if more else "",
        )

    async def PinCheckpoint(  # noqa: N802
        self, request: checkpoint_pb2.PinCheckpointRequest, context: Context
    ) -> checkpoint_pb2.PinCheckpointResponse:
        """Keeps a checkpoint of a trial, whatever the budgets say."""
        who = caller()
        command = PinCheckpoint(
            project=who.project,
            name=request.name,
            trial=request.trial if request.HasField("trial") else None,
            step=request.step if request.HasField("step") else None,
        )

        def answer(engine: Engine, result: Result) -> bytes:
            assert isinstance(result, CheckpointRef)
            trial = chosen_trial(find_study(engine.state, who.project, request.name), command.trial)
            return checkpoint_pb2.PinCheckpointResponse(
                trial=trial.number, step=result.step, size_bytes=result.size_bytes
            ).SerializeToString()

        given = await self._driver.current().change(
            command, who.user, asked("PinCheckpoint", request, who), answer
        )
        return checkpoint_pb2.PinCheckpointResponse.FromString(given)

    async def UnpinCheckpoints(  # noqa: N802
        self, request: checkpoint_pb2.UnpinCheckpointsRequest, context: Context
    ) -> checkpoint_pb2.UnpinCheckpointsResponse:
        """Lets pins of a study go."""
        who = caller()
        command = UnpinCheckpoints(
            project=who.project,
            name=request.name,
            trial=request.trial if request.HasField("trial") else None,
            step=request.step if request.HasField("step") else None,
        )

        def answer(engine: Engine, result: Result) -> bytes:
            assert isinstance(result, int)
            return checkpoint_pb2.UnpinCheckpointsResponse(pin_count=result).SerializeToString()

        given = await self._driver.current().change(
            command, who.user, asked("UnpinCheckpoints", request, who), answer
        )
        return checkpoint_pb2.UnpinCheckpointsResponse.FromString(given)

    async def CollectCheckpoints(  # noqa: N802
        self, request: checkpoint_pb2.CollectCheckpointsRequest, context: Context
    ) -> checkpoint_pb2.CollectCheckpointsResponse:
        """Lets checkpoints go that nothing waits for, or tells which would go."""
        who = caller()
        to_bytes = request.to_bytes if request.HasField("to_bytes") else None
        if to_bytes is not None and to_bytes < 0:
            raise InvalidStudy("to_bytes", f"must be at least 0, not {to_bytes}")
        command = CollectCheckpoints(project=who.project, name=request.name or None, to_bytes=to_bytes)
        if request.dry_run:
            found = await self._driver.current().read(lambda engine: views.collected(engine.state, command))
            return _collected(found)

        def answer(engine: Engine, result: Result) -> bytes:
            assert isinstance(result, tuple)
            return _collected(views.collected_view(engine.state, command, result)).SerializeToString()

        given = await self._driver.current().change(
            command, who.user, asked("CollectCheckpoints", request, who), answer
        )
        return checkpoint_pb2.CollectCheckpointsResponse.FromString(given)


def _collected(view: CollectedView) -> checkpoint_pb2.CollectCheckpointsResponse:
    return checkpoint_pb2.CollectCheckpointsResponse(
        checkpoints=[render.kept_checkpoint(each) for each in view.checkpoints[:MOST_COLLECTED]],
        checkpoint_count=len(view.checkpoints),
        size_bytes=view.size_bytes,
    )
