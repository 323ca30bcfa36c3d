"""What clients ask about studies and trials."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message

from hippo_core import endings
from hippo_core.endings import Terminator
from hippo_core.engine import study_views, trial_views
from hippo_core.engine.changes import Edited, preview
from hippo_core.engine.commands import (
    Command,
    DeleteStudy,
    EditStudy,
    EnqueueTrial,
    ExtendStudy,
    ExtendTrial,
    ForgetProgram,
    ForkTrial,
    PauseStudy,
    ResumeStudy,
    RetryTrials,
    StopStudy,
    StopTrial,
    SubmitStudy,
)
from hippo_core.engine.engine import Engine, Result
from hippo_core.engine.explanation import TrialStory, explain
from hippo_core.engine.lookup import find_study
from hippo_core.engine.programs import program_views
from hippo_core.engine.studies import Submitted, TrialExtended, TrialsRetried
from hippo_core.engine.trial_paths import CheckpointRef
from hippo_core.probes import number_of
from hippo_core.study import StudySpec
from hippo_core.study_changes import extended
from hippo_server.answers import asked, require_request_id
from hippo_server.asks import Asks
from hippo_server.driver import Driver
from hippo_server.rpc.archives import export_archive
from hippo_server.rpc.asking import ask_points, list_results
from hippo_server.rpc.bundles import Bundles
from hippo_server.rpc.checkpoints import stream_checkpoint
from hippo_server.rpc.exports import export_study
from hippo_server.rpc.gate import Context, caller
from hippo_server.rpc.imports import Imports
from hippo_server.rpc.paging import page_position, page_size
from hippo_server.rpc.rendering import rendered
from hippo_server.rpc.watching import watch
from hippo_server.tree_reading import all_nodes
from hippo_server.user_logs import UserLogs
from hippo_wire import enums, render
from hippo_wire.convert import load_list, load_object
from hippo_wire.streams import PIECE_BYTES
from hippo_wire.v1 import study_pb2, study_pb2_grpc

Response = TypeVar("Response", bound=Message)
MOST_NAMED = 10  #: leases in a sentence


class StudyService(study_pb2_grpc.StudyServiceServicer):
    """Studies, trials, results, bundles and checkpoints, within the caller's project."""

    def __init__(self, driver: Driver, bundles: Bundles, logs: UserLogs) -> None:
        self._driver = driver
        self._bundles = bundles
        self._logs = logs
        self._asks = Asks()
        self._imports = Imports(driver, bundles)

    async def SubmitStudy(  # noqa: N802
        self, request: study_pb2.SubmitStudyRequest, context: Context
    ) -> study_pb2.SubmitStudyResponse:
        """Creates the study, finds the equal one of that name, or extends it."""
        spec = StudySpec.from_json(load_object(request.spec_json, "spec_json"))
        await self._bundles.require(spec.bundle)
        made_here = spec.sampler.learns and not spec.sampler.outside
        if made_here or spec.ending(Terminator) is not None:
            await self._driver.proposers.check(spec)
        command = SubmitStudy(project=caller().project, user=caller().user, spec=spec)

        def answer(result: Result, study: study_pb2.Study) -> study_pb2.SubmitStudyResponse:
            assert isinstance(result, Submitted)
            return study_pb2.SubmitStudyResponse(
                study=study, outcome=enums.OUTCOMES[result.outcome], warnings=result.warnings
            )

        return await self._change(command, spec.name, request, study_pb2.SubmitStudyResponse, answer)

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

    async def PauseStudy(  # noqa: N802
        self, request: study_pb2.PauseStudyRequest, context: Context
    ) -> study_pb2.PauseStudyResponse:
        """Grants no further leases for the study."""
        command = PauseStudy(project=caller().project, name=request.name)
        return await self._change_study(command, request, study_pb2.PauseStudyResponse)

    async def ResumeStudy(  # noqa: N802
        self, request: study_pb2.ResumeStudyRequest, context: Context
    ) -> study_pb2.ResumeStudyResponse:
        """Takes a paused study up again."""
        command = ResumeStudy(project=caller().project, name=request.name)
        return await self._change_study(command, request, study_pb2.ResumeStudyResponse)

    async def StopStudy(  # noqa: N802
        self, request: study_pb2.StopStudyRequest, context: Context
    ) -> study_pb2.StopStudyResponse:
        """Ends the study."""
        command = StopStudy(project=caller().project, name=request.name)
        return await self._change_study(command, request, study_pb2.StopStudyResponse)

    async def ExtendStudy(  # noqa: N802
        self, request: study_pb2.ExtendStudyRequest, context: Context
    ) -> study_pb2.ExtendStudyResponse:
        """Raises max_trials or max_steps, adds horizons, or changes endings or the priority."""
        changed = endings.from_json(
            load_list(request.endings_json, "endings_json") if request.endings_json else []
        )
        project = caller().project
        if any(isinstance(each, Terminator) for each in changed):
            spec = await self._driver.current().read(
                lambda engine: find_study(engine.state, project, request.name).spec
            )
            await self._driver.proposers.check(extended(spec, endings=changed))
        command = ExtendStudy(
            project=project,
            name=request.name,
            max_trials=request.max_trials if request.HasField("max_trials") else None,
            max_steps=request.max_steps if request.HasField("max_steps") else None,
            priority=request.priority if request.HasField("priority") else None,
            endings=changed,
            horizons=tuple(request.horizons),
        )
        return await self._change_study(command, request, study_pb2.ExtendStudyResponse)

    async def EditStudy(  # noqa: N802
        self, request: study_pb2.EditStudyRequest, context: Context
    ) -> study_pb2.EditStudyResponse:
        """Changes the space, the sampler, the policy or how the study is carried out, or says what would change."""
        spec = StudySpec.from_json(load_object(request.spec_json, "spec_json"))
        await self._bundles.require(spec.bundle)
        if spec.sampler.learns:
            await self._driver.proposers.check(spec)
        command = EditStudy(
            project=caller().project,
            name=request.name,
            spec=spec,
            changes=request.change_count if request.HasField("change_count") else None,
        )

        def answer(result: Result, study: study_pb2.Study) -> study_pb2.EditStudyResponse:
            assert isinstance(result, Edited)
            return study_pb2.EditStudyResponse(
                study=study, differences=result.differences, warnings=result.warnings
            )

        if not request.dry_run:
            return await self._change(command, request.name, request, study_pb2.EditStudyResponse, answer)
        found, view = await self._driver.current().read(
            lambda engine: (
                preview(engine.state, command),
                study_views.study_view(engine, command.project, request.name, time.monotonic()),
            )
        )
        return answer(found, rendered(view, await self._driver.times()))

    async def RetryTrials(  # noqa: N802
        self, request: study_pb2.RetryTrialsRequest, context: Context
    ) -> study_pb2.RetryTrialsResponse:
        """Opens failed trials again."""
        command = RetryTrials(
            project=caller().project,
            name=request.name,
            trial=request.trial if request.HasField("trial") else None,
        )

        def answer(result: Result, study: study_pb2.Study) -> study_pb2.RetryTrialsResponse:
            assert isinstance(result, TrialsRetried)
            return study_pb2.RetryTrialsResponse(
                study=study, trial_count=result.count, warnings=result.warnings
            )

        return await self._change(command, request.name, request, study_pb2.RetryTrialsResponse, answer)

    async def StopTrial(  # noqa: N802
        self, request: study_pb2.StopTrialRequest, context: Context
    ) -> study_pb2.StopTrialResponse:
        """Ends one trial."""
        command = StopTrial(project=caller().project, name=request.name, trial=request.trial)

        def answer(result: Result, trial: study_pb2.Trial) -> study_pb2.StopTrialResponse:
            return study_pb2.StopTrialResponse(trial=trial, stopped=result is True)

        return await self._change_trial(command, request.trial, request, study_pb2.StopTrialResponse, answer)

    async def ExtendTrial(  # noqa: N802
        self, request: study_pb2.ExtendTrialRequest, context: Context
    ) -> study_pb2.ExtendTrialResponse:
        """Trains one trial further."""
        command = ExtendTrial(project=caller().project, name=request.name, trial=request.trial, to=request.to)

        def answer(result: Result, trial: study_pb2.Trial) -> study_pb2.ExtendTrialResponse:
            assert isinstance(result, TrialExtended)
            return study_pb2.ExtendTrialResponse(
                trial=trial, extended=result.extended, warnings=result.warnings
            )

        return await self._change_trial(
            command, request.trial, request, study_pb2.ExtendTrialResponse, answer
        )

    async def ForkTrial(  # noqa: N802
        self, request: study_pb2.ForkTrialRequest, context: Context
    ) -> study_pb2.ForkTrialResponse:
        """Makes a trial that goes as another up to a step."""
        command = ForkTrial(
            project=caller().project,
            name=request.name,
            trial=request.trial,
            at=request.at,
            hyperparameters=load_object(request.hyperparameters_json, "hyperparameters_json"),
        )

        def answer(result: Result, trial: study_pb2.Trial) -> study_pb2.ForkTrialResponse:
            return study_pb2.ForkTrialResponse(trial=trial)

        return await self._change_trial(command, None, request, study_pb2.ForkTrialResponse, answer)

    async def EnqueueTrial(  # noqa: N802
        self, request: study_pb2.EnqueueTrialRequest, context: Context
    ) -> study_pb2.EnqueueTrialResponse:
        """Makes a trial of a point that the caller gives."""
        command = EnqueueTrial(
            project=caller().project,
            name=request.name,
            point=load_object(request.point_json, "point_json"),
            ask=request.ask,
        )

        def answer(result: Result, trial: study_pb2.Trial) -> study_pb2.EnqueueTrialResponse:
            self._asks.answered(request.ask)
            return study_pb2.EnqueueTrialResponse(trial=trial)

        return await self._change_trial(command, None, request, study_pb2.EnqueueTrialResponse, answer)

    async def AskPoints(  # noqa: N802
        self, request: study_pb2.AskPointsRequest, context: Context
    ) -> study_pb2.AskPointsResponse:
        """Waits until a study wants points from outside, and takes on to make some of them."""
        require_request_id(request)
        return await ask_points(self._driver, self._asks, caller().project, request)

    async def ListResults(  # noqa: N802
        self, request: study_pb2.ListResultsRequest, context: Context
    ) -> study_pb2.ListResultsResponse:
        """Lists the trials of which something new is known."""
        size = page_size(request.page_size, 1000, 10_000)
        return await list_results(self._driver, caller().project, request, size)

    async def DeleteStudy(  # noqa: N802
        self, request: study_pb2.DeleteStudyRequest, context: Context
    ) -> study_pb2.DeleteStudyResponse:
        """Deletes a study that has ended or is paused."""
        who = caller()

        def answer(engine: Engine, result: Result) -> bytes:
            assert isinstance(result, int)
            return study_pb2.DeleteStudyResponse(trial_count=result).SerializeToString()

        given = await self._driver.current().change(
            DeleteStudy(project=who.project, name=request.name),
            who.user,
            asked("DeleteStudy", request, who),
            answer,
        )
        return study_pb2.DeleteStudyResponse.FromString(given)

    async def ListPrograms(  # noqa: N802
        self, request: study_pb2.ListProgramsRequest, context: Context
    ) -> study_pb2.ListProgramsResponse:
        """Lists the programs that the project has studies of."""
        project = caller().project
        found = await self._driver.current().read(lambda engine: program_views(engine.state, project))
        return study_pb2.ListProgramsResponse(programs=[render.program(each) for each in found])

    async def ForgetProgram(  # noqa: N802
        self, request: study_pb2.ForgetProgramRequest, context: Context
    ) -> study_pb2.ForgetProgramResponse:
        """Forgets a program whose studies have all ended."""
        who = caller()

        def answer(engine: Engine, result: Result) -> bytes:
            assert isinstance(result, int)
            return study_pb2.ForgetProgramResponse(study_count=result).SerializeToString()

        given = await self._driver.current().change(
            ForgetProgram(project=who.project, key=request.key),
            who.user,
            asked("ForgetProgram", request, who),
            answer,
        )
        return study_pb2.ForgetProgramResponse.FromString(given)

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
                trial_views.trial_detail(engine, project, request.name, request.trial)
            )
        )

    async def ExplainTrial(  # noqa: N802
        self, request: study_pb2.ExplainTrialRequest, context: Context
    ) -> study_pb2.ExplainTrialResponse:
        """Tells what happened to a trial and why."""
        project, store = caller().project, self._driver.store
        path = await self._driver.current().read(
            lambda engine: trial_views.trial_path(engine, project, request.name, request.trial)
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

    async def ReadTrialLog(  # noqa: N802
        self, request: study_pb2.ReadTrialLogRequest, context: Context
    ) -> AsyncIterator[study_pb2.ReadTrialLogResponse]:
        """Reads what user code printed while the trial's path was trained."""
        project = caller().project
        nodes = await self._driver.current().read(
            lambda engine: trial_views.lease_parts(engine, project, request.name, request.trial)
        )
        async for node, fence, text in self._logs.read(nodes):
            yield study_pb2.ReadTrialLogResponse(node=node, fence=fence, text=text)
        if self._logs.others_led(self._driver.current().number):
            trained = await asyncio.to_thread(self._driver.store.trained_in, nodes)
            lacking = await self._logs.lacking((each.node, each.fence) for each in trained)
            if lacking:
                yield study_pb2.ReadTrialLogResponse(text=_kept_elsewhere(lacking))

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

    async def DownloadCheckpoint(  # noqa: N802
        self, request: study_pb2.DownloadCheckpointRequest, context: Context
    ) -> AsyncIterator[study_pb2.DownloadCheckpointResponse]:
        """Streams the files of a trial's checkpoint."""
        project, step = caller().project, request.step if request.HasField("step") else None

        def look(engine: Engine) -> tuple[CheckpointRef, str]:
            ref = trial_views.checkpoint_of(engine, project, request.name, request.trial, step)
            return ref, engine.state.nodes[ref.node].checkpoints[ref.step][ref.fence].digest

        found, digest = await self._driver.current().read(look)
        async for response in stream_checkpoint(self._driver, found, digest):
            yield response

    async def _change_trial(
        self,
        command: Command,
        number: int | None,
        request: Any,
        kind: type[Response],
        answer: Callable[[Result, study_pb2.Trial], Response],
    ) -> Response:
        """A change whose answer holds a trial as it is right after it; no number: the one that it comes to."""
        who = caller()

        def make(engine: Engine, result: Result) -> bytes:
            shown = result if number is None else number
            assert isinstance(shown, int)
            [view] = trial_views.trial_views(engine, who.project, request.name, shown, 1)
            return answer(result, render.trial(view)).SerializeToString()

        method = type(command).__name__
        given = await self._driver.current().change(command, who.user, asked(method, request, who), make)
        return kind.FromString(given)

    async def _change_study(self, command: Command, request: Any, kind: type[Response]) -> Response:
        """A change whose answer is the study."""
        make: Callable[..., Response] = kind
        return await self._change(command, request.name, request, kind, lambda _, study: make(study=study))

    async def _change(
        self,
        command: Command,
        name: str,
        request: Any,
        kind: type[Response],
        answer: Callable[[Result, study_pb2.Study], Response],
    ) -> Response:
        """A change whose answer holds the study as it is right after it."""
        who, times = caller(), await self._driver.times()

        def make(engine: Engine, result: Result) -> bytes:
            view = study_views.study_view(engine, who.project, name, time.monotonic())
            return answer(result, rendered(view, times)).SerializeToString()

        method = type(command).__name__
        given = await self._driver.current().change(command, who.user, asked(method, request, who), make)
        return kind.FromString(given)


def _kept_elsewhere(leases: Sequence[int]) -> str:
    """Where to look for what leases printed that had ended before this server took the lead."""
    named = ", ".join(map(str, leases[:MOST_NAMED])) + (", ..." if len(leases) > MOST_NAMED else "")
    return (
        f"[hippo] Nothing is kept here of what was printed, if anything, in lease {named}. If another server led"
        " then, it is in the home of that one, below logs/leases.\n"
    )
