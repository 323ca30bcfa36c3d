"""What clients change about single trials, and the points and results of optimisers outside."""

from __future__ import annotations

from hippo_core.engine.commands import (
    EnqueueTrial,
    ExtendTrial,
    ForkTrial,
    StopTrial,
)
from hippo_core.engine.engine import Result
from hippo_core.engine.studies import TrialExtended
from hippo_server.answers import require_request_id
from hippo_server.asks import Asks
from hippo_server.driver import Driver
from hippo_server.rpc.asking import ask_points, list_results
from hippo_server.rpc.changes import Changes
from hippo_server.rpc.gate import Context, caller
from hippo_server.rpc.paging import page_size
from hippo_wire.json_text import load_object
from hippo_wire.v1 import study_pb2


class TrialChanges:
    """Stops, extends, forks and enqueues trials; asks for points, and tells results, of optimisers outside."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._changes = Changes(driver)
        self._asks = Asks()

    async def StopTrial(  # noqa: N802
        self, request: study_pb2.StopTrialRequest, context: Context
    ) -> study_pb2.StopTrialResponse:
        """Ends one trial."""
        command = StopTrial(project=caller().project, name=request.name, trial=request.trial)

        def answer(result: Result, trial: study_pb2.Trial) -> study_pb2.StopTrialResponse:
            return study_pb2.StopTrialResponse(trial=trial, stopped=result is True)

        return await self._changes.change_trial(
            command, request.trial, request, study_pb2.StopTrialResponse, answer
        )

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

        return await self._changes.change_trial(
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

        return await self._changes.change_trial(command, None, request, study_pb2.ForkTrialResponse, answer)

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

        return await self._changes.change_trial(
            command, None, request, study_pb2.EnqueueTrialResponse, answer
        )

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
