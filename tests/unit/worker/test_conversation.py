"""What a slot makes of a runner's messages when leases end under it, or when it cannot understand them."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from hippo_core.engine.commands import FailedReport, ReleasedReport, SaveFailedReport, TrainedReport
from hippo_core.engine.states import FailureClass
from hippo_storage.manifest import CheckpointLocation
from hippo_storage.storage import Storage
from hippo_worker.checkpoints import CheckpointCache
from hippo_worker.lease import Lease
from hippo_worker.publishing import Publisher
from hippo_worker.runner import messages
from hippo_worker.slots.conversation import Conversation
from hippo_worker.slots.process import RunnerProcess
from hippo_worker.supplies import Supplies, path_order
from tests.unit.worker.orders import make_lease, said


class Runner:
    """Plays a runner at the other end of the socket."""

    def __init__(self, folder: Path) -> None:
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._reader = messages.FrameReader()
        checkpoints = CheckpointCache(folder / "cache", 1 << 20)
        self.supplies = Supplies(
            spawner=cast(Any, None),
            bundles=cast(Any, None),
            checkpoints=checkpoints,
            publisher=Publisher(checkpoints),
            spool=folder / "spool",
            data_folder=folder,
            variables={},
        )
        self.process = RunnerProcess(1, theirs, self.end)
        self.conversation = Conversation(self.process, folder / "runner", self.supplies)

    def end(self) -> None:
        self._ours.close()
        self.process.has_ended(-signal.SIGKILL)

    async def order(self) -> None:
        """Waits until it is told to train."""
        data = await asyncio.get_running_loop().sock_recv(self._ours, 1 << 16)
        (order,) = self._reader.messages(data)
        assert isinstance(order, messages.Run)

    async def say(self, *said: messages.Message) -> None:
        await asyncio.get_running_loop().sock_sendall(self._ours, messages.encode(said))

    async def say_nonsense(self) -> None:
        await asyncio.get_running_loop().sock_sendall(self._ours, messages.frame([{"kind": "no such"}]))

    async def train(self, lease: Lease) -> asyncio.Task[Any]:
        """A path that has begun."""
        order = path_order(lease, self.supplies, code=Path("/code"), start=None)
        training = asyncio.create_task(self.conversation.train(lease, order))
        await self.order()
        await self.say(messages.Begun(fence=lease.fence))
        return training


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[Runner]:
    made = Runner(tmp_path)
    yield made
    await made.conversation.kill()
    await made.supplies.publisher.close()


async def test_what_is_said_of_a_lease_that_was_let_go_is_put_aside(runner: Runner, tmp_path: Path) -> None:
    """
    1. a path is revoked in the middle of a step; its runner gives it back and trains the next one
    2. only then it has written a state of the first path
    3. the state's files are removed, and the second path goes on to its end
    """
    first = make_lease(fence=7)
    training = await runner.train(first)
    first.drop()
    await runner.say(messages.Released(fence=7, reason="dropped", holds=None))
    assert await training == ReleasedReport(reason="dropped")
    second = make_lease(fence=8)
    training = await runner.train(second)
    folder = tmp_path / "written"
    folder.mkdir()
    await runner.say(
        messages.Written(fence=7, node=1, step=2, folder=str(folder), blocked_seconds=0.0),
        messages.Settled(fence=7),
        messages.Trained(fence=8, holds=None),
    )
    assert await asyncio.wait_for(training, 20.0) == TrainedReport()
    assert not folder.exists()
    assert said(first) == []


@pytest.mark.parametrize("full", [True, False])
async def test_the_cache_is_given_up_where_a_state_finds_no_space(
    runner: Runner, tmp_path: Path, full: bool
) -> None:
    storage = Storage.open(str(tmp_path / "storage"))
    location = CheckpointLocation(plan=1, node=1, step=1, fence=6)
    written = tmp_path / "state"
    written.mkdir()
    written.joinpath("state").write_bytes(b"state")
    cache = runner.supplies.checkpoints
    cache.add(storage, location, storage.publish(written, location, {}, keep=True).digest, written)
    lease = make_lease()
    training = await runner.train(lease)
    await runner.say(
        messages.NotWritten(fence=7, node=1, step=3, reason="why", full=full),
        messages.Released(fence=7, reason="dropped", holds=None),
    )
    await training
    assert said(lease)[0] == SaveFailedReport(node=1, step=3, reason="why", full=full)
    await runner.supplies.publisher.idle()
    assert cache.size_bytes == (0 if full else len(b"state"))


async def test_a_runner_that_is_not_understood_fails_its_path_as_infrastructure(runner: Runner) -> None:
    lease = make_lease()
    training = await runner.train(lease)
    await runner.say_nonsense()
    ending = await asyncio.wait_for(training, 20.0)
    assert isinstance(ending, FailedReport)
    assert ending.failure is FailureClass.INFRASTRUCTURE
    assert "failed at what its runner said" in ending.message
    assert not runner.conversation.alive
