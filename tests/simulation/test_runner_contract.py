"""What a worker may count on of a runner: one suite for processes and for what stands in for them in simulations."""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import random
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hippo_core.engine.engine import Engine
from hippo_worker.hosting.order import PathOrder, StartFrom
from hippo_worker.runner import messages
from hippo_worker.runner.settings import RunnerSettings
from hippo_worker.slots.spawner import Spawner
from hippo_worker.slots.variables import base_environment
from tests.simulation.stand_ins import stand_ins
from tests.simulation.training import Runner
from tests.simulation.virtual_time import CURRENT, Process, VirtualClock, VirtualLoop
from tests.unit.hosting.orders import make_order, setup_of

VALUES = [{"lr": 0.1 if step < 3 else 0.01, "batch_size": 32} for step in range(8)]
TRAINER = "exact_trainers:Dropout"
STAGES = [(1, 0, 3), (2, 3, 6)]


class Talk:
    """A runner, as a slot has it, and what it has said.

    Args:
        runner: The runner.
        folder: For its states.
    """

    def __init__(self, runner: Any, folder: Path) -> None:
        self.runner = runner
        self.folder = folder
        self.heard: list[messages.Message] = []
        self._messages = runner.messages()

    async def say(self, *said: messages.Message) -> None:
        await self.runner.send(*said)

    async def hear_until(self, kind: type[Any], count: int = 1) -> None:
        """Listens until it has said so many of a kind."""
        while sum(isinstance(each, kind) for each in self.heard) < count:
            self.heard.append(await anext(self._messages))

    async def hear_out(self) -> list[messages.Message]:
        """Listens to the end."""
        async for message in self._messages:
            self.heard.append(message)
        return self.heard

    async def train(self, *told: PathOrder | messages.Message) -> None:
        """Tells it orders, and what else there is to be said with them, at once."""
        logs = str(self.folder / "logs")
        await self.say(
            *(
                messages.Run(fence=each.fence, order_json=json.dumps(each.to_plain()), logs=logs)
                if isinstance(each, PathOrder)
                else each
                for each in told
            )
        )

    def order(self, stages: list[tuple[int, int, int]], **changes: Any) -> PathOrder:
        return make_order(self.folder, TRAINER, VALUES, stages, **changes)

    def of(self, kind: type[Any]) -> list[Any]:
        return [each for each in self.heard if isinstance(each, kind)]

    def covered(self) -> list[tuple[int, int, int]]:
        """The steps trained, neighbours joined."""
        joined: list[tuple[int, int, int]] = []
        for each in self.of(messages.Steps):
            if joined and joined[-1][0] == each.node and joined[-1][2] == each.start:
                joined[-1] = (each.node, joined[-1][1], each.stop)
            else:
                joined.append((each.node, each.start, each.stop))
        return joined

    def written(self) -> list[tuple[int, int]]:
        return [(each.node, each.step) for each in self.of(messages.Written)]


Scenario = Callable[[Talk], Coroutine[Any, Any, None]]


@pytest.fixture(params=["simulated", "real"])
def perform(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    """Carries a scenario out with a runner of each kind."""
    return _in_virtual_time if request.param == "simulated" else partial(_with_a_process, tmp_path)


def _in_virtual_time(scenario: Scenario) -> None:
    loop, chance = VirtualLoop(), random.Random(1)  # type: ignore[abstract]
    clock = VirtualClock(loop, 0.0)
    nobody: Any = None
    with stand_ins(clock, chance, nobody, nobody, Engine), tempfile.TemporaryDirectory() as folder:
        runner = Runner(loop, clock, Process("runner"), chance, 0.1, lambda: False)
        context = contextvars.Context()
        context.run(CURRENT.set, Process("daemon"))
        task = context.run(partial(loop.create_task, scenario(Talk(runner, Path(folder))), context=context))
        loop.run_until(600.0, task.done, 100_000)
        assert task.done(), "the scenario does not end"
        task.result()
        loop.close()
    assert not loop.errors


def _with_a_process(folder: Path, scenario: Scenario) -> None:
    async def run() -> None:
        spawner = Spawner(base_environment(os.environ, folder))
        try:
            inside = folder / "runner"
            inside.mkdir()
            settings = RunnerSettings(slot=0, device="cpu", threads=1, folder=inside)
            runner = await spawner.spawn(settings, {}, own_interpreter=False)
            await asyncio.wait_for(scenario(Talk(runner, folder)), 120.0)
            runner.close()
        finally:
            spawner.close()

    asyncio.run(run())


def test_a_path_is_told_in_order(perform: Callable[[Scenario], None]) -> None:
    """Begun; of each state its metrics, then the steps to it, then that it is written; the end, with what is held."""

    async def scenario(talk: Talk) -> None:
        await talk.train(talk.order(STAGES, save_points=[(1, 2)], checkpoint_every=4))
        await talk.hear_until(messages.Trained)
        await talk.hear_until(messages.Written, 3)
        await talk.say(messages.Quit())
        heard = await talk.hear_out()
        assert isinstance(heard[0], messages.Ready)
        assert isinstance(heard[1], messages.Begun)
        assert talk.covered() == [(1, 0, 3), (2, 3, 6)]
        assert talk.written() == [(1, 2), (2, 4), (2, 6)]
        evaluated = [(each.node, each.step) for each in talk.of(messages.Metrics) if each.evaluated]
        assert evaluated == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5), (2, 6)]
        assert talk.of(messages.Trained)[0].holds == [2, 6]
        for place, message in enumerate(heard):
            if isinstance(message, messages.Steps):
                told = {each.step for each in heard[:place] if isinstance(each, messages.Metrics)}
                assert set(range(message.start + 1, message.stop + 1)) <= told
            if isinstance(message, messages.Written):
                steps = [each.stop for each in heard[:place] if isinstance(each, messages.Steps)]
                assert max(steps) >= message.step
        assert await talk.runner.ended == 0

    perform(scenario)


