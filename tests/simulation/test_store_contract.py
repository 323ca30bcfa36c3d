"""What a server may count on of its database: one suite for PostgreSQL and for what stands in for it in simulations."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hippo_core.engine.commands import SubmitStudy
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import CheckpointDropped, Event
from hippo_core.errors import Stale, Standby
from hippo_server.store import Record, RequestAnswer, StandbyServer, Store
from tests.simulation.database import MemoryDatabase, MemoryStore
from tests.unit.engine.cluster import SETTINGS, Cluster
from tests.unit.engine.test_cluster import PIECES, spec, submit
from tests.waiting import until

AnyStore = Any  # a Store, or what has its interface
LEASE_SECONDS = 0.4


def lead_soon(store: AnyStore, holder: str, seconds: float) -> int:
    """Takes over; PostgreSQL notices a moment later that the former leader's connection is closed.

    Args:
        store: Whose.
        holder: Who leads then.
        seconds: For how long without a renewal.
    """

    def term() -> int:
        with contextlib.suppress(Standby):
            taken: int = store.lead(holder, seconds)
            return taken
        return 0

    return until(term, "the former leader's leaving")


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Place:
    """A database, and stores on it.

    Args:
        make: Makes a store.
        sleep: Waits, seconds.
    """

    def __init__(self, make: Callable[[], AnyStore], sleep: Callable[[float], None]) -> None:
        self._make = make
        self.sleep = sleep
        self.stores: list[AnyStore] = []

    def store(self) -> AnyStore:
        self.stores.append(self._make())
        return self.stores[-1]


@pytest.fixture(params=["memory", "PostgreSQL"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "memory":
        clock = Clock()
        database = MemoryDatabase(now=lambda: clock.now)
        found = Place(lambda: MemoryStore(database), clock.sleep)
    else:
        url = request.getfixturevalue("database_url")
        found = Place(lambda: Store(url), time.sleep)
    yield found
    for store in found.stores:
        store.close()


def record(events: tuple[Event, ...] = (), request_id: str = "") -> Record:
    answer = RequestAnswer(request_id=request_id, method="m", digest="d", answer=request_id.encode())
    return Record(cause="c", events=events, actor="a", answer=answer if request_id else None)


def submitted(name: str = "study") -> tuple[Event, ...]:
    command = SubmitStudy(project="default", user="u", spec=spec(name, PIECES[:1]))
    return Engine(SETTINGS).handle(command, 0.0).events


def rebuilt(store: AnyStore) -> dict[str, object]:
    return Engine.restore(store.load(), SETTINGS, 0.0).snapshot()


def test_each_take_over_has_a_higher_term(place: Place) -> None:
    store = place.store()
    assert [store.lead("one", LEASE_SECONDS) for _ in range(3)] == [1, 2, 3]


def test_who_leads_and_renews_is_not_replaced(place: Place) -> None:
    """1. One leads, and renews or writes in time. 2. Another looks again and again: it is told who leads, and where."""
    first, second = place.store(), place.store()
    term = first.lead("one", LEASE_SECONDS, "127.0.0.1:7440")
    for batch in range(1, 5):
        with pytest.raises(Standby) as told:
            second.lead("two", LEASE_SECONDS)
        assert (told.value.holder, told.value.address) == ("one", "127.0.0.1:7440")
        place.sleep(LEASE_SECONDS / 2.0)
        if batch % 2:
            first.renew(term)
        else:
            first.write([record(request_id=f"r{batch}")], term, batch)


def lapse(place: Place, store: AnyStore) -> int:
    """The leader is not heard of for its lease, and another takes over."""
    with pytest.raises(Standby):
        store.lead("two", LEASE_SECONDS)
    place.sleep(LEASE_SECONDS + 0.05)
    term: int = store.lead("two", LEASE_SECONDS)
    return term


def test_a_leader_that_lapses_is_replaced_and_can_write_and_renew_no_more(place: Place) -> None:
    first, second = place.store(), place.store()
    term = first.lead("one", LEASE_SECONDS)
    assert lapse(place, second) == term + 1
    with pytest.raises(Stale):
        first.write([record(submitted(), "late")], term, 1)
    with pytest.raises(Stale):
        first.renew(term)
    with pytest.raises(Stale):
        first.forget_checkpoints([(1, 1, 1)])
    assert list(second.load()) == []
    assert list(second.answers()) == []


def test_a_leader_whose_connection_is_gone_is_replaced_at_once(place: Place) -> None:
    first, second = place.store(), place.store()
    term = first.lead("one", 600.0)
    first.close()
    assert lead_soon(second, "two", LEASE_SECONDS) == term + 1


def test_who_resigns_is_replaced_at_once_and_an_earlier_term_resigns_nothing(place: Place) -> None:
    first, second = place.store(), place.store()
    term = first.lead("one", 600.0)
    first.resign(term)
    later = second.lead("two", 600.0)
    first.resign(term)
    second.renew(later)
    with pytest.raises(Standby):
        first.lead("one", LEASE_SECONDS)


def test_events_and_answers_come_back_to_whoever_leads_next(place: Place) -> None:
    first, second = place.store(), place.store()
    term = first.lead("one", 600.0)
    first.write([record(submitted(), "r1"), record(request_id="r2")], term, 1)
    expected = Engine.restore(submitted(), SETTINGS, 0.0).snapshot()
    first.close()
    lead_soon(second, "two", LEASE_SECONDS)
    assert rebuilt(second) == expected
    assert [(each.request_id, bytes(each.answer)) for each in second.answers()] == [
        ("r1", b"r1"),
        ("r2", b"r2"),
    ]


def test_who_stands_by_is_told_until_it_does_no_more(place: Place) -> None:
    store = place.store()
    servers = [StandbyServer(holder=name, address="a", version="1") for name in ("one", "two")]
    for server in (*servers, servers[0]):
        store.stand_by(server, 600.0)
    assert store.standbys() == servers
    store.stand_by_no_more("one")
    assert store.standbys() == servers[1:]


class WrittenCluster(Cluster):
    """A cluster whose decisions are written one by one.

    Args:
        store: Where to.
    """

    def __init__(self, store: AnyStore) -> None:
        self.store = store
        self.term = store.lead("one", 600.0)
        self.batch = 0
        super().__init__(1, {"a": 1, "b": 1})

    def tell(self, command: Any) -> Any:
        before = len(self.journal)
        result = super().tell(command)
        self.write(tuple(self.journal[before:]))
        return result

    def write(self, events: tuple[Event, ...]) -> None:
        if events:
            self.batch += 1
            self.store.write([record(events)], self.term, self.batch)


def kept(engine: Engine) -> dict[tuple[int, int, int], None]:
    return {
        (node.id, step, fence): None
        for node in engine.state.nodes.values()
        for step, fences in node.checkpoints.items()
        for fence in fences
    }


def drop(cluster: WrittenCluster, place: tuple[int, int, int]) -> None:
    """A checkpoint is dropped, and its files go."""
    event = CheckpointDropped(node=place[0], step=place[1], fence=place[2], reason="unneeded")
    cluster.engine.apply(event)
    cluster.write((event,))


def test_checkpoints_that_are_gone_are_forgotten_and_others_are_needed(place: Place) -> None:
    """1. A study ends. 2. One of its states is dropped: its files are needed still, to be removed. 3. They are gone,
    and forgotten: nobody needs them. 4. To forget what is kept does nothing."""
    cluster = WrittenCluster(place.store())
    submit(cluster, spec(rates=PIECES[:2]))
    cluster.run()
    gone, other = list(kept(cluster.engine))[:2]
    drop(cluster, gone)
    assert cluster.store.needed_checkpoints().holds(*gone)
    cluster.store.forget_checkpoints([gone, other])
    needed = cluster.store.needed_checkpoints()
    assert not needed.holds(*gone)
    assert needed.holds(*other)
    assert needed.holds(1, 1, cluster.engine.state.last_fence + 1)
    assert rebuilt(cluster.store) == cluster.engine.snapshot()
    assert Engine.restore(cluster.store.load(), SETTINGS, 0.0).state.dropped == {}


def test_a_promise_that_was_kept_stays_kept_when_its_checkpoint_is_gone(place: Place) -> None:
    """1. A lease saves a state on its way. 2. That is dropped and its files removed, while the lease trains on. 3. A
    server that is rebuilt from the rows still knows that the lease owes nothing there."""
    cluster = WrittenCluster(place.store())
    submit(cluster, spec(rates=PIECES))
    while True:
        cluster.act()
        early = [
            (node, step, lease.fence)
            for lease in cluster.engine.state.leases.values()
            for (node, step), promise in lease.promises.items()
            if promise == "kept" and lease.training
        ]
        if early:
            break
    drop(cluster, early[0])
    cluster.store.forget_checkpoints([early[0]])
    assert rebuilt(cluster.store) == cluster.engine.snapshot()
