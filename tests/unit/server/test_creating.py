"""The trials of large studies come some at a time, each once those before are durable."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hippo_core.engine import growing
from hippo_core.engine.commands import Command, CreateProject, CreateTrials, SubmitStudy
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
    monkeypatch.setattr(growing, "AT_ONCE", 10)
    return Term()


async def others_go_on() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_next_ones_come_when_those_before_are_durable(term: Any) -> None:
    creating = asyncio.create_task(create_what_is_known(term))
    for drawn in (10, 20, 30):
        await others_go_on()
        assert term.told[-1] == (CreateTrials(study=1, drawn=drawn), "server")
        term.durable.release()
    await others_go_on()
    assert len(term.engine.state.studies[1].trials) == POINTS
    assert len(term.told) == 3
    assert not creating.done()
    creating.cancel()


async def test_of_two_studies_the_one_that_lacks_fewer_comes_first_and_one_that_comes_later_wakes_it(
    term: Any,
) -> None:
    """1. The first has 16 to come, and gets 10. 2. A second with 26 to come waits for it. 3. Both are done. 4. A third
    comes, and is heard of."""
    creating = asyncio.create_task(create_what_is_known(term))
    term.durable.release()
    await others_go_on()
    term.engine.handle(SubmitStudy(project="default", user="bo", spec=spec("second")), 0.0)
    for _ in range(5):
        term.durable.release()
        await others_go_on()
    assert [each.study for each, _ in term.told] == [1, 1, 1, 2, 2, 2]
    term.engine.handle(SubmitStudy(project="default", user="bo", spec=spec("third")), 0.0)
    await others_go_on()
    assert len(term.told) == 6
    term.creations.set()
    await others_go_on()
    assert term.told[-1][0] == CreateTrials(study=3, drawn=10)
    creating.cancel()


@pytest.mark.parametrize("waits_for", ["a commit", "something to do"])
async def test_it_ends_with_its_term(term: Any, waits_for: str) -> None:
    creating = asyncio.create_task(create_what_is_known(term))
    if waits_for == "something to do":
        for _ in range(3):
            term.durable.release()
            await others_go_on()
    await others_go_on()
    term.over = True
    term.durable.release()
    term.creations.set()
    await asyncio.wait_for(creating, 60.0)
