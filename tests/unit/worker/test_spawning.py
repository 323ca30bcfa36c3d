"""What the daemon makes of what its forkserver says, and the forkserver of a system that is full."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hippo_core.errors import Unavailable
from hippo_worker.memory import OutOfMemoryKills
from hippo_worker.runner.forkserver import Forkserver, die_before_the_daemon
from hippo_worker.runner.messages import FrameReader
from hippo_worker.runner.settings import RunnerSettings
from hippo_worker.slots.process import RunnerProcess
from hippo_worker.slots.spawner import Spawner


class Played:
    """A spawner whose forkserver a test plays."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kills = folder / "memory.events"
        self.kills.write_text("oom_kill 0\n")
        self.spawner = Spawner({}, OutOfMemoryKills((self.kills,)))
        self.processes: list[RunnerProcess] = []
        self.settings = RunnerSettings(slot=0, device="cpu", threads=1, folder=folder)

        async def start() -> None:
            return None

        monkeypatch.setattr(self.spawner, "_start", start)

    async def ask(self) -> asyncio.Task[RunnerProcess]:
        """A process is asked for."""
        spawning = asyncio.create_task(self.spawner.spawn(self.settings, {}, own_interpreter=False))
        await asyncio.sleep(0)  # it comes to wait for the answer
        return spawning

    async def spawn(self, number: int, pid: int) -> RunnerProcess:
        """A process that was asked for as the ``number``-th."""
        spawning = await self.ask()
        self.spawner._take(["spawned", number, pid])
        self.processes.append(await spawning)
        return self.processes[-1]


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    made = Played(tmp_path, monkeypatch)
    yield made
    for process in made.processes:
        process.close()


async def test_a_kill_for_lack_of_memory_is_that_of_one_runner(played: Played) -> None:
    """
    1. two runners live; the kernel kills the later one, and counts it
    2. the earlier one is killed by somebody: that the kernel killed a process in its life is not about it
    """
    earlier = await played.spawn(1, 11)
    later = await played.spawn(2, 12)
    played.kills.write_text("oom_kill 1\n")
    played.spawner._take(["ended", 12, -signal.SIGKILL, 5 << 30])
    played.spawner._take(["ended", 11, -signal.SIGKILL, 1 << 30])
    assert (later.out_of_memory, later.peak_bytes) == (True, 5 << 30)
    assert (earlier.out_of_memory, earlier.peak_bytes) == (False, 1 << 30)


async def test_a_kill_from_before_its_birth_is_not_a_runners(played: Played) -> None:
    played.kills.write_text("oom_kill 1\n")
    runner = await played.spawn(1, 11)
    played.spawner._take(["ended", 11, -signal.SIGKILL, 1 << 30])
    assert not runner.out_of_memory


async def test_another_end_is_none_for_lack_of_memory(played: Played) -> None:
    """What the kernel counted is left for the one that it killed."""
    broken = await played.spawn(1, 11)
    killed = await played.spawn(2, 12)
    played.kills.write_text("oom_kill 1\n")
    played.spawner._take(["ended", 11, -signal.SIGSEGV, 1 << 30])
    played.spawner._take(["ended", 12, -signal.SIGKILL, 5 << 30])
    assert [broken.out_of_memory, killed.out_of_memory] == [False, True]


async def test_a_system_that_starts_no_further_process_is_told_with_the_remedy(played: Played) -> None:
    spawning = await played.ask()
    played.spawner._take(["refused", 1, "[Errno 11] Resource temporarily unavailable"])
    with pytest.raises(Unavailable) as refused:
        await spawning
    assert "Resource temporarily unavailable" in str(refused.value)
    assert "limit of processes" in str(refused.value)


def test_a_fork_that_fails_ends_no_other_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered, the runner's end of its socket is closed, and the forkserver goes on."""

    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    ours, theirs = socket.socketpair()
    runner, its = socket.socketpair()
    forkserver = Forkserver(theirs)
    with ours, theirs, runner, forkserver._signals, forkserver._signals_write:
        forkserver._spawn(7, {}, its.detach())
        assert runner.recv(1) == b""
        (answer,) = FrameReader().feed(ours.recv(1 << 16))
    assert answer == ["refused", 7, "[Errno 11] Resource temporarily unavailable"]


@pytest.mark.parametrize(
    ("daemon", "expected"), [(0, 500), (300, 800), (500, 1000), (900, 1000), (1000, 1000), (-997, 500)]
)
def test_a_runner_is_killed_before_its_daemon(tmp_path: Path, daemon: int, expected: int) -> None:
    score = tmp_path / "oom_score_adj"
    score.write_text(f"{daemon}\n")
    die_before_the_daemon(score)
    assert int(score.read_text()) == expected
