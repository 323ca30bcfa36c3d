"""PostgreSQL and its stand-in, taken through the same life at random: what one holds the other holds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from hippo_core import policies
from hippo_core.engine.commands import (
    Command,
    DeleteStudy,
    ExtendStudy,
    ForkTrial,
    PauseStudy,
    ResumeStudy,
    StopStudy,
    SubmitStudy,
)
from hippo_core.engine.engine import Engine
from hippo_core.engine.orders import RemoveCheckpoint
from hippo_core.errors import HippoError, Stale
from hippo_server.store import Record, RequestAnswer, Store
from tests.simulation.database import MemoryDatabase, MemoryStore
from tests.simulation.test_store_contract import lead_soon
from tests.unit.engine.cluster import SETTINGS, Cluster
from tests.unit.engine.test_cluster import PIECES, spec

POLICIES = [policies.full(), policies.asha(min_steps=1, reduction_factor=3)]
NAMES = st.sampled_from(["first", "second"])
EDITS: list[Callable[[str], Command]] = [
    lambda name: PauseStudy(project="default", name=name),
    lambda name: ResumeStudy(project="default", name=name),
    lambda name: StopStudy(project="default", name=name),
    lambda name: DeleteStudy(project="default", name=name),
    lambda name: ExtendStudy(project="default", name=name, max_steps=11),
    lambda name: ForkTrial(project="default", name=name, trial=0, at=3, hyperparameters={"lr": 0.5}),
]


class Recorded(Cluster):
    """A cluster whose decisions wait to be written."""

    def __init__(self, seed: int) -> None:
        self.waiting: list[Record] = []
        super().__init__(seed, {"a": 2, "b": 1})

    def tell(self, command: Any) -> Any:
        before = len(self.journal)
        result = super().tell(command)
        events = tuple(self.journal[before:])
        if events:
            self.waiting.append(Record(cause="c", events=events, answer=None, actor="a"))
        return result


class Stores(RuleBasedStateMachine):
    """A cluster lives; its records are written to both stores, alike.

    Attributes:
        url: Makes an empty database.
    """

    url: Callable[[], str]

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        url, database = type(self).url(), MemoryDatabase(now=lambda: 0.0)
        self.cluster = Recorded(seed)
        # A leader and its rival on each: PostgreSQL first, its stand-in second.
        self.leading: tuple[Any, Any] = (Store(url), MemoryStore(database))
        self.waiting: tuple[Any, Any] = (Store(url), MemoryStore(database))
        self.batch, self.requests = 0, 0
        self.term = self._both(lambda store: store.lead("one", 600.0))
        self._write()

    def _both(self, ask: Callable[[Any], Any]) -> Any:
        found, expected = (ask(store) for store in self.leading)
        assert found == expected
        return found

    def _write(self) -> None:
        records, self.cluster.waiting = self.cluster.waiting, []
        if records:
            self.batch += 1
            self._both(lambda store: store.write(records, self.term, self.batch))

    @rule(name=NAMES, policy=st.sampled_from(POLICIES), every=st.sampled_from([None, 2]))
    def submit(self, name: str, policy: policies.PolicySpec, every: int | None) -> None:
        made = spec(name, PIECES[:3], policy=policy, checkpoint_every=every)
        with contextlib.suppress(HippoError):
            self.cluster.tell(SubmitStudy(project="default", user="u", spec=made))
        self._write()

    @rule(name=NAMES, edit=st.sampled_from(EDITS))
    def edit(self, name: str, edit: Callable[[str], Command]) -> None:
        with contextlib.suppress(HippoError):
            self.cluster.tell(edit(name))
        self._write()

    @rule(actions=st.integers(1, 40), together=st.booleans())
    def act(self, actions: int, together: bool) -> None:
        for _ in range(actions):
            self.cluster.act()
            if not together:
                self._write()
        self._write()

    @rule(fault=st.sampled_from(["kill_worker", "kill_runner", "fail_save", "lose_worker"]))
    def fault(self, fault: str) -> None:
        getattr(self.cluster, fault)("a")
        self._write()

    @rule()
    def remove_files(self) -> None:
        wanted = [each for each in self.cluster.engine.wanted() if isinstance(each, RemoveCheckpoint)]
        gone = [(each.node, each.step, each.fence) for each in wanted]
        if not gone:
            return
        for each in wanted:
            self.cluster.storage.pop((each.node, each.step, each.fence), None)
        self._both(lambda store: store.forget_checkpoints(gone))
        self.cluster.engine.removed(wanted)

    @rule()
    def answer(self) -> None:
        self.requests += 1
        kept = RequestAnswer(request_id=f"r{self.requests}", method="m", digest="d", answer=b"\x00a")
        self.batch += 1
        records = [Record(cause="c", events=(), answer=kept, actor="a")]
        self._both(lambda store: store.write(records, self.term, self.batch))

    @rule()
    def take_over(self) -> None:
        """The leader's connection goes, the rival leads, and the former leader can write no more."""
        former = self.leading
        for store in former:
            store.close()
        self.leading, self.waiting = self.waiting, former
        earlier, self.term = self.term, self._both(lambda store: lead_soon(store, "other", 600.0))
        assert self.term == earlier + 1
        for store in former:
            with pytest.raises(Stale):
                store.write([Record(cause="c", events=(), answer=None, actor="a")], earlier, self.batch + 1)
        self.batch = 0
        self.cluster.engine = Engine.restore(self.leading[0].load(), SETTINGS, self.cluster.now)
        for name in self.cluster.workers:
            self.cluster.register(name)
        self._write()

    @invariant()
    def the_same(self) -> None:
        if not hasattr(self, "leading"):
            return
        found, expected = (Engine.restore(store.load(), SETTINGS, 0.0).snapshot() for store in self.leading)
        assert found == expected == self.cluster.engine.snapshot()
        self._both(lambda store: store.needed_checkpoints())
        self._both(lambda store: sorted((each.request_id, bytes(each.answer)) for each in store.answers()))

    def teardown(self) -> None:
        if hasattr(self, "leading"):
            for store in (*self.leading, *self.waiting):
                store.close()


def test_postgresql_and_its_stand_in_hold_the_same(
    new_database: Callable[[str], str], database_template: str
) -> None:
    class Machine(Stores):
        url = staticmethod(lambda: new_database(database_template))

    run_state_machine_as_test(
        Machine,
        settings=settings(max_examples=4, stateful_step_count=20, suppress_health_check=list(HealthCheck)),
    )
