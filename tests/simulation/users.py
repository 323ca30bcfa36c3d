"""Users: they submit studies and change them all the time, and send again what was not answered, under the same id."""

from __future__ import annotations

import asyncio
import contextvars
import json
import random
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from hippo_core import policies, samplers, schedules, space
from hippo_core.errors import Conflict, HippoError, Unavailable
from hippo_core.objective import Objective
from hippo_core.program import Program
from hippo_core.study import StudySpec
from hippo_server.auth.roles import Role
from hippo_wire.json_text import dump
from hippo_wire.v1 import study_pb2
from tests.simulation.network import Network, SimulatedConnection
from tests.simulation.virtual_time import CURRENT, Process, VirtualLoop

STATE_BYTES = 45  #: of a state of the simulated trainer
RATES = [
    0.1,
    schedules.piecewise([0.1, 0.01], [2]),
    schedules.piecewise([0.1, 0.03], [3]),
    schedules.piecewise([0.1, 0.03, 0.001], [3, 5]),
    schedules.cosine(0.1, 0.0, 4),
]
MOMENTA = [0.9, schedules.piecewise([0.9, 0.95], [3])]
FORKING = {
    "lr": schedules.piecewise([space.loguniform(1e-3, 1.0), space.loguniform(1e-3, 1.0)], [2]),
    "m": 0.9,
}


