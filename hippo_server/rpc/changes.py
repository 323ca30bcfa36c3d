"""Changes that clients ask for: made once however often they arrive, answered by what there is right after them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import Message

from hippo_core.engine import study_views, trial_views
from hippo_core.engine.commands import (
    Command,
)
from hippo_core.engine.engine import Engine, Result
from hippo_server.answers import asked
from hippo_server.driver import Driver
from hippo_server.rpc.gate import caller
from hippo_server.rpc.rendering import rendered
from hippo_wire import render
from hippo_wire.v1 import study_pb2

Response = TypeVar("Response", bound=Message)


class Changes:
    """Makes changes within the caller's project.

    Args:
        driver: What makes them.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def change_study(self, command: Command, request: Any, kind: type[Response]) -> Response:
        """A change whose answer is the study."""
        make: Callable[..., Response] = kind
        return await self.change(command, request.name, request, kind, lambda _, study: make(study=study))

    async def change(
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

    async def change_trial(
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

    async def count(
        self, command: Command, request: Any, kind: type[Response], make: Callable[[int], Response]
    ) -> Response:
        """A change whose answer is how many things it concerned."""
        who = caller()

        def answer(engine: Engine, result: Result) -> bytes:
            assert isinstance(result, int)
            return make(result).SerializeToString()

        method = type(command).__name__
        given = await self._driver.current().change(command, who.user, asked(method, request, who), answer)
        return kind.FromString(given)
