"""Slots whose paths are short hold leases beside the one that trains."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hippo_core import policies
from hippo_core.engine.commands import AskAhead, CordonSlots, ReleasedReport, Report, SubmitStudy, Tick
from hippo_core.engine.events import PathFailed
from hippo_core.engine.granting import PATIENCE_SECONDS
from hippo_core.engine.turns import slots_in_use
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import expect_as_trained_alone, spec, submit


def queues(cluster: Cluster, name: str) -> list[int]:
    """How many leases each of a worker's slots holds."""
    return [len(slot.queue) for slot in cluster.engine.state.workers[name].slots.values()]


def ask(cluster: Cluster, slot: int, count: int, fence: int = 0) -> None:
    cluster.tell(AskAhead(worker="a", incarnation="1", slot=slot, count=count, fence=fence))


@pytest.mark.parametrize("seed", range(4))
def test_a_slot_holds_as_many_leases_ahead_as_it_asks_for_and_trials_are_as_trained_alone(seed: int) -> None:
    """1. No slot is given a second lease while another idles, or none asks. 2. One that asks is. 3. All ends well."""
    cluster = Cluster(seed, {"a": 2})
    submit(cluster, spec())
    assert queues(cluster, "a") == [1, 1]
    ask(cluster, 0, 1)
    assert queues(cluster, "a") == [2, 1]
    slots = cluster.engine.state.workers["a"].slots.values()
    told = [order.fence for order in cluster.engine.directives("a").leases]
    assert told == sorted(fence for slot in slots for fence in slot.queue)
    cluster.run()
    expect_as_trained_alone(cluster, "study")


def test_what_waits_in_a_slot_that_is_cordoned_is_told_to_end() -> None:
    cluster = Cluster(0, {"a": 2})
    submit(cluster, spec())
    ask(cluster, 0, 1)
    first, second = cluster.engine.state.workers["a"].slots[0].queue
    cluster.tell(CordonSlots(worker="a", slot=0))
    leases = cluster.engine.state.leases
    assert not leases[first].stopping
    assert leases[second].stopping
    assert [fence for fence, *_ in cluster.engine.directives("a").stops] == [second]
    cluster.run()
    expect_as_trained_alone(cluster, "study")


def test_what_waits_in_a_slot_behind_a_long_path_goes_to_the_next_slot_that_is_free() -> None:
    """1. A slot holds all that is left. 2. Another worker comes, and idles. 3. After a second it is given that."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec())
    ask(cluster, 0, 16)
    (slot,) = cluster.engine.state.workers["a"].slots.values()
    first, *waiting = slot.queue
    assert waiting
    assert cluster.engine.next_deadline() == cluster.now + PATIENCE_SECONDS
    cluster.now += PATIENCE_SECONDS
    cluster.tell(Tick())
    leases = cluster.engine.state.leases
    assert [fence for fence in slot.queue if leases[fence].stopping] == waiting
    assert all(leases[fence].stop_saves for fence in waiting), "one may have begun meanwhile"
    for fence in waiting:
        item = ReleasedReport(reason="stopped")
        cluster.tell(Report(worker="a", incarnation="1", fence=fence, number=1, items=(item,)))
    assert slot.queue == [first], "it is given nothing ahead while that takes so long"
    cluster.run()
    expect_as_trained_alone(cluster, "study")


def test_a_slot_holds_a_lease_behind_a_long_path_that_is_about_to_end_and_behind_that_alone() -> None:
    """
    1. a path has trained for long; a slot that would hold leases behind another one is given none
    2. it is about to end: one waits behind it, for a second
    3. it has ended: none waits behind the next one
    """
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec())
    (slot,) = cluster.engine.state.workers["a"].slots.values()
    (first,) = slot.queue
    lease = cluster.engine.state.leases[first]
    while lease.step < lease.end[1] - 1:
        cluster.act()
    cluster.now += PATIENCE_SECONDS
    ask(cluster, 0, 1, fence=first + 1)
    assert slot.queue == [first]
    ask(cluster, 0, 1, fence=first)
    _, second = slot.queue
    assert cluster.engine.next_deadline() == cluster.now + PATIENCE_SECONDS
    while slot.queue[0] == first:
        cluster.act()
    assert slot.queue == [second]
    cluster.run()
    expect_as_trained_alone(cluster, "study")


def test_what_waits_behind_a_path_that_does_not_end_when_it_was_to_is_given_back() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec())
    (slot,) = cluster.engine.state.workers["a"].slots.values()
    (first,) = slot.queue
    cluster.now += 2 * PATIENCE_SECONDS
    ask(cluster, 0, 1, fence=first)
    _, second = slot.queue
    cluster.now += PATIENCE_SECONDS
    cluster.tell(Tick())
    leases = cluster.engine.state.leases
    assert leases[second].stopping
    assert not leases[first].stopping


def test_what_comes_late_behind_a_path_is_given_back_as_soon_as_what_came_early() -> None:
    """1. A slot asks for what is to wait there; nothing is. 2. Near the end of its patience something is granted."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, replace(spec(), max_trials=1))
    ask(cluster, 0, 1)
    (slot,) = cluster.engine.state.workers["a"].slots.values()
    (first,) = slot.queue
    until = cluster.now + PATIENCE_SECONDS
    cluster.now += 0.75 * PATIENCE_SECONDS
    submit(cluster, replace(spec(name="other", rates=[0.2]), max_trials=1))
    _, second = slot.queue
    assert cluster.engine.next_deadline() == until
    cluster.now = until
    cluster.tell(Tick())
    leases = cluster.engine.state.leases
    assert leases[second].stopping
    assert not leases[first].stopping


