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
from tests.integration.worker.conftest import CANARIES, Bench, Worker, make_program
from tests.integration.worker.scripted_server import TOKEN, ScriptedServer

on_the_bench = pytest.mark.asyncio(loop_scope="module")


async def facts_of(bench: Bench, secrets: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    """What a trainer saw of its process."""
    file = bench.gate()
    program = make_program("Telling", options={"facts": file}, **changes)
    await bench.train(bench.lease(program, secrets=secrets))
    facts: dict[str, Any] = json.loads((bench.worker.data / file).read_text())
    return facts


@on_the_bench
@pytest.mark.parametrize("env", [{}, {"OWN": "1"}])
async def test_a_trainer_sees_neither_token_nor_credentials(bench: Bench, env: dict[str, str]) -> None:
    """Neither in ``os.environ`` nor in what the kernel keeps of the process or of its parent, the forkserver."""
    facts = await facts_of(bench, env=env)
    (forkserver,) = psutil.Process(bench.worker.process.pid).children()
    seen = json.dumps([facts, forkserver.environ(), forkserver.cmdline()])
    for secret in (TOKEN, *CANARIES, *CANARIES.values()):
        assert secret not in seen
    assert facts["environment"]["PATH"] == os.environ["PATH"]
    assert facts["title"].startswith("hippo-runner")


@on_the_bench
async def test_a_trainer_sees_what_its_study_names(bench: Bench) -> None:
    """
    1. values of ``env`` and the worker's values of ``secrets`` are set, from the process's start on
    2. no value is an argument, which every user of the host could read
    """
    facts = await facts_of(bench, secrets=("MY_API_KEY",), env={"OMP_NUM_THREADS": "2", "OWN": "yes"})
    assert facts["environment"]["OWN"] == "yes"
    assert facts["environment"]["MY_API_KEY"] == "canary-api"
    assert "OMP_NUM_THREADS=2" in facts["born"]
    assert "canary" not in json.dumps(facts["arguments"])
    assert "canary-secret" not in json.dumps(facts)


@on_the_bench
async def test_a_trainer_has_the_programs_threads_and_stands_beside_its_code(bench: Bench) -> None:
    facts = await facts_of(bench, resources=Resources(cpus=2))
    assert facts["threads"] == 2
    assert facts["folder"] == str(bench.worker.folder / "bundles" / bench.bundle)


@on_the_bench
@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("LACKING_KEY", "is not among the worker's secrets"),
        ("AWS_SECRET_ACCESS_KEY", "is not among the worker's secrets"),
        ("HIPPO_TOKEN", "is Hippo's own"),
    ],
)
async def test_a_secret_that_cannot_be_handed_out_fails_the_path_in_words(
    bench: Bench, secret: str, words: str
) -> None:
    (told,) = await bench.train(bench.lease(secrets=(secret,)))
    (failed,) = told.of(FailedReport)
    assert failed.failure is FailureClass.INVALID
    assert secret in failed.message
    assert words in failed.message


@on_the_bench
async def test_another_environment_gets_another_runner(bench: Bench) -> None:
    first, second = await bench.train(bench.lease(), bench.lease(secrets=("MY_API_KEY",)))
    assert first.metrics[1, 4]["pid"] != second.metrics[1, 4]["pid"]


@on_the_bench
async def test_the_daemon_never_loads_torch(bench: Bench) -> None:
    await bench.train(bench.lease())
    maps = [mapped.path for mapped in psutil.Process(bench.worker.process.pid).memory_maps()]
    assert not [path for path in maps if "libtorch" in path]


async def test_a_wrong_token_ends_the_worker_with_words(
    server: ScriptedServer, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker(HIPPO_TOKEN="wrong")
    assert await worker.ended() == 4
    assert "error[NOT_ALLOWED]" in worker.log.read_text()
    assert server.registrations == []
