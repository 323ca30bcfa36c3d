"""The trials of large studies come some at a time, each once those before are durable."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hippo_core.engine import creation
from hippo_core.engine.commands import Command, CreateProject, CreateTrials, PauseStudy, SubmitStudy
from hippo_core.engine.engine import Engine
from hippo_core.errors import Unavailable
from hippo_server.creating import create_what_is_known
from tests.unit.engine.test_cluster import spec

POINTS = 36


class Term:
    """An engine whose decisions are durable when the test says so."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.over = False
        self.creations = asyncio.Event()
        self.durable = asyncio.Semaphore(0)
        self.told: list[tuple[Command, str]] = []
        for command in (
            CreateProject(project="default"),
            SubmitStudy(project="default", user="ada", spec=spec("first")),
        ):
            self.engine.handle(command, 0.0)

    def carry_out(self, command: Command, actor: str) -> None:
        self.told.append((command, actor))
        self.engine.handle(command, 0.0)

    async def settled(self) -> None:
        await self.durable.acquire()
        if self.over:
            raise Unavailable("the term is over")


@pytest.fixture
def term(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(creation, "AT_ONCE", 10)
    return Term()


async def others_go_on() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_next_ones_come_when_those_before_are_durable_as_by_who_submitted_them(term: Any) -> None:
    creating = asyncio.create_task(create_what_is_known(term))
    for drawn in (10, 20, 30):
        await others_go_on()
        assert term.told[-1] == (CreateTrials(study=1, drawn=drawn), "ada")
        term.durable.release()
    await others_go_on()
    assert len(term.engine.state.studies[1].trials) == POINTS
    assert len(term.told) == 3
    assert not creating.done()
    creating.cancel()


async def test_a_study_that_comes_meanwhile_is_not_kept_waiting_by_a_larger_one(term: Any) -> None:
    creating = asyncio.create_task(create_what_is_known(term))
    await others_go_on()
    term.engine.handle(SubmitStudy(project="default", user="bo", spec=spec("second")), 0.0)
    for _ in range(2):
        term.durable.release()
        await others_go_on()
    assert [(each.study, actor) for each, actor in term.told] == [(1, "ada"), (2, "bo"), (1, "ada")]
    creating.cancel()


async def test_what_is_paused_meanwhile_gets_none_until_something_is_heard_of_it(term: Any) -> None:
    creating = asyncio.create_task(create_what_is_known(term))
    await others_go_on()
    term.engine.handle(PauseStudy(project="default", name="first"), 0.0)
    term.durable.release()
    await others_go_on()
    assert len(term.told) == 1
    creating.cancel()


async def test_it_ends_with_its_term(term: Any) -> None:
    creating = asyncio.create_task(create_what_is_known(term))
    await others_go_on()
    term.over = True
    term.durable.release()
    await asyncio.wait_for(creating, 5.0)
