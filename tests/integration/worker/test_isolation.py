"""What the trainer's process is born into: what the study names, and none of the worker's secrets."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from hippo_core.engine.commands import FailedReport
from hippo_core.engine.states import FailureClass
from hippo_core.program import Resources
from tests.integration.worker.conftest import Worker, make_lease, make_program
from tests.integration.worker.scripted_server import TOKEN, ScriptedServer

StartWorker = Callable[..., Worker]

CANARIES = {
    "AWS_ACCESS_KEY_ID": "canary-key",
    "AWS_SECRET_ACCESS_KEY": "canary-secret",
    "GOOGLE_APPLICATION_CREDENTIALS": "/canary/credentials.json",
    "HIPPO_DATABASE_URL": "postgresql://canary",
    "MY_API_KEY": "canary-api",
}


async def facts_of(
    server: ScriptedServer, worker: Worker, bundle: str, secrets: tuple[str, ...] = (), **changes: Any
) -> dict[str, Any]:
    """What a trainer saw of its process."""
    program = make_program("Telling", **changes)
    await server.grant(make_lease(bundle, 1, program=program, secrets=secrets))
    await server.until_over(1)
    facts: dict[str, Any] = json.loads((worker.data / "facts.json").read_text())
    return facts


@pytest.mark.parametrize("env", [{}, {"OWN": "1"}])
async def test_a_trainer_sees_neither_token_nor_credentials(
    server: ScriptedServer, start_worker: StartWorker, bundle: str, env: dict[str, str]
) -> None:
    """Neither in ``os.environ`` nor in what the kernel keeps of the process or of its parent, the forkserver."""
    worker = start_worker(**CANARIES)
    facts = await facts_of(server, worker, bundle, env=env)
    (forkserver,) = psutil.Process(worker.process.pid).children()
    seen = json.dumps([facts, forkserver.environ(), forkserver.cmdline()])
    for secret in (TOKEN, *CANARIES, *CANARIES.values()):
        assert secret not in seen
    assert facts["environment"]["PATH"] == os.environ["PATH"]
    assert facts["title"].startswith("hippo-runner")


async def test_a_trainer_sees_what_its_study_names(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. values of ``env`` and the worker's values of ``secrets`` are set, from the process's start on
    2. no value is an argument, which every user of the host could read
    """
    worker = start_worker(**CANARIES)
    facts = await facts_of(
        server, worker, bundle, secrets=("MY_API_KEY",), env={"OMP_NUM_THREADS": "2", "OWN": "yes"}
    )
    assert facts["environment"]["OWN"] == "yes"
    assert facts["environment"]["MY_API_KEY"] == "canary-api"
    assert "OMP_NUM_THREADS=2" in facts["born"]
    assert "canary" not in json.dumps(facts["arguments"])
    assert "canary-secret" not in json.dumps(facts)


async def test_threads_are_those_of_the_program(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    worker = start_worker()
    facts = await facts_of(server, worker, bundle, resources=Resources(cpus=2))
    assert facts["threads"] == 2


@pytest.mark.parametrize(
    ("secret", "words"),
    [("LACKING_KEY", "is not set in the worker's environment"), ("HIPPO_TOKEN", "is Hippo's own")],
)
async def test_a_secret_that_cannot_be_handed_out_fails_the_path_in_words(
    server: ScriptedServer, start_worker: StartWorker, bundle: str, secret: str, words: str
) -> None:
    start_worker()
    told = await server.grant(make_lease(bundle, 1, secrets=(secret,)))
    await server.until_over(1)
    (failed,) = told.of(FailedReport)
    assert failed.failure is FailureClass.INVALID
    assert secret in failed.message
    assert words in failed.message


async def test_another_environment_gets_another_runner(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    start_worker(MY_API_KEY="a")
    first = await server.grant(make_lease(bundle, 1))
    await server.until_over(1)
    second = await server.grant(make_lease(bundle, 2, secrets=("MY_API_KEY",)))
    await server.until_over(2)
    assert first.metrics[1, 4]["pid"] != second.metrics[1, 4]["pid"]


async def test_a_wrong_token_ends_the_worker_with_words(
    server: ScriptedServer, start_worker: StartWorker
) -> None:
    worker = start_worker(HIPPO_TOKEN="wrong")
    assert await worker.ended() == 4
    assert "error[NOT_ALLOWED]" in worker.log.read_text()
    assert server.registrations == []


async def test_the_daemon_never_loads_torch(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    worker = start_worker()
    await server.grant(make_lease(bundle, 1))
    await server.until_over(1)
    maps = [mapped.path for mapped in psutil.Process(worker.process.pid).memory_maps()]
    assert not [path for path in maps if "libtorch" in path]
