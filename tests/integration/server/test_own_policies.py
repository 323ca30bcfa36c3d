"""Users' own policies on a server: who is asked, what a loss changes, what failures come to; a real worker, too."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hippo_core import policies
from hippo_core.engine import events as ev
from hippo_core.engine.consultations import ConsultPolicy
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import PolicyAnswered, RequestOpened
from hippo_core.engine.states import WorkerState
from hippo_core.errors import HippoError
from hippo_core.policies import Extend, Policy
from hippo_core.policies.hosting import PolicyHost, Round
from hippo_core.study import StudySpec
from hippo_storage.bundle import build
from hippo_wire.connection import Connection
from hippo_wire.json_text import dump
from hippo_wire.policies import policy_from_proto, rounds_from_json, verdicts_to_json
from hippo_wire.v1 import study_pb2, worker_pb2
from tests import own_policies
from tests.integration.server.conftest import SETTINGS, RunningServer, upload
from tests.integration.server.conftest import spec as make_spec
from tests.integration.server.worker import Worker
from tests.processes import family
from tests.waiting import until

ASHA = policies.own("own_policies:Asha", {"reduction_factor": 2})


class ConsultedWorker(Worker):
    """A scripted worker that hosts policies in its own process, or answers as the test says."""

    def __init__(self, connection: Connection, name: str = "worker", slots: int = 1, gpus: int = 0) -> None:
        super().__init__(connection, name, slots)
        self.gpus = gpus
        self.questions: list[worker_pb2.PolicyQuestion] = []
        self.hosts: dict[int, tuple[PolicyHost, int]] = {}
        self.answers: Callable[[worker_pb2.PolicyQuestion], dict[str, str] | None] = self.host

    def note(self, response: worker_pb2.WorkResponse) -> list[Any]:
        for question in response.policy_questions:
            self.questions.append(question)
            outcome = self.answers(question)
            if outcome is not None:
                self.send(policy_answers=[worker_pb2.PolicyAnswer(question=question.question, **outcome)])
        return super().note(response)

    def host(self, question: worker_pb2.PolicyQuestion) -> dict[str, str]:
        """Told and asked, by the class of that name in ``tests.own_policies``."""
        found, context = policy_from_proto(question)
        host, known = self.hosts.pop(question.study, (None, 0))
        if not question.known or host is None:
            host, known = PolicyHost(named(found.reference), context, found.arguments), 0
        assert known == question.known
        verdicts = [host.answer(each) for each in rounds_from_json(question.rounds_json)]
        self.hosts[question.study] = (host, known + len(verdicts))
        return {"verdicts_json": verdicts_to_json(verdicts[-1])}


def named(reference: str) -> Any:
    return getattr(own_policies, reference.partition(":")[2])()


@contextlib.contextmanager
def at_work(worker: ConsultedWorker) -> Iterator[ConsultedWorker]:
    """Registers, and trains and answers in a thread of its own until the end."""
    worker.register()
    stream = worker.open()

    def work() -> None:
        with contextlib.suppress(HippoError, ValueError):
            worker.work(lambda: False, stream)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield worker
    finally:
        worker.close()
        stream.cancel()
        thread.join()


def spec(name: str = "study", policy: policies.PolicySpec = ASHA, **changes: Any) -> StudySpec:
    return make_spec(name, policy=policy, **changes)


def submit(client: Connection, study_spec: StudySpec) -> None:
    request = study_pb2.SubmitStudyRequest(request_id=study_spec.name, spec_json=dump(study_spec.to_json()))
    client.studies.SubmitStudy(request)


def study(client: Connection, name: str = "study") -> study_pb2.Study:
    return client.studies.GetStudy(study_pb2.GetStudyRequest(name=name)).study


def is_in(client: Connection, state: int, name: str = "study") -> Callable[[], bool]:
    return lambda: study(client, name).state == state


def worker_of(server: RunningServer, name: str = "worker", **options: Any) -> ConsultedWorker:
    return ConsultedWorker(server.connect(server.token("worker")), name, **options)


def state_of(server: RunningServer, worker: str) -> WorkerState:
    """What the server thinks of a worker."""
    return server.server.driver.current().engine.state.workers[worker].state


Decisions = list[set[tuple[int, int]]]


def rounds_and_decisions(server: RunningServer) -> tuple[list[Round], Decisions]:
    """What the policy of study 1 was told in each round that it answered, and what was carried out, by the journal."""
    journal = [entry.event for entry in server.store.journal()]
    engine = Engine.restore(journal, SETTINGS, 0.0)
    question = engine.policy_question(ConsultPolicy(study=1, number=0, failures=0), 0)
    decisions: Decisions = []
    for event in journal:
        if isinstance(event, PolicyAnswered):
            decisions.append(set())
        elif isinstance(event, RequestOpened):
            decisions[-1].add((event.trial, event.step))
    return list(question.rounds[: len(decisions)]), decisions


def decided_by(policy: Policy, rounds: list[Round]) -> Decisions:
    """What a built-in policy decides, told the same."""
    values: dict[tuple[int, int], Any] = {}
    found: Decisions = []
    for told in rounds:
        for call in told.calls:
            match call:
                case ("added", trial, max_steps):
                    policy.added(trial, max_steps)
                case ("reported", trial, step, seen):
                    values[trial, step] = seen
                case ("observed", trial, step):
                    policy.observed(trial, step, values[trial, step], trial)
        decided: set[tuple[int, int]] = set()
        while followed := policy.decide():
            decided |= carried_out(policy, followed)
        if not decided and told.finish:
            decided = carried_out(policy, policy.finish())
        found.append(decided)
    return found


def carried_out(policy: Policy, verdicts: Any) -> set[tuple[int, int]]:
    for each in verdicts:
        assert isinstance(each, Extend)
        policy.requested(each.trial, each.to)
    return {(each.trial, each.to) for each in verdicts}


def test_a_study_is_decided_by_its_own_policy(server: RunningServer, client: Connection) -> None:
    """1. It waits for a worker, and says so. 2. One comes. 3. Told only what is new, it decides as ASHA does."""
    submit(client, spec())
    assert study(client).reason == "no worker is there"
    with at_work(worker_of(server)) as worker:
        until(is_in(client, study_pb2.STUDY_STATE_COMPLETED), "the end")
        assert [question.known for question in worker.questions] == list(range(len(worker.questions)))
    rounds, decisions = rounds_and_decisions(server)
    assert decisions == decided_by(policies.asha(1, 2).build((True,), 1, 0), rounds)
    assert dict(study(client).trial_counts) == {"completed": 1, "stopped": 3}


def test_a_worker_that_leaves_in_the_middle_is_replaced(server: RunningServer, client: Connection) -> None:
    """1. A worker is asked and says nothing. 2. It goes. 3. Another is asked, told all of it: nothing was a failure."""
    first = worker_of(server, "first")
    first.answers = lambda _: None
    with at_work(first):
        submit(client, spec())
        until(lambda: first.questions, "a question")
        assert study(client).reason == "the policy own_policies:Asha is being asked"
        first.send(leaving=True)  # else the server keeps its slot in mind for a while
        until(lambda: state_of(server, "first") is WorkerState.GONE, "its leave")
    with at_work(worker_of(server, "second")) as second:
        until(is_in(client, study_pb2.STUDY_STATE_COMPLETED), "the end")
        assert second.questions[0].known == 0
    failed = [entry.event for entry in server.store.journal() if isinstance(entry.event, ev.PolicyFailed)]
    assert failed == []


def test_a_process_that_is_lost_is_made_again_and_told_all_of_it(
    server: RunningServer, client: Connection
) -> None:
    worker = worker_of(server)

    def answers(question: worker_pb2.PolicyQuestion) -> dict[str, str]:
        if len(worker.questions) in {2, 4}:
            worker.hosts.clear()
            return {"lost": "its process was killed by SIGKILL"}
        return worker.host(question)

    worker.answers = answers
    with at_work(worker):
        submit(client, spec())
        until(is_in(client, study_pb2.STUDY_STATE_COMPLETED), "the end")
        assert [question.known for question in worker.questions[:5]] == [0, 1, 0, 2, 0]
    rounds, decisions = rounds_and_decisions(server)
    assert decisions == decided_by(policies.asha(1, 2).build((True,), 1, 0), rounds)


def test_a_restart_of_the_server_changes_no_decision(start_server: Callable[..., RunningServer]) -> None:
    """1. The server is stopped after some answers. 2. Another one's policy is told all of it and goes on alike."""
    server = start_server()
    client = server.connect()
    upload(client)
    worker = worker_of(server)
    worker.answers = lambda question: worker.host(question) if len(worker.questions) < 4 else None
    with at_work(worker):
        submit(client, spec())
        until(lambda: len(worker.questions) == 4, "the fourth question")
    server.stop()
    server = start_server()
    client = server.connect()
    with at_work(worker_of(server)) as worker:
        until(is_in(client, study_pb2.STUDY_STATE_COMPLETED), "the end")
        first = worker.questions[0]
        assert first.known == 0
        assert len(first.rounds_json) == 4
    rounds, decisions = rounds_and_decisions(server)
    assert decisions == decided_by(policies.asha(1, 2).build((True,), 1, 0), rounds)


