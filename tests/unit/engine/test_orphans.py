"""A worker that is cut off goes on where it was when it returns, unless another slot has taken its work."""

from __future__ import annotations

import pytest

from hippo_core.engine.commands import Heartbeat, Tick
from hippo_core.engine.events import LeaseStateChanged
from hippo_core.engine.states import LeaseState, StudyState
from hippo_core.engine.study_views import study_view
from tests.unit.engine.cluster import SETTINGS, Cluster
from tests.unit.engine.test_cluster import expect_as_trained_alone, spec, submit


def begin(cluster: Cluster) -> None:
    """A study is in the middle of its first paths."""
    submit(cluster, spec())
    for _ in range(25):
        cluster.act()


def states(cluster: Cluster, fence: int) -> list[LeaseState]:
    """What has become of a lease, in order."""
    return [
        each.state for each in cluster.journal if isinstance(each, LeaseStateChanged) and each.fence == fence
    ]


@pytest.mark.parametrize("how", ["heartbeat", "registration", "report"])
def test_the_only_worker_comes_back_and_no_step_is_trained_again(how: str) -> None:
    """
    1. the only worker is not heard of for a lease's time: its leases are orphaned, and nobody takes their work
    2. it trains on meanwhile; it is heard of again, by any of three ways: the same fences go on
    3. the study ends with no step trained twice
    """
    cluster = Cluster(1, {"a": 2})
    begin(cluster)
    fences = set(cluster.engine.state.leases)
    assert fences
    cluster.lose_worker("a")
    assert set(cluster.engine.state.orphans) == fences
    assert not cluster.engine.state.leases
    before = cluster.engine.snapshot()
    worker = cluster.workers["a"]
    for running in worker.running.values():
        if not running.done:
            cluster.train(worker, running)
    assert cluster.engine.snapshot() == before
    if how == "heartbeat":
        cluster.tell(Heartbeat(worker="a", incarnation="1"))
    elif how == "registration":
        cluster.restart_server()
    else:
        cluster.report(worker, next(each for each in worker.running.values() if each.has_news))
    assert not cluster.engine.state.orphans
    assert set(cluster.engine.state.leases) >= fences - {0} or all(states(cluster, each) for each in fences)
    assert all(LeaseState.EXPIRED not in states(cluster, each) for each in fences)
    cluster.run()
    savings = study_view(cluster.engine, "default", "study").savings
    assert savings.steps_retrained == 0
    assert savings.steps_trained == cluster.trained
    expect_as_trained_alone(cluster, "study")


def test_what_another_slot_has_taken_is_not_given_back() -> None:
    """1. a falls silent; b idles by then or later, and takes its path. 2. a returns: its fence is refused."""
    cluster = Cluster(2, {"a": 1, "b": 1})
    begin(cluster)
    (lost,) = [lease.fence for lease in cluster.engine.state.leases.values() if lease.worker == "a"]
    cluster.lose_worker("a")
    running = cluster.workers["a"].running[lost]
    while lost in cluster.engine.state.orphans:
        worker = cluster.workers["b"]
        cluster.now += 0.01
        cluster.tell(Heartbeat(worker="b", incarnation="1"))
        cluster.receive(worker)
        for each in list(worker.running.values()):
            if each.has_news:
                cluster.report(worker, each)
            elif each.spool:
                cluster.publish(each)
            elif not each.done:
                cluster.train(worker, each)
    assert states(cluster, lost)[-2:] == [LeaseState.ORPHANED, LeaseState.EXPIRED]
    assert running.order.fence == lost
    cluster.run()
    assert study_view(cluster.engine, "default", "study").state is StudyState.COMPLETED
    expect_as_trained_alone(cluster, "study")


def test_an_orphan_of_an_earlier_life_is_released() -> None:
    cluster = Cluster(3, {"a": 1})
    begin(cluster)
    fences = set(cluster.engine.state.leases)
    cluster.lose_worker("a")
    cluster.restart_server_without_workers()
    assert set(cluster.engine.state.orphans) == fences
    cluster.kill_worker("a")
    assert not cluster.engine.state.orphans
    assert all(states(cluster, each)[-1] is LeaseState.RELEASED for each in fences)
    cluster.run()
    expect_as_trained_alone(cluster, "study")


@pytest.mark.parametrize("seed", range(20))
def test_workers_that_are_cut_off_again_and_again_change_no_result(seed: int) -> None:
    cluster = Cluster(seed, {"a": 1, "b": 2})
    begin(cluster)
    for turn in range(6):
        cluster.lose_worker("ab"[turn % 2])
        for _ in range(7 * turn):
            cluster.act()
        if turn == 3:
            cluster.restart_server()
    cluster.run()
    expect_as_trained_alone(cluster, "study")
    cluster.now += SETTINGS.lease_seconds
    cluster.tell(Tick())
    assert not cluster.engine.state.leases
