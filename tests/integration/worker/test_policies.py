"""Processes of users' own policies on a worker: told, asked, lost, and what is said of those that fail."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import pytest_asyncio

from hippo_core.engine.consultations import PolicyQuestion
from hippo_core.own_policy import PolicyContext
from hippo_core.policies import Extend, OwnSpec
from hippo_core.policies.hosting import Round
from hippo_wire.policies import question_to_proto, verdicts_from_json
from hippo_wire.v1 import worker_pb2
from hippo_worker.policies import hosts as hosts_module
from hippo_worker.policies.hosts import PolicyHosts
from hippo_worker.slots.spawner import Spawner
from hippo_worker.slots.variables import base_environment
from tests.integration.worker.conftest import SECRET, write_secrets
from tests.processes import family
from tests.waiting import until_in_loop as until

pytestmark = pytest.mark.asyncio(loop_scope="module")
BEGIN = Round(calls=(("added", 0, 8), ("added", 1, 8)), max_trials=2, finish=False)
NEXT = Round(
    calls=(("requested", 0, 2), ("reported", 0, 2, (0.5,)), ("observed", 0, 2)), max_trials=2, finish=False
)


class Desk:
    """A worker's processes of policies, and what they answer."""

    def __init__(self, spawner: Spawner, folder: Path) -> None:
        self.answers: dict[int, worker_pb2.PolicyAnswer] = {}
        self.code = folder / "code"
        supplies: Any = SimpleNamespace(
            spawner=spawner, spool=folder / "spool", secrets=write_secrets(folder), code=self._code
        )
        self.hosts = PolicyHosts(supplies, self._take)
        self.numbers = itertools.count(1)

    async def _code(self, digest: str) -> Path:
        if digest != "bundle":
            raise FileNotFoundError("there is no such bundle")
        return self.code

    def _take(self, answer: worker_pb2.PolicyAnswer) -> None:
        self.answers[answer.question] = answer

    def put(
        self,
        policy: str,
        *rounds: Round,
        study: int = 1,
        known: int = 0,
        pieces: bool = False,
        **changes: Any,
    ) -> int:
        """Asks a question; gives its number."""
        number = next(self.numbers)
        made: dict[str, Any] = {
            "study": study,
            "number": known + len(rounds) - 1,
            "mark": 0,
            "policy": OwnSpec(reference=policy, arguments=changes.pop("arguments", {})),
            "context": PolicyContext(objectives=("loss",), maximize=(False,), evaluate_every=2, seed=7),
            "bundle": "bundle",
            "env": {},
            "secrets": (),
            "known": known,
            "rounds": rounds,
        }
        for message in question_to_proto(PolicyQuestion(**{**made, **changes}), number):
            self.hosts.ask(message)
        return number

    async def answer(self, number: int) -> worker_pb2.PolicyAnswer:
        await until(lambda: number in self.answers, "an answer")
        return self.answers[number]

    async def ask(self, policy: str, *rounds: Round, **changes: Any) -> worker_pb2.PolicyAnswer:
        return await self.answer(self.put(f"user_policies:{policy}", *rounds, **changes))

    async def decided(self, policy: str, *rounds: Round, **changes: Any) -> list[tuple[int, int, str]]:
        answer = await self.ask(policy, *rounds, **changes)
        assert answer.WhichOneof("outcome") == "verdicts_json", answer
        found = verdicts_from_json(answer.verdicts_json)
        assert all(isinstance(each, Extend) for each in found)
        return [(each.trial, each.to, each.reason) for each in found]  # type: ignore[union-attr]


def processes() -> list[psutil.Process]:
    """The policies' processes that live."""
    return family(os.getpid(), "hippo-runner policy")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def spawner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Spawner]:
    made = Spawner(base_environment(os.environ, tmp_path_factory.mktemp("worker")))
    await made.torch()
    yield made
    made.close()


@pytest_asyncio.fixture(loop_scope="module")
async def desk(spawner: Spawner, tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(spawner, tmp_path)
    made.code.mkdir()
    shutil.copy(Path(__file__).with_name("user_policies.py"), made.code)
    yield made
    await made.hosts.forget()
    await until(lambda: not processes(), "the end of all processes")


async def test_a_process_is_kept_and_told_only_what_is_new(desk: Desk) -> None:
    assert await desk.decided("Good", BEGIN) == [(0, 2, "round 1"), (1, 2, "round 1")]
    (process,) = processes()
    assert await desk.decided("Good", NEXT, known=1) == [(0, 4, "round 3")]
    assert processes() == [process]


async def test_a_process_that_was_killed_is_lost_and_the_next_one_decides_the_same(desk: Desk) -> None:
    """1. A process answers and is killed. 2. What it knew is lost. 3. Another, told all of it, decides the same."""
    first = await desk.decided("Drawing", BEGIN)
    processes()[0].kill()
    await until(lambda: not processes(), "its end")
    lost = await desk.ask("Drawing", NEXT, known=1)
    assert lost.WhichOneof("outcome") == "lost"
    assert lost.lost == "its process was killed by SIGKILL"
    assert await desk.decided("Drawing", BEGIN) == first
    assert first[0][2] != first[1][2]


async def test_rounds_in_many_messages_are_one_question(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hippo_wire.policies.PIECE_CHARACTERS", 1)
    assert await desk.decided("Good", BEGIN, NEXT) == [(0, 4, "round 3")]


async def test_what_it_was_not_told_it_cannot_go_on_from(desk: Desk) -> None:
    assert (await desk.ask("Good", NEXT, known=1)).lost == "its process is gone"
    await desk.decided("Good", BEGIN)
    assert (await desk.ask("Good", NEXT, known=2)).lost == "its process is gone"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("Raising", "ValueError: no decision comes to mind in user_policies.py:"),
        ("Nonsense", "there is no trial 99; it is decided in user_policies.py:"),
        ("Exiting", "it called sys.exit(3)"),
        ("Crashing", "its process ended by SIGSEGV"),
        ("Leaving", "its process ended with exit code 3"),
        (
            "Forgetful",
            "decide returned None: return a list of verdicts, or yield them; it is decided in user_policies.py:",
        ),
        ("Greedy", "MemoryError in user_policies.py:"),
        (
            "Greedy",
            ". A policy's process has at most 4 GiB of memory: keep less on self, and use smaller arrays",
        ),
        ("Misnamed", "1 was given in user_policies.py:"),
        ("Undecided", "user_policies:Undecided lacks decide. Write: def decide(self)."),
        ("NoPolicy", "Write: class NoPolicy(hippo.Policy)."),
        ("Lacking", "user_policies has no Lacking. Policies in it: Crashing, Drawing"),
    ],
)
async def test_a_policy_that_fails_is_told_with_its_line(desk: Desk, policy: str, words: str) -> None:
    answer = await desk.ask(policy, BEGIN)
    assert answer.WhichOneof("outcome") == "failed"
    assert words in answer.failed
    await until(lambda: not processes(), "its end")


