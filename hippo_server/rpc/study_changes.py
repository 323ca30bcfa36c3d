"""What clients change about whole studies and programs."""

from __future__ import annotations

import time

from hippo_core import endings
from hippo_core.endings import Terminator
from hippo_core.engine import study_views
from hippo_core.engine.changes import Edited, preview
from hippo_core.engine.commands import (
    DeleteStudy,
    EditStudy,
    ExtendStudy,
    ForgetProgram,
    PauseStudy,
    ResumeStudy,
    RetryTrials,
    StopStudy,
    SubmitStudy,
)
from hippo_core.engine.engine import Result
from hippo_core.engine.lookup import find_study
from hippo_core.engine.studies import Submitted, TrialsRetried
from hippo_core.study import StudySpec
from hippo_core.study_changes import extended
from hippo_server.driver import Driver
from hippo_server.rpc.bundles import Bundles
from hippo_server.rpc.changes import Changes
from hippo_server.rpc.gate import Context, caller
from hippo_server.rpc.rendering import rendered
from hippo_wire import enums
from hippo_wire.json_text import load_list, load_object
from hippo_wire.v1 import study_pb2


class StudyChanges:
    """Submits, pauses, resumes, stops, extends, edits, retries and deletes studies; forgets programs."""

    def __init__(self, driver: Driver, bundles: Bundles) -> None:
        self._driver = driver
        self._bundles = bundles
        self._changes = Changes(driver)

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

        return await self._changes.change(command, spec.name, request, study_pb2.SubmitStudyResponse, answer)

    async def PauseStudy(  # noqa: N802
        self, request: study_pb2.PauseStudyRequest, context: Context
    ) -> study_pb2.PauseStudyResponse:
        """Grants no further leases for the study."""
        command = PauseStudy(project=caller().project, name=request.name)
        return await self._changes.change_study(command, request, study_pb2.PauseStudyResponse)

    async def ResumeStudy(  # noqa: N802
        self, request: study_pb2.ResumeStudyRequest, context: Context
    ) -> study_pb2.ResumeStudyResponse:
        """Takes a paused study up again."""
        command = ResumeStudy(project=caller().project, name=request.name)
        return await self._changes.change_study(command, request, study_pb2.ResumeStudyResponse)

    async def StopStudy(  # noqa: N802
        self, request: study_pb2.StopStudyRequest, context: Context
    ) -> study_pb2.StopStudyResponse:
        """Ends the study."""
        command = StopStudy(project=caller().project, name=request.name)
        return await self._changes.change_study(command, request, study_pb2.StopStudyResponse)

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
        return await self._changes.change_study(command, request, study_pb2.ExtendStudyResponse)

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
            return await self._changes.change(
                command, request.name, request, study_pb2.EditStudyResponse, answer
            )
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

        return await self._changes.change(
            command, request.name, request, study_pb2.RetryTrialsResponse, answer
        )

    async def DeleteStudy(  # noqa: N802
        self, request: study_pb2.DeleteStudyRequest, context: Context
    ) -> study_pb2.DeleteStudyResponse:
        """Deletes a study that has ended or is paused."""
        return await self._changes.count(
            DeleteStudy(project=caller().project, name=request.name),
            request,
            study_pb2.DeleteStudyResponse,
            lambda count: study_pb2.DeleteStudyResponse(trial_count=count),
        )

    async def ForgetProgram(  # noqa: N802
        self, request: study_pb2.ForgetProgramRequest, context: Context
    ) -> study_pb2.ForgetProgramResponse:
        """Forgets a program whose studies have all ended."""
        return await self._changes.count(
            ForgetProgram(project=caller().project, key=request.key),
            request,
            study_pb2.ForgetProgramResponse,
            lambda count: study_pb2.ForgetProgramResponse(study_count=count),
        )