def make_spec(chance: random.Random, name: str, bundle: str) -> StudySpec:
    """Some small study: its policy may or may not depend on the order in which things arrive."""
    kind = chance.choice(["full", "full", "sha", "asha", "pbt", "fork_asha"])
    evaluate_every = chance.choice([1, 1, 2])
    max_steps = evaluate_every * chance.choice([2, 3]) + 2
    policy = {
        "full": policies.full(),
        "sha": policies.sha(min_steps=evaluate_every, reduction_factor=2),
        "asha": policies.asha(min_steps=evaluate_every, reduction_factor=2),
        "pbt": policies.pbt(2, 0.5),
        "fork_asha": policies.fork_asha(evaluate_every, 2),
    }[kind]
    if kind in {"pbt", "fork_asha"}:
        searched = space.Space(
            FORKING if kind == "fork_asha" else {"lr": space.loguniform(1e-3, 1.0), "m": 0.9}
        )
        sampler: Any = samplers.fork_asha() if kind == "fork_asha" else samplers.random()
        trials = chance.choice([3, 4, 5])
    else:
        rates = chance.sample(RATES, chance.choice([2, 3]))
        searched = space.Space(
            {"lr": space.choice(rates), "m": space.choice(MOMENTA[: chance.choice([1, 2])])}
        )
        sampler = samplers.grid()
        trials = sampler.count(searched)
    return StudySpec(
        name=name,
        space=searched,
        objectives=(Objective(metric="accuracy", maximize=True),),
        max_trials=trials,
        max_steps=max_steps,
        sampler=sampler,
        policy=policy,
        program=Program(
            trainer="t:T",
            code_digest="c",
            seed=chance.choice([0, 0, 7]),
            evaluate_every=evaluate_every,
            kinds=searched.kinds,
        ),
        checkpoint_every=chance.choice([None, 1, 2]),
        checkpoint_budget=chance.choice([None, STATE_BYTES, 2 * STATE_BYTES]),
        bundle=bundle,
    )


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A change that a user was told has happened."""

    method: str
    request: Any
    response: Any


class Users:
    """All users, in one process that never fails.

    Args:
        loop: In whose time.
        network: Carries what they ask.
        chance: Decides what they do.
        bundle: Their code.
        servers: Whom they call.
        report: Told what must not be.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        network: Network,
        chance: random.Random,
        bundle: str,
        servers: str,
        report: Callable[[str], None],
    ) -> None:
        self.process = Process("user")
        self.acknowledged: list[Acknowledged] = []
        self.asked: list[Any] = []
        self.open = 0
        self.studies: list[StudySpec] = []
        self._loop = loop
        self._chance = chance
        self._bundle = bundle
        self._report = report
        self._context = contextvars.Context()
        self._context.run(CURRENT.set, self.process)
        self._connection = self._context.run(SimulatedConnection, network, "user", Role.EDITOR, servers)

    def act(self) -> None:
        """A user does something."""
        self._begin(self._act())

    def _begin(self, doing: Coroutine[Any, Any, None]) -> None:
        async def do() -> None:
            self.open += 1
            await doing
            self.open -= 1

        context = self._context.copy()
        context.run(partial(self._loop.create_task, do(), context=context))

    def submit(self) -> None:
        """A user submits another study."""
        spec = make_spec(self._chance, f"s{len(self.studies)}", self._bundle)
        self.studies.append(spec)
        request = study_pb2.SubmitStudyRequest(spec_json=dump(spec.to_json()))
        self._begin(self._insist("SubmitStudy", request))

    async def _act(self) -> None:
        chance = self._chance
        if not self.studies:
            return
        spec = chance.choice(self.studies)
        name, trial, last = spec.name, chance.randrange(spec.max_trials), spec.max_steps
        assert isinstance(last, int)
        match chance.choice(["extend", "extend", "stop", "pause", "stop trial", "extend trial", "fork"]):
            case "extend":
                steps = last + 2 * chance.choice([1, 2])
                request: Any = study_pb2.ExtendStudyRequest(name=name, max_steps=steps)
                await self._insist("ExtendStudy", request)
            case "stop":
                if chance.random() < 0.4:
                    await self._insist("StopStudy", study_pb2.StopStudyRequest(name=name))
            case "pause":
                await self._insist("PauseStudy", study_pb2.PauseStudyRequest(name=name))
                await asyncio.sleep(chance.uniform(0.0, 3.0))
                await self._insist("ResumeStudy", study_pb2.ResumeStudyRequest(name=name))
            case "stop trial":
                await self._insist("StopTrial", study_pb2.StopTrialRequest(name=name, trial=trial))
            case "extend trial":
                to = last + 2
                await self._insist("ExtendTrial", study_pb2.ExtendTrialRequest(name=name, trial=trial, to=to))
            case "fork":
                at = chance.randrange(1, last)
                values = json.dumps({"m": chance.choice([0.8, 0.99])})
                request = study_pb2.ForkTrialRequest(
                    name=name, trial=trial, at=at, hyperparameters_json=values
                )
                await self._insist("ForkTrial", request)

    async def _insist(self, method: str, request: Any) -> None:
        """Asks until there is an answer, and now and then asks once more."""
        request.request_id = uuid.uuid4().hex
        self.asked.append(request)
        response = await self._answer(method, request)
        if response is None:
            return
        self.acknowledged.append(Acknowledged(method, request, response))
        if self._chance.random() < 0.3:
            await asyncio.sleep(self._chance.uniform(0.0, 5.0))
            again = await self._answer(method, request)
            if again != response:
                self._report(f"I1: {method} {request.request_id} was answered {response!r}, then {again!r}")
        if self._chance.random() < 0.1:
            await self._misuse(method, request)

    async def _misuse(self, method: str, request: Any) -> None:
        """The id is used for something else, which is refused."""
        other = type(request).FromString(request.SerializeToString())
        if method == "SubmitStudy":
            other.spec_json = other.spec_json.replace('"priority":0', '"priority":1')
        else:
            other.name = "another"
        if other == request:
            return
        try:
            await self._insisted(method, other)
        except Conflict:
            return
        except HippoError as error:
            self._report(f"I1: {method} under a used id was refused with {error!r}")
            return
        self._report(f"I1: {method} under a used id was answered")

    async def _answer(self, method: str, request: Any) -> Any:
        try:
            return await self._insisted(method, request)
        except HippoError:
            return None  # refused: the study has ended, or does not exist yet

    async def _insisted(self, method: str, request: Any) -> Any:
        while True:
            try:
                return await self._connection.call(getattr(self._connection.studies, method), request)
            except Unavailable:
                await asyncio.sleep(self._chance.uniform(0.1, 1.0))