def test_a_worker_without_gpus_is_asked_first(server: RunningServer, client: Connection) -> None:
    from hippo_server.policies.consultants import Consultants

    class At:
        def __init__(self, worker: str) -> None:
            self.worker = worker

    with at_work(worker_of(server, "b")), at_work(worker_of(server, "c")):
        state = server.server.driver.current().engine.state
        until(lambda: {"b", "c"} <= state.workers.keys(), "the workers")
        consultants, b, c = Consultants(), At("b"), At("c")
        for each in (c, b):
            consultants.come(each)  # type: ignore[arg-type]
        assert consultants.choose(state, []) is b
        assert consultants.choose(state, [b]) is c  # type: ignore[list-item]
        for slot in state.workers["b"].slots.values():
            slot.gpus = 1
        assert consultants.choose(state, []) is c
        consultants.go(c)  # type: ignore[arg-type]
        assert consultants.choose(state, []) is b
        assert not consultants.can_be_asked(c, state)  # type: ignore[arg-type]


BAD = [
    (
        {"failed": "ValueError: no in own_policies.py:7"},
        "ValueError: no in own_policies.py:7. Correct it and",
    ),
    ({"verdicts_json": '[{"extend": 99, "to": 1, "reason": ""}]'}, "there is no trial 99"),
    ({"verdicts_json": '[{"go": 1}]'}, "is no verdict"),
    ({"verdicts_json": "no JSON"}, "is no JSON"),
    ({"lost": "killed"}, "its process was lost 5 times over one answer: killed"),
]


