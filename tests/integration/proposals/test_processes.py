"""Processes that make points: what they cannot do, take too long for, or die of, is told, and hurts nobody else."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from hippo_core import samplers, space
from hippo_core.engine.proposals import ProposalTask
from hippo_core.errors import InvalidStudy, Unavailable
from hippo_core.study import StudySpec
from hippo_server.proposals import processes
from hippo_server.proposals.messages import encode, task_message
from hippo_server.proposals.processes import ProposalFailed, Proposers
from tests.processes import is_gone
from tests.studies import study
from tests.waiting import until

BAD_CHILD = (sys.executable, str(Path(__file__).with_name("bad_child.py")))
ROOT = Path(__file__).parents[3]
Make = Callable[..., Proposers]


@pytest.fixture
async def make(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made: list[Proposers] = []

    def proposers(
        seconds: float = 60.0, memory_bytes: int = 2**32, command: tuple[str, ...] = BAD_CHILD
    ) -> Proposers:
        made.append(Proposers(seconds, memory_bytes, command))
        return made[-1]

    yield proposers
    for each in made:
        await each.stop()
        assert not each._all


def spec(name: str = "RandomLikeSampler", **arguments: Any) -> StudySpec:
    return study(
        {"x": space.uniform(0, 1)}, sampler=samplers.optuna(name, **arguments), max_trials=9, max_steps=1
    )


def task(name: str) -> bytes:
    return encode(task_message(ProposalTask(spec=spec(name), trial=0, history=())))


GOOD = "TPESampler"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("RaisingSampler", "ValueError: no point comes to mind"),
        (
            "OutsideSampler",
            "1000 proposals in a row cannot be trained; the last one: .* 1000000000.0 cannot be drawn",
        ),
        ("DyingSampler", "its process died: SIGKILL"),
        ("LeavingSampler", "SystemExit: 3"),
        ("NotingSampler", "notes more than 65536 characters"),
    ],
)
async def test_a_sampler_that_fails_is_told_and_the_next_task_is_done(
    make: Make, name: str, words: str
) -> None:
    proposers = make()
    with pytest.raises(ProposalFailed, match=words):
        await proposers.make(task(name))
    answer = await proposers.make(task(GOOD))
    assert 0 <= answer["assignment"]["x"] <= 1


async def test_a_sampler_that_never_ends_is_killed(make: Make) -> None:
    proposers = make()
    await proposers.make(task(GOOD))
    (process,) = proposers._all
    proposers.seconds = 0.2
    with pytest.raises(ProposalFailed, match=r"took longer than 0.2 s"):
        await proposers.make(task("SleepingSampler"))
    assert not psutil.pid_exists(process.pid)
    proposers.seconds = 60.0
    await proposers.make(task(GOOD))


async def test_a_task_that_nobody_waits_for_ends_with_its_process(make: Make) -> None:
    proposers = make()
    await proposers.make(task(GOOD))
    (process,) = proposers._all
    making = asyncio.create_task(proposers.make(task("SleepingSampler")))
    await asyncio.sleep(0)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert not psutil.pid_exists(process.pid)


async def test_memory_is_bounded(make: Make) -> None:
    proposers = make(memory_bytes=2**30)
    with pytest.raises(ProposalFailed, match=r"MemoryError|died"):
        await proposers.make(task("HungrySampler"))
    await proposers.make(task(GOOD))


async def test_what_a_sampler_prints_is_no_answer(make: Make) -> None:
    assert "assignment" in await make().make(task("TalkingSampler"))


async def test_one_that_never_ends_holds_up_no_other(make: Make) -> None:
    proposers = make()
    sleeping = [asyncio.create_task(proposers.make(task("SleepingSampler"))) for _ in range(2)]
    for _ in range(3):
        await proposers.make(task(GOOD))
    for each in sleeping:
        assert not each.done()
        each.cancel()
    await asyncio.gather(*sleeping, return_exceptions=True)


async def test_a_process_is_kept_for_the_next_task_and_replaced_when_it_died(make: Make) -> None:
    proposers = make()
    await proposers.make(task(GOOD))
    (first,) = proposers._all
    await proposers.make(task(GOOD))
    assert proposers._all == {first}
    os.kill(first.pid, signal.SIGKILL)
    await first.wait()
    await proposers.make(task(GOOD))
    assert first not in proposers._idle


async def test_credentials_do_not_reach_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIPPO_DATABASE_URL", "postgresql://secret")
    proposers = make()
    await proposers.make(task(GOOD))
    (process,) = proposers._all
    environment = psutil.Process(process.pid).environ()
    assert environment["PYTHONHASHSEED"] == "0"
    assert not [name for name in environment if name.startswith("HIPPO_")]


async def test_a_study_s_sampler_is_checked(make: Make) -> None:
    proposers = make()
    await proposers.check(spec(GOOD, multivariate=True))
    with pytest.raises(InvalidStudy, match="there is no NoSampler where the server runs") as caught:
        await proposers.check(spec("NoSampler"))
    assert caught.value.field == "sampler"


async def test_without_optuna_a_study_is_refused(make: Make, tmp_path: Path) -> None:
    child = tmp_path / "without.py"
    child.write_text(
        textwrap.dedent(
            """
            import sys
            sys.modules["optuna"] = None
            from hippo_server.proposals.child import main
            main()
            """
        )
    )
    proposers = make(command=(sys.executable, str(child)))
    with pytest.raises(InvalidStudy, match=r"Optuna cannot be imported where .* Install hippo-hpo\[server\]"):
        await proposers.check(spec(GOOD))


async def test_a_process_that_cannot_start_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProposalFailed, match="cannot be started: No such file"):
        await make(command=("/no/such/program",)).make(task(GOOD))
    with pytest.raises(ProposalFailed, match="its process died: exit 1"):
        await make(command=(sys.executable, "-c", "raise SystemExit(1)")).make(task(GOOD))
    monkeypatch.setattr(processes, "START_SECONDS", 0.2)
    silent = make(command=(sys.executable, "-c", "import time; time.sleep(3600)"))
    with pytest.raises(ProposalFailed, match=r"did not start in 0.2 s"):
        await silent.make(task(GOOD))
    with pytest.raises(Unavailable, match="could not be checked: its process did not start"):
        await silent.check(spec(GOOD))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process ends when its input does")
def test_it_ends_with_the_server_also_in_the_midst_of_a_task(tmp_path: Path) -> None:
    """1. A server has a sampler that never ends. 2. It is killed. 3. The process is gone."""
    server = tmp_path / "server.py"
    server.write_text(
        textwrap.dedent(
            f"""
            import asyncio
            from hippo_server.proposals.processes import Proposers
            async def main():
                proposers = Proposers(3600, 2**32, {BAD_CHILD!r})
                await proposers.make({task(GOOD)!r})
                print(next(iter(proposers._all)).pid, flush=True)
                await proposers.make({task("SleepingSampler")!r})
            asyncio.run(main())
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(server)], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        process.kill()
        process.wait()
        until(lambda: is_gone(child), "its end")