async def test_arguments_that_it_does_not_take_are_told(desk: Desk) -> None:
    answer = await desk.ask("Mistyped", BEGIN, arguments={"windw": 5})
    source = (desk.code / "user_policies.py").read_text().splitlines()
    line = source.index("    def setup(self, window=3):") + 1
    words = f"Mistyped.setup() got an unexpected keyword argument 'windw' in user_policies.py:{line}"
    assert answer.failed == f"TypeError: {words}"


async def test_an_answer_has_its_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.hosts, "_round_seconds", 0.5)
    answer = await desk.ask("Sleeping", BEGIN)
    assert answer.failed == "it took longer than 0.5 s to answer"
    await until(lambda: not processes(), "its end")


async def test_a_later_question_of_the_study_takes_the_place_of_an_earlier_one(desk: Desk) -> None:
    forgotten = desk.put("user_policies:Sleeping", BEGIN)
    await until(processes, "a process")
    assert await desk.decided("Good", BEGIN) == [(0, 2, "round 1"), (1, 2, "round 1")]
    assert forgotten not in desk.answers
    assert len(processes()) == 1


async def test_studies_have_processes_of_their_own_and_few_are_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts_module, "KEPT_PROCESSES", 2)
    for study in range(1, 4):
        await desk.decided("Good", BEGIN, study=study)
    await until(lambda: len(processes()) == 2, "the end of the one that has waited longest")
    assert (await desk.ask("Good", NEXT, known=1, study=1)).lost == "its process is gone"
    assert await desk.decided("Good", NEXT, known=1, study=3) == [(0, 4, "round 3")]


async def test_what_belongs_to_another_connection_is_dropped(desk: Desk) -> None:
    await desk.decided("Good", BEGIN)
    forgotten = desk.put("user_policies:Sleeping", BEGIN, study=2)
    await until(lambda: len(processes()) == 2, "both")
    await desk.hosts.forget()
    await until(lambda: not processes(), "the end of both")
    assert forgotten not in desk.answers


async def test_its_code_or_a_secret_that_is_lacking(desk: Desk) -> None:
    assert (await desk.ask("Good", BEGIN, bundle="other")).lost == "there is no such bundle"
    assert (
        "NOBODYS_SECRET is not among the worker's secrets"
        in (await desk.ask("Good", BEGIN, secrets=("NOBODYS_SECRET",))).failed
    )


@pytest.mark.parametrize("env", [{}, {"OWN": "yes"}])
async def test_it_sees_no_gpu_and_of_the_workers_variables_what_its_study_names(
    desk: Desk, env: dict[str, str]
) -> None:
    (found,) = await desk.decided("Telling", BEGIN, env=env, secrets=("MY_API_KEY",))
    facts = json.loads(found[2])
    assert facts["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    assert facts["environment"]["MY_API_KEY"] == "*" * len(SECRET), "it had it, and cannot tell it"
    assert facts["environment"].get("OWN") == env.get("OWN")
    assert facts["folder"] == str(desk.code)
    assert facts["title"].startswith("hippo-runner policy of study 1")
    for secret in (SECRET, "canary-secret", "canary-key", "postgresql://canary"):
        assert secret not in found[2]


async def test_what_it_prints_is_in_the_workers_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        await desk.decided("Good", BEGIN)
        await desk.decided("Good", NEXT, known=1)
    printed = [record.text for record in caplog.records if record.message == "policy_printed"]  # type: ignore[attr-defined]
    assert printed == ["trial 0 goes on\ntrial 1 goes on\n", "trial 0 goes on\n"]


async def test_nothing_is_left_when_a_question_is_dropped_while_its_process_is_being_made(desk: Desk) -> None:
    for _ in range(3):
        desk.put("user_policies:Good", BEGIN)
        await asyncio.sleep(0)
        await desk.hosts.forget()
    assert await desk.decided("Good", BEGIN) == [(0, 2, "round 1"), (1, 2, "round 1")]
    await until(lambda: len(processes()) == 1, "the end of the others")