def test_a_policy_that_fails_pauses_its_study_and_no_other(
    server: RunningServer, client: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. Some studies' policies fail thrice: they pause, and say why. 2. Another's goes on. 3. Resumed, one is asked
    anew."""
    monkeypatch.setattr("hippo_server.policies.consulting.LOST_SECONDS", 0.01)
    worker = worker_of(server)
    names = [f"bad-{number}" for number in range(len(BAD))]
    worker.answers = lambda asked: BAD[asked.study - 1][0] if asked.study <= len(BAD) else worker.host(asked)
    with at_work(worker):
        for name in [*names, "good"]:
            submit(client, spec(name))
        for name, (_, words) in zip(names, BAD, strict=True):
            until(is_in(client, study_pb2.STUDY_STATE_PAUSED, name), "the pause")
            reason = study(client, name).reason
            assert reason.startswith("the policy own_policies:Asha has failed 3 times in a row: ")
            assert words in reason
            assert reason.endswith(f"where the worker was at fault, hippo study resume {name} tries again")
        until(is_in(client, study_pb2.STUDY_STATE_COMPLETED, "good"), "the end of the other")
        worker.answers = worker.host
        client.studies.ResumeStudy(study_pb2.ResumeStudyRequest(name=names[0], request_id="resume"))
        until(is_in(client, study_pb2.STUDY_STATE_COMPLETED, names[0]), "the end")


def test_an_answer_to_a_study_that_was_paused_meanwhile_is_asked_for_again(
    server: RunningServer, client: Connection
) -> None:
    worker = worker_of(server)
    worker.answers = lambda _: None
    with at_work(worker):
        submit(client, spec())
        until(lambda: worker.questions, "a question")
        client.studies.PauseStudy(study_pb2.PauseStudyRequest(name="study", request_id="pause"))
        worker.send(
            policy_answers=[
                worker_pb2.PolicyAnswer(
                    question=worker.questions[0].question,
                    verdicts_json='[{"extend": 0, "to": 1, "reason": "late"}]',
                )
            ]
        )
        worker.answers = worker.host
        client.studies.ResumeStudy(study_pb2.ResumeStudyRequest(name="study", request_id="resume"))
        until(is_in(client, study_pb2.STUDY_STATE_COMPLETED), "the end")
        assert worker.questions[1].known == 0


# With a real worker

TRAINER = """
import hippo_client as hippo


class Sums(hippo.Trainer):
    def setup(self, context):
        self.total = 0.0
        self.lr = 0.0

    def apply(self, hp):
        self.lr = hp["lr"] + hp["momentum"] / 7

    def train(self, step):
        self.total += self.lr

    def evaluate(self):
        return {"accuracy": self.total}
"""


@pytest.fixture
def worker_process(server: RunningServer, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder = tmp_path / "worker"
    arguments = ["--server", server.address, "--data-dir", str(folder), "--slots", "1", "--name", "real"]
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hippo_worker.main", *arguments],
            env={**os.environ, "HIPPO_TOKEN": server.token("worker")},
            stdout=log,
            stderr=log,
        )
        yield process
        process.send_signal(signal.SIGKILL)
        process.wait()
    from hippo_worker.folder import leftovers

    until(lambda: not leftovers(folder), "the end of its processes")


def test_a_real_worker_whose_policys_process_is_killed_decides_as_asha(
    server: RunningServer, client: Connection, tmp_path: Path, worker_process: subprocess.Popen[bytes]
) -> None:
    """1. A copy of ASHA's rule runs on a worker. 2. Its process is killed with SIGKILL, more than once. 3. All that was
    decided is what the built-in ASHA decides of the same."""
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "trainer.py").write_text(TRAINER)
    shutil.copy(own_policies.__file__, folder)
    made = build(folder)
    upload(client, made.archive)
    searched = {"lr": [0.1, 0.2, 0.3, 0.4], "momentum": [0.5, 0.6, 0.7, 0.8]}
    trainer = {"trainer": "trainer:Sums", "env": {}}
    study_spec = spec(space=searched, program_changes=trainer)
    submit(client, StudySpec.from_json({**study_spec.to_json(), "bundle": made.digest, "max_steps": 12}))
    killed: set[int] = set()

    def kill() -> bool:
        for process in family(worker_process.pid, "policy of study"):
            if process.pid not in killed:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
                    killed.add(process.pid)
        return len(killed) >= 3 or study(client).state == study_pb2.STUDY_STATE_COMPLETED

    until(lambda: study(client).trial_counts, "the beginning")
    until(kill, "three kills")
    until(is_in(client, study_pb2.STUDY_STATE_COMPLETED), "the end")
    assert killed
    rounds, decisions = rounds_and_decisions(server)
    assert decisions == decided_by(policies.asha(1, 2).build((True,), 1, 0), rounds)
    assert sum(len(each) for each in decisions) > 16
    counts = dict(study(client).trial_counts)
    assert counts["completed"] >= 1
    assert sum(counts.values()) == 16
