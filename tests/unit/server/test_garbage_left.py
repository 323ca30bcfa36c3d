"""What makes much in a server does so while garbage is not looked for: it decides, writes, and reads at its start."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from hippo_core.engine.commands import Command, CreateProject
from hippo_core.engine.decision import EngineSettings
from hippo_core.engine.engine import Engine, Outcome
from hippo_core.engine.events import AccountOpened, Event
from hippo_server import garbage
from hippo_server.commits import GroupCommit
from hippo_server.driver import Driver
from hippo_server.metrics import Metrics
from hippo_server.store import Record
from tests.simulation.database import MemoryDatabase, MemoryStore
from tests.simulation.servers import GivenDatabase, Proposers


class NotingStore(MemoryStore):
    """A store that notes whether garbage is looked for while it works."""

    def __init__(self) -> None:
        super().__init__(MemoryDatabase(time.monotonic))
        self.reading: list[bool] = []
        self.writing: list[bool] = []

    def load(self) -> Iterator[Event]:
        self.reading.append(gc.isenabled())
        yield from super().load()

    def write(self, records: Sequence[Record], term: int, batch: int) -> None:
        self.writing.append(gc.isenabled())


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process is a server's, and then looks for garbage as before."""
    monkeypatch.setattr(garbage, "_spares", True)
    assert gc.isenabled()
    gc.unfreeze()
    yield
    assert gc.isenabled()
    gc.unfreeze()


@contextlib.asynccontextmanager
async def leading(store: MemoryStore, folder: Path) -> AsyncIterator[Driver]:
    """A driver that leads."""
    make: Any = Driver
    driver: Driver = make(
        make_store=lambda url: store,
        storage=str(folder),
        database=GivenDatabase(),
        settings=EngineSettings(),
        holder="server",
        lease_seconds=30.0,
        metrics=Metrics(CollectorRegistry()),
        proposers=Proposers(),
    )
    await driver.open()
    await driver.start("address")
    try:
        yield driver
    finally:
        await driver.stop()


async def test_a_term_is_read_where_nothing_is_looked_through(tmp_path: Path) -> None:
    """1. A server takes the lead, and reads what there is. 2. That is left out of all that is looked through."""
    store = NotingStore()
    async with leading(store, tmp_path):
        assert store.reading == [False]
        assert gc.get_freeze_count()


@pytest.mark.parametrize("many", [1, 2])
async def test_a_command_is_decided_where_nothing_is_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    """1. A command makes one event. 2. What it made is left out afterwards, if that is much."""
    monkeypatch.setattr(garbage, "MANY_EVENTS", many)
    handle, deciding = Engine.handle, list[bool]()

    def note(engine: Engine, command: Command, now: float) -> Outcome:
        deciding.append(gc.isenabled())
        return handle(engine, command, now)

    async with leading(MemoryStore(MemoryDatabase(time.monotonic)), tmp_path) as driver:
        gc.unfreeze()
        monkeypatch.setattr(Engine, "handle", note)
        _, record = driver.current().decide(CreateProject(project="other"), "user", "CreateProject")
        assert deciding == [False]
        assert len(record.events) == 1
        assert bool(gc.get_freeze_count()) == (many == 1)


@pytest.mark.parametrize(("many", "looked"), [(2, False), (3, True)])
async def test_a_large_transaction_is_written_where_nothing_is_looked_through(
    monkeypatch: pytest.MonkeyPatch, many: int, looked: bool
) -> None:
    """Two events are put together."""
    monkeypatch.setattr(garbage, "MANY_EVENTS", many)
    store: Any = NotingStore()
    commits = GroupCommit(store, 1, Metrics(CollectorRegistry()), lambda position, began: None)
    records = [
        Record(
            cause="CreateProject",
            events=(AccountOpened(project="default", user=name),),
            answer=None,
            actor="user",
        )
        for name in ("one", "two")
    ]
    commits.put(records)
    await commits.committed()
    await commits.close()
    assert store.writing == [looked]
