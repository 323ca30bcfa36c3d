"""Servers in the simulation: the production driver and services on the simulated database, storage and network."""

from __future__ import annotations

import asyncio
import contextvars
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from hippo_core.engine.decision import EngineSettings
from hippo_core.errors import HippoError, InvariantViolated, Unavailable
from hippo_core.study import StudySpec
from hippo_server.driver import Driver
from hippo_server.metrics import Metrics
from hippo_server.proposals.messages import Message, point_message, task_of
from hippo_server.rpc.bundles import Bundles
from hippo_server.rpc.studies import StudyService
from hippo_server.rpc.workers import WorkerService
from hippo_server.store import Record
from hippo_server.user_logs import UserLogs
from tests.simulation.database import MemoryDatabase, MemoryStore, Session
from tests.simulation.hosts import Host
from tests.simulation.network import Listener, Network
from tests.simulation.virtual_time import Process, VirtualClock, VirtualLoop
from tests.unit.engine.cluster import propose

#: No step kills its worker here: that many die one after the other at the same one is the nemesis' doing.
NEVER_POISON = 1_000
SETTINGS = EngineSettings(
    heartbeat_seconds=1.0,
    lease_seconds=6.0,
    orphan_seconds=20.0,
    backoff_seconds=0.2,
    poison_workers=NEVER_POISON,
)
LEADER_SECONDS = 3.0
RESTART_SECONDS = 1.5


class Trouble:
    """How the database's connections break.

    Attributes:
        commits: What becomes of the next transactions: "before" and "after" break before and after COMMIT, "late"
            breaks before it, and the transaction goes through a while after; "slow" breaks before it, but not before
            the lead is to be renewed.
        slowest: A statement takes up to so long, seconds.
    """

    def __init__(self) -> None:
        self.commits: list[str] = []
        self.slowest = 0.004


class Store(MemoryStore):
    """A server's store, whose connections break.

    Args:
        database: The database.
        clock: Waits.
        loop: In whose time.
        chance: Decides how long things take.
        trouble: How connections break.
    """

    def __init__(
        self,
        database: MemoryDatabase,
        clock: VirtualClock,
        loop: VirtualLoop,
        chance: random.Random,
        trouble: Trouble,
    ) -> None:
        def wait(what: str) -> None:
            clock.sleep(chance.uniform(0.0005, trouble.slowest))

        super().__init__(database, wait, wait)
        self._clock = clock
        self._loop = loop
        self._chance = chance
        self._trouble = trouble

    def write(self, records: list[Record], term: int, batch: int) -> None:  # type: ignore[override]
        fault = self._trouble.commits.pop(0) if self._trouble.commits else ""
        if not fault:
            super().write(records, term, batch)
            return
        if fault == "after":
            super().write(records, term, batch)
        elif fault == "late":
            late = partial(self._commit_late, records, term, Session(alive=False))
            self._loop.call_later(self._chance.choice([0.05, 0.5, 4.0]), late, context=contextvars.Context())
        elif fault == "slow":
            self._clock.sleep(self._chance.uniform(0.3, 0.6) * LEADER_SECONDS)
        self.lose_connection()
        raise Unavailable("the connection to the database broke.", "It comes back.")

    def _commit_late(self, records: list[Record], term: int, session: Session) -> None:
        # Whatever has become of the server: the statements had reached PostgreSQL.
        if not self._database.down:
            try:
                self._database.commit(records, term, session)
            except HippoError:
                return


class GivenDatabase:
    """A database that somebody else runs."""

    def start(self) -> str:
        return "postgresql://database"

    def ensure(self) -> None:
        pass

    def running(self) -> bool:
        return True

    def stop(self) -> None:
        pass


