"""What clients read of trials: histories, stories, logs, checkpoints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from hippo_core.engine import trial_detail, trial_views
from hippo_core.engine.engine import Engine
from hippo_core.engine.explanation import TrialStory, explain
from hippo_core.engine.trial_paths import CheckpointRef
from hippo_core.probes import number_of
from hippo_server.driver import Driver
from hippo_server.rpc.checkpoints import stream_checkpoint
from hippo_server.rpc.gate import Context, caller
from hippo_server.rpc.paging import page_position, page_size
from hippo_server.user_logs import UserLogs
from hippo_wire import render
from hippo_wire.v1 import study_pb2

MOST_NAMED = 10
"""Leases in a sentence."""


class TrialReading:
    """Lists, reads and explains trials; reads their logs and checkpoints."""

    def __init__(self, driver: Driver, logs: UserLogs) -> None:
        self._driver = driver
        self._logs = logs

    async def ListTrials(  # noqa: N802
        self, request: study_pb2.ListTrialsRequest, context: Context
    ) -> study_pb2.ListTrialsResponse:
        """Lists the trials of a study by number."""
        project, size = caller().project, page_size(request.page_size, 1000, 10_000)
        first = page_position(request.page_token) or 0
        found = await self._driver.current().read(
            lambda engine: trial_views.trial_views(engine, project, request.name, first, size + 1)
        )
        return study_pb2.ListTrialsResponse(
            trials=[render.trial(view) for view in found[:size]],
            next_page_token=str(found[size].number) if len(found) > size else "",
        )

    async def GetTrial(  # noqa: N802
        self, request: study_pb2.GetTrialRequest, context: Context
    ) -> study_pb2.GetTrialResponse:
        """Reads one trial with its history."""
        project = caller().project
        return await self._driver.current().read(
            lambda engine: render.trial_detail(
                trial_detail.trial_detail(engine, project, request.name, request.trial)
            )
        )

    async def ExplainTrial(  # noqa: N802
        self, request: study_pb2.ExplainTrialRequest, context: Context
    ) -> study_pb2.ExplainTrialResponse:
        """Tells what happened to a trial and why."""
        project, store = caller().project, self._driver.store
        path = await self._driver.current().read(
            lambda engine: trial_detail.trial_path(engine, project, request.name, request.trial)
        )
        nodes = [stretch.node for stretch in path.path]
        told = await asyncio.to_thread(store.trial_events, path.study, request.trial, nodes, path.ancestors)
        trained = await asyncio.to_thread(store.trained_in, nodes)
        numbers = [number_of(request.trial, probe.probe) for probe in path.probes]
        probed = await asyncio.to_thread(store.probe_events, path.study, numbers) if numbers else []
        story = TrialStory(
            study=path.study,
            trial=request.trial,
            spec=path.spec,
            names=path.names,
            path=path.path,
            told=told,
            trained=trained,
            measured=path.measured,
            probes=path.probes,
            probed=probed,
        )
        return study_pb2.ExplainTrialResponse(
            trial=render.trial(path.trial), events=[render.trial_event(each) for each in explain(story)]
        )

    async def ReadTrialLog(  # noqa: N802
        self, request: study_pb2.ReadTrialLogRequest, context: Context
    ) -> AsyncIterator[study_pb2.ReadTrialLogResponse]:
        """Reads what user code printed while the trial's path was trained."""
        project = caller().project
        nodes = await self._driver.current().read(
            lambda engine: trial_detail.lease_parts(engine, project, request.name, request.trial)
        )
        async for node, fence, text in self._logs.read(nodes):
            yield study_pb2.ReadTrialLogResponse(node=node, fence=fence, text=text)
        if self._logs.others_led(self._driver.current().number):
            trained = await asyncio.to_thread(self._driver.store.trained_in, nodes)
            lacking = await self._logs.lacking((each.node, each.fence) for each in trained)
            if lacking:
                yield study_pb2.ReadTrialLogResponse(text=_kept_elsewhere(lacking))

    async def DownloadCheckpoint(  # noqa: N802
        self, request: study_pb2.DownloadCheckpointRequest, context: Context
    ) -> AsyncIterator[study_pb2.DownloadCheckpointResponse]:
        """Streams the files of a trial's checkpoint."""
        project, step = caller().project, request.step if request.HasField("step") else None

        def look(engine: Engine) -> tuple[CheckpointRef, str]:
            ref = trial_detail.checkpoint_of(engine, project, request.name, request.trial, step)
            return ref, engine.state.nodes[ref.node].checkpoints[ref.step][ref.fence].digest

        found, digest = await self._driver.current().read(look)
        async for response in stream_checkpoint(self._driver, found, digest):
            yield response


def _kept_elsewhere(leases: Sequence[int]) -> str:
    """Where to look for what leases printed that had ended before this server took the lead."""
    named = ", ".join(map(str, leases[:MOST_NAMED])) + (", ..." if len(leases) > MOST_NAMED else "")
    return (
        f"[hippo] Nothing is kept here of what was printed, if anything, in lease {named}. If another server led"
        " then, it is in the home of that one, below logs/leases.\n"
    )
