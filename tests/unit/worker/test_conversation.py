"""What a slot makes of a runner's messages when leases end under it, or when it cannot understand them."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from hippo_core.engine.commands import (
    FailedReport,
    MetricsReport,
    ReleasedReport,
    SaveFailedReport,
    StepsReport,
    TrainedReport,
)
from hippo_core.engine.states import FailureClass
from hippo_storage.manifest import CheckpointLocation
from hippo_storage.storage import Storage
from hippo_worker.checkpoints import CheckpointCache
from hippo_worker.hosting.order import PathOrder
from hippo_worker.lease import Ending, Lease
from hippo_worker.publishing import Publisher
from hippo_worker.runner import messages
from hippo_worker.secrets import Redaction, Secrets
from hippo_worker.slots import conversation
from hippo_worker.slots.conversation import Conversation, NotBegun
from hippo_worker.slots.process import RunnerProcess
from hippo_worker.slots.stalls import STALL_STEPS, StallWatch
from hippo_worker.supplies import Supplies, path_order
from tests.simulation.virtual_time import VirtualClock, VirtualLoop
from tests.unit.worker.orders import make_lease, said

SECRET = "0123456789abcdef"


class Runner:
    """Plays a runner at the other end of the socket."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.folder = folder / "runner"
        self.folder.mkdir()
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
            secrets=Secrets(folder / "secrets.env"),
        )
        self.process = RunnerProcess(1, theirs, self.end)
        self.conversation = Conversation(
            self.process,
            self.folder,
            self.supplies,
            Redaction({"MY_API_KEY": SECRET}),
        )

    def end(self, request: str = "kill", out_of_memory: bool = False) -> None:
        self.asked.append(request)
        if request == "kill":
            self._ours.close()
            self.process.has_ended(-signal.SIGKILL, 3 << 30, out_of_memory=out_of_memory)
        else:
            (self.folder / "stacks").write_text("Thread 1: in train")

    def order_of(self, lease: Lease) -> PathOrder:
        return path_order(lease, self.supplies, code=Path("/code"), start=None)

    async def order(self) -> None:
        """Waits until it is told to train."""
        data = await asyncio.get_running_loop().sock_recv(self._ours, 1 << 16)
        (order,) = self._reader.messages(data)
        assert isinstance(order, messages.Run)

    async def say(self, *said: messages.Message) -> None:
        await asyncio.get_running_loop().sock_sendall(self._ours, messages.encode(said))

    async def say_nonsense(self) -> None:
        await asyncio.get_running_loop().sock_sendall(self._ours, messages.frame([{"kind": "no such"}]))

    async def tell(self, lease: Lease) -> asyncio.Future[Ending]:
        """A path that the runner was told to train."""
        training = await self.conversation.train(lease, self.order_of(lease))
        await self.order()
        return training

    async def begin(self, lease: Lease) -> asyncio.Future[Ending]:
        """A path that has begun."""
        training = await self.tell(lease)
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
    training = await runner.begin(first)
    first.drop()
    await runner.say(messages.Released(fence=7, reason="dropped", holds=None))
    assert await training == ReleasedReport(reason="dropped")
    second = make_lease(fence=8)
    training = await runner.begin(second)
    folder = tmp_path / "written"
    folder.mkdir()
    await runner.say(
        messages.Written(fence=7, node=1, step=2, folder=str(folder), files={}, blocked_seconds=0.0),
        messages.Settled(fence=7),
        messages.Trained(fence=8, holds=None),
    )
    assert await asyncio.wait_for(training, 20.0) == TrainedReport()
    assert not folder.exists()
    assert said(first) == []