def test_nothing_waits_behind_a_path_whose_end_somebody_may_go_on_from() -> None:
    """1. Rungs are asked for one after the other. 2. A rung's path is about to end: its slot may be to go on."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(policy=policies.sha(1)))
    (slot,) = cluster.engine.state.workers["a"].slots.values()
    (first,) = slot.queue
    ask(cluster, 0, 1, fence=first)
    assert slot.queue == [first]
    ask(cluster, 0, 1)
    assert len(slot.queue) == 2, "there is what could wait"


def test_nothing_waits_behind_a_path_from_whose_end_another_study_goes_on() -> None:
    """1. A path comes near its end. 2. Another study wants the same points trained further. 3. None waits behind it."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=[0.1, 0.2, 0.3]))
    (slot,) = cluster.engine.state.workers["a"].slots.values()
    (first,) = slot.queue
    submit(cluster, spec(name="longer", rates=[0.1, 0.2, 0.3], max_steps=30))
    ask(cluster, 0, 1, fence=first)
    assert slot.queue == [first]
    ask(cluster, 0, 1)
    assert len(slot.queue) == 2, "there is what could wait"


def test_what_waits_in_slots_is_given_back_when_another_user_comes() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec())
    ask(cluster, 0, 2)
    (slot,) = cluster.engine.state.workers["a"].slots.values()
    first, *waiting = slot.queue
    assert slots_in_use(cluster.engine.state)["default", "u"] == 1
    cluster.tell(SubmitStudy(project="default", user="v", spec=spec(name="other")))
    leases = cluster.engine.state.leases
    assert [fence for fence in slot.queue if leases[fence].stopping] == waiting
    assert not leases[first].stopping
    cluster.run()
    expect_as_trained_alone(cluster, "study")


def test_a_worker_that_dies_has_not_died_of_what_waited() -> None:
    """1. A slot trains one path and holds another. 2. Its worker dies. 3. It is taken to have died of the first."""
    cluster = Cluster(0, {"a": 1, "b": 1})
    submit(cluster, spec())
    ask(cluster, 0, 1)
    first, _ = cluster.engine.state.workers["a"].slots[0].queue
    mark = len(cluster.journal)
    cluster.kill_worker("a")
    assert [each.fence for each in cluster.journal[mark:] if isinstance(each, PathFailed)] == [first]
    cluster.run()
    expect_as_trained_alone(cluster, "study")