class Proposers:
    """Makes points as the processes of samplers do: a function of the task."""

    async def check(self, spec: StudySpec) -> None:
        pass

    async def make(self, task: bytes) -> Message:
        from hippo_core.proposing import own_point

        await asyncio.sleep(0.05)
        message = json.loads(task)
        found = task_of(message, StudySpec.from_json(message["spec"]))
        sent: Message = json.loads(json.dumps(point_message(own_point(found) or (propose(found), {}))))
        return sent

    async def stop(self) -> None:
        pass


class ServerHost(Host):
    """A host that keeps a server running.

    Args:
        name: The host's name.
        address: Where it is called.
        loop: In whose time.
        clock: Its clock.
        network: Takes its calls.
        database: The database.
        trouble: How connections to it break.
        storage: The shared storage's address.
        folder: For what it keeps itself.
        chance: Decides how long things take.
    """

    def __init__(
        self,
        name: str,
        address: str,
        loop: VirtualLoop,
        clock: VirtualClock,
        network: Network,
        database: MemoryDatabase,
        trouble: Trouble,
        storage: str,
        folder: Path,
        chance: random.Random,
    ) -> None:
        super().__init__(name, loop, chance)
        self.address = address
        self.driver: Driver | None = None
        self._clock = clock
        self._network = network
        self._database = database
        self._trouble = trouble
        self._storage = storage
        self._folder = folder

    def _clear(self) -> float:
        self.driver = None
        return RESTART_SECONDS * self._chance.uniform(0.3, 1.0)

    async def _live(self, process: Process) -> None:
        stores: list[Store] = []

        def make_store(_: str) -> Store:
            store = Store(self._database, self._clock, self._loop, self._chance, self._trouble)
            process.at_end.append(store.lose_connection)
            stores.append(store)
            return store

        make: Callable[..., Any] = Driver
        driver: Driver = make(
            make_store=make_store,
            storage=self._storage,
            database=GivenDatabase(),
            settings=SETTINGS,
            holder=process.name,
            lease_seconds=LEADER_SECONDS,
            metrics=Metrics(CollectorRegistry()),
            proposers=Proposers(),
        )
        self.driver = driver
        try:
            await driver.open()
            listener = Listener(process, self.address, driver.require_no_standby, self._handlers(driver))
            self._network.listen(listener)
            await driver.start(self.address)
        except HippoError:
            self._loop.kill(process)
            return
        error = await driver.duties.over
        if isinstance(error, InvariantViolated):
            self._loop.errors.append(f"{process.name} failed: {error}")
        self._network.leave(listener)
        await self._stop()

    def _handlers(self, driver: Driver) -> dict[str, Callable[..., Any]]:
        logs = UserLogs(self._folder / "logs")
        studies = StudyService(driver, Bundles(driver.storage, self._folder / "uploads"), logs)
        tokens: Any = None
        workers = WorkerService(driver, tokens, logs, driver.storage_address)
        names = ("SubmitStudy", "ExtendStudy", "StopStudy", "PauseStudy", "ResumeStudy", "StopTrial")
        handlers = {name: getattr(studies, name) for name in (*names, "ExtendTrial", "ForkTrial")}
        return handlers | {name: getattr(workers, name) for name in ("RegisterWorker", "Work", "AppendLog")}

    async def _stop(self) -> None:
        try:
            if self.driver is not None:
                await self.driver.stop()
        except Exception as error:  # noqa: BLE001 - a defect, which the simulation reports
            self._loop.errors.append(f"{self.process.name} failed to stop: {error!r}")
        self._loop.kill(self.process)

    def reasons(self) -> list[str]:
        """Why it answers no calls now, by its own clock."""
        found = list[str]()
        driver = self.driver
        if driver is not None:
            self._within(lambda: found.extend(driver.reasons()))
        return found

    def terminate(self) -> None:
        """Ends the server in peace."""
        if self.driver is None:
            return
        for listener in [each for each in self._network.listeners if each.process is self.process]:
            self._network.leave(listener)
        self._within(lambda: self._loop.create_task(self._stop()))