def test_a_path_goes_on_from_memory_and_from_a_written_state_alike(
    perform: Callable[[Scenario], None],
) -> None:
    """1. A path is trained to step 5. 2. One goes on to step 6 from what is held. 3. Another goes there from the state
    that was written at step 3. 4. Their metrics are equal."""

    async def scenario(talk: Talk) -> None:
        await talk.train(talk.order([(1, 0, 5)], save_points=[(1, 3)]))
        await talk.hear_until(messages.Written, 2)
        folder = Path(talk.of(messages.Written)[0].folder)
        held = StartFrom(node=1, step=5, fence=1)
        await talk.train(talk.order([(1, 5, 6)], start=held))
        await talk.hear_until(messages.Trained, 2)
        loaded = StartFrom(node=1, step=3, fence=1, folder=folder)
        await talk.train(talk.order([(1, 3, 6)], start=loaded))
        await talk.hear_until(messages.Trained, 3)
        last = [each.metrics for each in talk.of(messages.Metrics) if each.evaluated and each.step == 6]
        assert len(last) == 2
        assert last[0] == last[1]
        talk.runner.kill()
        await talk.runner.ended

    perform(scenario)


def test_a_state_that_is_not_held_cannot_be_gone_on_from(perform: Callable[[Scenario], None]) -> None:
    async def scenario(talk: Talk) -> None:
        await talk.train(talk.order([(1, 5, 6)], start=StartFrom(node=1, step=5, fence=1)))
        await talk.hear_until(messages.Settled)
        (failed,) = talk.of(messages.Failed)
        assert (failed.failure, failed.node, failed.step) == ("infrastructure", 1, 5)
        assert talk.covered() == []
        talk.runner.kill()
        await talk.runner.ended

    perform(scenario)


def test_a_path_that_waits_answers_offers_and_keeps_them(perform: Callable[[Scenario], None]) -> None:
    """1. While a path trains, the next one is offered states. 2. It answers, and saves them when its turn has come."""

    async def scenario(talk: Talk) -> None:
        await talk.train(
            replace(talk.order(STAGES), fence=1),
            replace(talk.order(STAGES), fence=2),
            messages.Offer(fence=2, node=2, step=5, is_on_path=True),
            messages.Offer(fence=2, node=1, step=7, is_on_path=False),
        )
        await talk.hear_until(messages.Trained, 2)
        await talk.hear_until(messages.Written, 3)
        answers = [(each.fence, each.node, each.step, each.will) for each in talk.of(messages.Answered)]
        at_once = again_in_its_turn = [(2, 2, 5, True), (2, 1, 7, False)]
        assert answers == at_once + again_in_its_turn
        assert talk.written() == [(2, 6), (2, 5), (2, 6)]
        talk.runner.kill()
        await talk.runner.ended

    perform(scenario)


def test_a_path_that_is_stopped_before_its_turn_is_given_back(perform: Callable[[Scenario], None]) -> None:
    """1. While a path trains, the next one is told to end: nothing is trained of it. 2. The one after it is."""

    async def scenario(talk: Talk) -> None:
        await talk.train(
            replace(talk.order(STAGES), fence=1),
            replace(talk.order(STAGES), fence=2),
            messages.Stop(fence=2, save=True, reason="enough"),
            replace(talk.order([(1, 0, 2)]), fence=3),
        )
        await talk.hear_until(messages.Trained, 2)
        assert talk.of(messages.Returned) == [messages.Returned(fence=2)]
        assert [each.fence for each in talk.of(messages.Begun)] == [1, 3]
        assert [each.fence for each in talk.of(messages.Trained)] == [1, 3]
        talk.runner.kill()
        await talk.runner.ended

    perform(scenario)


def test_a_path_on_a_trainer_that_was_made_before_is_as_on_one_made_for_it(
    perform: Callable[[Scenario], None],
) -> None:
    """1. A trainer is made before any path is told. 2. Two paths start from step 0: the first uses it, the second has
    its own; both come to the same."""

    async def scenario(talk: Talk) -> None:
        order = talk.order(STAGES)
        await talk.say(messages.Prepare(order_json=json.dumps(setup_of(order).to_plain())))
        await talk.hear_until(messages.Prepared)
        assert talk.of(messages.Prepared) == [messages.Prepared(failure="")]
        await talk.train(order)
        await talk.hear_until(messages.Trained)
        await talk.train(replace(order, fence=order.fence + 1))
        await talk.hear_until(messages.Trained, 2)
        told = [(each.node, each.step, each.metrics) for each in talk.of(messages.Metrics) if each.evaluated]
        assert told[:6] == told[6:]
        assert [step for _, step, _ in told] == [1, 2, 3, 4, 5, 6] * 2
        talk.runner.kill()
        await talk.runner.ended

    perform(scenario)


def test_a_runner_that_is_killed_says_no_more_and_ends_by_the_signal(
    perform: Callable[[Scenario], None],
) -> None:
    async def scenario(talk: Talk) -> None:
        await talk.train(talk.order(STAGES))
        await talk.hear_until(messages.Begun)
        talk.runner.kill()
        await talk.hear_out()
        assert await talk.runner.ended == -9
        await talk.say(messages.Quit())  # who is dead hears nothing, and nobody minds

    perform(scenario)
