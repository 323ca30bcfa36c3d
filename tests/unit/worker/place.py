"""A slot that runs, with runners that a test plays."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any, cast

from hippo_core.engine.commands import SlotSpec
from hippo_worker.checkpoints import CheckpointCache
from hippo_worker.lease import Lease
from hippo_worker.publishing import Publisher
from hippo_worker.runner import messages
from hippo_worker.secrets import Redaction, Secrets
from hippo_worker.slots.process import RunnerProcess
from hippo_worker.slots.slot import Slot
from hippo_worker.supplies import Supplies
from tests.unit.worker.orders import make_lease


class Runner:
    """Plays a runner at the other end of the socket."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._reader = messages.FrameReader()
        self._came: list[messages.Message] = []
        self.process = RunnerProcess(1, theirs, lambda request: self.die())

    def die(self) -> None:
        self._ours.close()
        self.process.has_ended(-signal.SIGKILL)

    async def hear(self) -> messages.Message:
        while not self._came:
            data = await asyncio.get_running_loop().sock_recv(self._ours, 1 << 16)
            self._came += self._reader.messages(data)
        return self._came.pop(0)

    async def hear_runs(self, *fences: int) -> None:
        for fence in fences:
            run = await asyncio.wait_for(self.hear(), 20.0)
            assert isinstance(run, messages.Run)
            assert run.fence == fence

    async def say(self, *told: messages.Message) -> None:
        await asyncio.get_running_loop().sock_sendall(self._ours, messages.encode(told))


class Spawner:
    """Gives the slot the runners that a test lets it have."""

    def __init__(self) -> None:
        self.asked = 0
        self._given: asyncio.Queue[Runner] = asyncio.Queue()

    async def spawn(self, settings: Any, environment: Any, *, own_interpreter: bool) -> RunnerProcess:
        self.asked += 1
        return (await self._given.get()).process

    def give(self) -> Runner:
        runner = Runner()
        self._given.put_nowait(runner)
        return runner


class Bundles:
    """Has all code, and knows what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def obtain(self, storage: Any, digest: str) -> Path:
        self.asked.append(digest)
        return Path("/code")


class Logs:
    """Ships nothing, and knows the leases that may still print."""

    def __init__(self) -> None:
        self.watched: set[int] = set()

    def watch(self, fence: int, folder: Path, redaction: Redaction) -> None:
        self.watched.add(fence)

    def finish(self, fence: int) -> None:
        self.watched.discard(fence)


class Health:
    """A check of the device that ends when it is let, with success."""

    def __init__(self) -> None:
        self.ends = asyncio.Event()
        self.asked = self.most = self._running = 0

    async def failure(self) -> str:
        self.asked += 1
        self._running += 1
        self.most = max(self.most, self._running)
        await self.ends.wait()
        self._running -= 1
        return ""


class Place:
    """A slot that runs, and what it draws on."""

    def __init__(self, folder: Path) -> None:
        self.spawner, self.bundles, self.logs, self.health = Spawner(), Bundles(), Logs(), Health()
        checkpoints = CheckpointCache(folder / "cache", 1 << 20)
        self.supplies = supplies = Supplies(
            spawner=cast(Any, self.spawner),
            bundles=cast(Any, self.bundles),
            checkpoints=checkpoints,
            publisher=Publisher(checkpoints),
            spool=folder / "spool",
            data_folder=folder,
            secrets=Secrets(folder / "secrets.env"),
            storage=cast(Any, "storage"),
        )
        spec = SlotSpec(index=0, device="cpu", model="", cpus=1, gpus=0)
        self.slot = Slot(spec, "", supplies, cast(Any, self.logs), cast(Any, self.health))

    def grant(self, *fences: int, **changes: Any) -> list[Lease]:
        leases = [make_lease(fence=fence, **changes) for fence in fences]
        for lease in leases:
            self.slot.grant(lease)
        return leases