async def test_the_next_path_waits_in_the_runner(runner: Runner) -> None:
    """
    1. a path trains, and two more are told; the last one is given back before its turn
    2. the end of the first and the beginning of the second are said at once, and both are heard
    """
    first, second, third = (make_lease(fence=fence) for fence in (7, 8, 9))
    endings = [await runner.begin(first), await runner.tell(second), await runner.tell(third)]
    await runner.say(
        messages.Returned(fence=9),
        messages.Trained(fence=7, holds=[2, 5]),
        messages.Begun(fence=8),
        messages.Steps(fence=8, node=1, start=0, stop=1, train_seconds=0.1, evaluate_seconds=0.0),
        messages.Released(fence=8, reason="dropped", holds=[1, 1]),
    )
    assert await asyncio.wait_for(endings[0], 20.0) == TrainedReport()
    assert await asyncio.wait_for(endings[1], 20.0) == ReleasedReport(reason="dropped")
    with pytest.raises(NotBegun):
        await asyncio.wait_for(endings[2], 20.0)
    assert runner.conversation.holds == (1, 1)
    assert said(first) == [TrainedReport()]
    assert [type(item) for item in said(second)] == [StepsReport]
    await asyncio.wait_for(runner.conversation.until_free(), 20.0)


async def test_a_path_that_waits_has_not_begun_where_its_runner_dies(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    1. a runner dies of the path that it trains; another path waits there
    2. the first one has failed; the other has not begun, nor has one that is told while the folder is being removed
    """
    removed = threading.Event()
    monkeypatch.setattr(conversation.shutil, "rmtree", lambda folder, ignore_errors: removed.wait(20.0))
    first, second = await runner.begin(make_lease(fence=7)), await runner.tell(make_lease(fence=8))
    runner.end()
    try:
        assert isinstance(await asyncio.wait_for(first, 20.0), FailedReport)
        with pytest.raises(NotBegun):
            await asyncio.wait_for(second, 20.0)
        with pytest.raises(NotBegun):
            await runner.conversation.train(third := make_lease(fence=9), runner.order_of(third))
    finally:
        removed.set()


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
    cache.add(storage.publish(written, location, {}, keep=True), written)
    lease = make_lease()
    training = await runner.begin(lease)
    await runner.say(
        messages.NotWritten(fence=7, node=1, step=3, reason="why", full=full),
        messages.Released(fence=7, reason="dropped", holds=None),
    )
    await training
    assert said(lease)[0] == SaveFailedReport(node=1, step=3, reason="why", full=full)
    await runner.supplies.publisher.idle()
    assert cache.size_bytes == (0 if full else len(b"state"))


async def test_secrets_that_are_names_of_metrics_are_hidden(runner: Runner) -> None:
    lease = make_lease()
    training = await runner.begin(lease)
    await runner.say(
        messages.Metrics(
            fence=7,
            node=1,
            step=1,
            metrics={f"of {SECRET}": 1.0, "loss": 2.0},
            training={SECRET: 3.0},
            evaluated=True,
        ),
        messages.Released(fence=7, reason=f"{SECRET} is gone", holds=None),
    )
    hidden = "*" * len(SECRET)
    assert await training == ReleasedReport(reason=f"{hidden} is gone")
    assert said(lease) == [
        MetricsReport(
            node=1,
            step=1,
            metrics={f"of {hidden}": 1.0, "loss": 2.0},
            training={hidden: 3.0},
            evaluated=True,
        )
    ]


async def test_a_runner_that_is_not_understood_fails_its_path_as_infrastructure(runner: Runner) -> None:
    lease = make_lease()
    training = await runner.begin(lease)
    await runner.say_nonsense()
    ending = await asyncio.wait_for(training, 20.0)
    assert isinstance(ending, FailedReport)
    assert ending.failure is FailureClass.INFRASTRUCTURE
    assert "failed at what its runner said" in ending.message
    assert not runner.conversation.alive


@pytest.mark.parametrize("lacked", [True, False])
async def test_a_kill_is_one_for_lack_of_memory_where_the_kernel_counted_one(
    runner: Runner, lacked: bool
) -> None:
    lease = make_lease()
    training = await runner.begin(lease)
    runner.end(out_of_memory=lacked)
    ending = await asyncio.wait_for(training, 20.0)
    assert isinstance(ending, FailedReport)
    assert ending.failure is (FailureClass.MEMORY if lacked else FailureClass.INFRASTRUCTURE)
    assert ("it held 3.00 GiB" in ending.message) == lacked


async def test_a_path_that_stands_still_is_ended_with_its_stacks(runner: Runner) -> None:
    """
    1. a path trains a step, and then none for longer than the stall time-out
    2. its runner is asked for its stacks, and killed; the failure has them, and so has the path's log
    """
    lease = make_lease(stall_seconds=0.1)
    training = await runner.tell(lease)
    step = messages.Steps(fence=7, node=1, start=0, stop=1, train_seconds=0.1, evaluate_seconds=0.0)
    await runner.say(
        messages.Begun(fence=7), step
    )  # together: the time-out begins with the first, and is short
    ending = await asyncio.wait_for(training, 20.0)
    assert runner.asked[:2] == ["dump", "kill"]
    assert isinstance(ending, FailedReport)
    assert ending.failure is FailureClass.STALLED
    assert ending.message.startswith("stalled at step 1: no step for 0.1 s")
    assert (ending.node, ending.step) == (1, 1)
    assert ending.traceback == "Thread 1: in train"
    assert "Thread 1: in train" in (runner.supplies.logs_folder(7) / "1.log").read_text()


async def test_a_path_that_goes_on_while_its_stacks_are_written_costs_the_next_one_nothing(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    1. a path is overdue, and its runner is asked for its stacks; another path waits there
    2. meanwhile the first one ends, and the second one begins: it trains to its end
    """
    asked, written = asyncio.Event(), asyncio.Event()

    async def dumped(folder: Path, dump: Callable[[], None]) -> str:
        asked.set()
        await written.wait()
        return "Thread 1: in train"

    monkeypatch.setattr(conversation, "dumped", dumped)
    first = await runner.begin(make_lease(fence=7, stall_seconds=0.05))
    second = await runner.tell(make_lease(fence=8))
    await asyncio.wait_for(asked.wait(), 20.0)
    await runner.say(messages.Trained(fence=7, holds=None), messages.Begun(fence=8))
    assert await asyncio.wait_for(first, 20.0) == TrainedReport()
    written.set()
    await runner.say(messages.Trained(fence=8, holds=None))
    assert await asyncio.wait_for(second, 20.0) == TrainedReport()
    assert runner.asked == []
    assert not runner.supplies.logs_folder(7).exists()


async def test_a_path_that_begins_as_its_runner_is_killed_for_the_one_before_did_not_stall(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    1. the end of an overdue path and the beginning of the next one are on their way as the runner is killed
    2. the first one was trained; the second one was not stalled, and has nothing of the first one's stacks
    """

    async def dumped(folder: Path, dump: Callable[[], None]) -> str:
        await runner.say(messages.Trained(fence=7, holds=None), messages.Begun(fence=8))
        return "Thread 1: in train"

    monkeypatch.setattr(conversation, "dumped", dumped)
    first = await runner.begin(make_lease(fence=7, stall_seconds=0.05))
    second = await runner.tell(make_lease(fence=8))
    assert await asyncio.wait_for(first, 20.0) == TrainedReport()
    ending = await asyncio.wait_for(second, 20.0)
    assert runner.asked == ["kill"]
    assert isinstance(ending, FailedReport)
    assert (ending.failure, ending.traceback) == (FailureClass.INFRASTRUCTURE, "")


def test_a_path_whose_steps_are_slow_is_given_many_times_the_slowest(monkeypatch: pytest.MonkeyPatch) -> None:
    """1. Steps come 0.2 s apart. 2. With a time-out of 0.4 s the path is stuck after 10 times 0.2 s only."""
    loop, stalled = VirtualLoop(), list[float]()
    monkeypatch.setattr("hippo_worker.slots.stalls.time", VirtualClock(loop, 0.0))
    watch = StallWatch(stalled.append)
    loop.call_soon(watch.begins, 0.4)
    loop.call_soon(watch.moved)
    loop.call_later(0.2, watch.moved)
    loop.run_until(60.0, lambda: bool(stalled), 1000)
    assert stalled == [pytest.approx(STALL_STEPS * 0.2, abs=0.001)]
    assert loop.now > 0.2 + stalled[0]
