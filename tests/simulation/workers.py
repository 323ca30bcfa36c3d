"""Workers in the simulation: the production daemon, slots, publisher and cache, with runners in virtual time."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hippo_core.engine.commands import SlotSpec
from hippo_core.errors import HippoError
from hippo_wire.service_manager import ServiceManager
from hippo_wire.v1 import worker_pb2
from hippo_worker.checkpoints import CheckpointCache
from hippo_worker.daemon import Daemon
from hippo_worker.environment import Offer
from hippo_worker.publishing import Patience, Publisher
from hippo_worker.secrets import Secrets
from hippo_worker.settings import Endpoint, WorkerSettings
from hippo_worker.supplies import Supplies
from tests.simulation.hosts import Host
from tests.simulation.training import Bundles, Runner, Spawner
from tests.simulation.virtual_time import Process, VirtualClock, VirtualLoop

ENVIRONMENT = {"python": "3.11", "torch": "2", "cuda": None, "platform": "simulated"}
RESTART_SECONDS = 1.0


class ListenedDaemon(Daemon):
    """Production's, which tells whose words it takes in."""

    listens: Callable[[str, int, int], None]
    term = 0

    async def registered(self, response: worker_pb2.RegisterWorkerResponse) -> None:
        self._hear(response.term)
        await super().registered(response)

    async def receive(self, response: worker_pb2.WorkResponse) -> None:
        self._hear(response.term)
        await super().receive(response)

    def _hear(self, term: int) -> None:
        self.listens(self._settings.name, term, self.term)
        self.term = max(self.term, term)


class WorkerHost(Host):
    """A host that keeps a worker running.

    Args:
        name: The worker's name.
        slots: How many slots it has.
        loop: In whose time.
        clock: Its clock.
        folder: Its disk.
        chance: Decides how long things take.
        listens: Told whose words its worker takes in: the worker's name, the server's term, the highest term before.
    """

    def __init__(
        self,
        name: str,
        slots: int,
        loop: VirtualLoop,
        clock: VirtualClock,
        folder: Path,
        chance: random.Random,
        listens: Callable[[str, int, int], None],
    ) -> None:
        super().__init__(name, loop, chance)
        self.slots = slots
        self.runners: list[Runner] = []
        self.daemon: Daemon | None = None
        self.disk_is_full = False
        self.folder = folder
        self._clock = clock
        self._listens = listens

    def _clear(self) -> float:
        for runner in self.runners:
            self._loop.kill(runner.process)
        self.runners.clear()
        self.daemon = None
        return RESTART_SECONDS

    async def _live(self, process: Process) -> None:
        spool = self.folder / "spool"
        shutil.rmtree(spool, ignore_errors=True)
        spool.mkdir(parents=True)
        cache = CheckpointCache(self.folder / "checkpoints", 1 << 20)
        bundles: Any = Bundles(self.folder)
        spawner: Any = Spawner(partial(self._start_runner, process))
        supplies = Supplies(
            spawner=spawner,
            bundles=bundles,
            checkpoints=cache,
            publisher=Publisher(
                cache, Patience(first_seconds=0.2, longest_seconds=2.0, silent_seconds=self._silent())
            ),
            spool=spool,
            data_folder=self.folder,
            secrets=Secrets(self.folder / "secrets.env"),
        )
        endpoint = Endpoint(server="127.0.0.1:7440", token="token")
        settings = WorkerSettings(
            endpoint=endpoint,
            name=self.name,
            slots=self.slots,
            labels={},
            data_folder=self.folder,
            cache_bytes=1 << 20,
        )
        offer = Offer(
            environment=dict(ENVIRONMENT),
            slots=tuple(
                SlotSpec(index=index, device="cpu", model="", cpus=1, gpus=0) for index in range(self.slots)
            ),
            gpus=("",) * self.slots,
        )
        self.daemon = ListenedDaemon(settings, endpoint, self.name, offer, supplies, ServiceManager(None))
        self.daemon.listens = self._listens
        try:
            await self.daemon.run()
        except HippoError:
            pass  # it says why, and its supervisor starts it again
        except Exception as error:  # noqa: BLE001 - a defect, which the simulation reports
            self._loop.errors.append(f"the daemon failed: {error!r}")
        self._loop.kill(process)

    def _silent(self) -> float:
        return self._chance.choice([0.5, 3.0])

    def _start_runner(self, process: Process) -> Runner:
        inside = Process(f"{process.name}/{next(_numbers)}", clock=process.clock)
        step_seconds = self._chance.choice([0.1, 0.3, 0.3, 0.8])
        runner = Runner(
            self._loop, self._clock, inside, self._chance, step_seconds, lambda: self.disk_is_full
        )
        self.runners = [each for each in self.runners if each.process.alive]
        self.runners.append(runner)
        return runner

    def terminate(self) -> None:
        """Ends the daemon in peace."""
        if self.daemon is not None:
            self._within(partial(self._loop.call_soon, self.daemon.terminate))


_numbers = itertools.count(1)
