"""Slots that are granted nothing: by a user's word, or since their device failed its health check."""

from __future__ import annotations

import pytest

from hippo_core.engine.commands import CordonSlots, ReportHealth, UncordonSlots
from hippo_core.engine.events import LeaseGranted
from hippo_core.engine.states import StudyState
from hippo_core.engine.study_views import study_view
from hippo_core.engine.worker_views import worker_views
from hippo_core.errors import NotFound, Stale
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import expect_as_trained_alone, spec, submit


def cordons(cluster: Cluster, name: str) -> list[str]:
    """Why each of a worker's slots is cordoned."""
    (view,) = [each for each in worker_views(cluster.engine) if each.name == name]
    return [slot.cordoned for slot in view.slots]


def granted(cluster: Cluster, since: int = 0) -> set[tuple[str, int]]:
    """The slots that paths were granted to."""
    return {(each.worker, each.slot) for each in cluster.journal[since:] if isinstance(each, LeaseGranted)}


def test_a_cordoned_slot_ends_what_it_trains_and_is_given_no_more() -> None:
    """1. Slot 0 of a is cordoned while it trains. 2. Its path goes on to its end. 3. All else goes to the others."""
    cluster = Cluster(0, {"a": 2, "b": 1})
    submit(cluster, spec())
    while not all(slot.fence for slot in cluster.engine.state.workers["a"].slots.values()):
        cluster.act()
    fence = cluster.engine.state.workers["a"].slots[0].fence
    cluster.tell(CordonSlots(worker="a", slot=0, reason="a fan is broken"))
    mark = len(cluster.journal)
    assert cluster.engine.state.leases[fence or 0].training
    assert cordons(cluster, "a") == ["a fan is broken", ""]
    cluster.run()
    assert granted(cluster, mark) == {("a", 1), ("b", 0)}
    expect_as_trained_alone(cluster, "study")


def test_a_study_that_waits_for_cordoned_slots_says_so_until_they_are_lifted() -> None:
    cluster = Cluster(0, {"a": 2})
    cluster.cordon("a")
    submit(cluster, spec())
    reason = study_view(cluster.engine, "default", "study").reason
    assert reason.startswith("every slot that fits is cordoned; slot 0 of a: cordoned by a user.")
    assert granted(cluster) == set()
    cluster.tell(UncordonSlots(worker="a", slot=1))
    assert granted(cluster) == {("a", 1)}
    assert cordons(cluster, "a") == ["cordoned by a user", ""]
    cluster.run()
    assert study_view(cluster.engine, "default", "study").state is StudyState.COMPLETED


def test_a_health_check_lifts_its_own_cordon_and_no_users() -> None:
    cluster = Cluster(0, {"a": 1})
    cluster.say_of_health("a", failed=True)
    assert cordons(cluster, "a") == ["its device failed the health check: no CUDA device"]
    cluster.say_of_health("a", failed=False)
    assert cordons(cluster, "a") == [""]
    cluster.say_of_health("a", failed=True)
    cluster.cordon("a")
    cluster.say_of_health("a", failed=False)
    assert cordons(cluster, "a") == ["cordoned by a user"]
    cluster.uncordon("a")
    assert cordons(cluster, "a") == [""]


def test_a_users_cordon_outlasts_the_workers_life_and_a_failed_check_does_not() -> None:
    """1. Both slots of a are cordoned, one by each. 2. a dies and comes back. 3. The user's stands."""
    cluster = Cluster(0, {"a": 2})
    cluster.say_of_health("a", failed=True)
    cluster.tell(CordonSlots(worker="a", slot=1))
    cluster.restart_server()
    assert all(cordons(cluster, "a")), "it is the same life of the worker"
    cluster.kill_worker("a")
    assert cordons(cluster, "a") == ["", "cordoned by a user"]


def test_said_again_nothing_changes() -> None:
    cluster = Cluster(0, {"a": 1})
    for change in (cluster.cordon, cluster.uncordon):
        change("a")
        before = len(cluster.journal)
        change("a")
        assert len(cluster.journal) == before


def test_what_is_not_there_is_told() -> None:
    cluster = Cluster(0, {"alpha": 2})
    with pytest.raises(NotFound, match=r"no worker 'alpa'\. Did you mean 'alpha'"):
        cluster.cordon("alpa")
    with pytest.raises(NotFound, match=r"no slot 2\. Its slots: 0, 1"):
        cluster.tell(UncordonSlots(worker="alpha", slot=2))
    with pytest.raises(Stale, match="not registered"):
        cluster.tell(ReportHealth(worker="alpha", incarnation="of old", slot=0, failed=True))
