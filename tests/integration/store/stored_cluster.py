"""The simulated cluster with its engine's decisions written to a real PostgreSQL, and rebuilt from there."""

from __future__ import annotations

from collections.abc import Mapping

from hippo_core.engine.commands import Command
from hippo_core.engine.decision import EngineSettings
from hippo_core.engine.engine import Engine, Result
from hippo_server.store import Record, Store
from tests.unit.engine.cluster import SETTINGS, Cluster, to_run


class StoredCluster(Cluster):
    """A cluster with a store.

    Args:
        seed: Decides which of the possible actions comes next.
        workers: Slots by worker.
        store: On a migrated database.
        commands: How many commands are written in one transaction.
        settings: The engine's.
    """

    def __init__(
        self,
        seed: int,
        workers: Mapping[str, int],
        store: Store,
        commands: int = 1,
        settings: EngineSettings = SETTINGS,
    ) -> None:
        self.store = store
        self.commands = commands
        self.term = store.lead("test", 10.0)
        self.batch = 0
        self.waiting: list[Record] = []
        super().__init__(seed, workers, settings)

    def tell(self, command: Command) -> Result:
        before = len(self.journal)
        result = super().tell(command)
        events = tuple(self.journal[before:])
        if events:
            cause = type(command).__name__
            self.waiting.append(Record(cause=cause, events=events, answer=None, actor="test"))
        if len(self.waiting) >= self.commands:
            self.write()
        return result

    def write(self) -> None:
        """Writes what waits."""
        if self.waiting:
            self.batch += 1
            self.store.write(self.waiting, self.term, self.batch)
            self.waiting = []

    def expect_equal_from_rows(self) -> None:
        """An engine rebuilt from the rows equals the one that lived."""
        self.write()
        rebuilt = Engine.restore(self.store.load(), self.settings, self.now)
        assert rebuilt.snapshot() == self.engine.snapshot()
        assert to_run(rebuilt) == to_run(self.engine)

    def restart_server(self) -> None:
        """The engine is dropped and rebuilt from the rows; workers present their leases again."""
        self.expect_equal_from_rows()
        self.term = self.store.lead("test", 10.0)
        self.batch = 0
        self.engine = Engine.restore(self.store.load(), self.settings, self.now)
        for name in self.workers:
            self.register(name)
