"""What stages that are still to run wait for, as operators count them."""

from __future__ import annotations

import pytest

from hippo_core.engine.events import SlotUncordoned
from hippo_core.engine.stage_counts import StageState, stage_counts
from tests.unit.engine.cluster import Cluster, SimulatedWorker
from tests.unit.engine.test_blocked_storage import blocked_cluster
from tests.unit.engine.test_cluster import spec, submit
from tests.unit.engine.test_quotas import allow


def counted(cluster: Cluster) -> dict[str, int]:
    """The states that stages are in."""
    return {state.value: count for state, count in stage_counts(cluster.engine).items() if count}


def test_stages_wait_for_workers_then_for_slots_and_are_gone_when_all_is_trained() -> None:
    """1. No worker: what begins at step 0 is unserved. 2. One slot: one path, the rest queues. 3. Nothing is left."""
    cluster = Cluster(0, {})
    submit(cluster, spec())
    before = counted(cluster)
    assert before.keys() == {"unserved", "waiting"}
    cluster.workers["a"] = SimulatedWorker("a", 1, "a")
    cluster.register("a")
    after = counted(cluster)
    assert after["training"] == 1
    assert "unserved" not in after
    assert after["queued"] == before["unserved"] - 1
    on_the_path = after["training"] + after["granted"]
    split = sum(after.values()) - sum(before.values())
    assert 0 <= split <= on_the_path, "a path may leave a stage on its way; the rest of that waits"
    cluster.run()
    assert counted(cluster) == {}


@pytest.mark.parametrize("project_slots", [None, 1])
def test_no_stage_is_startable_while_a_slot_idles_for_a_limits_sake(project_slots: int | None) -> None:
    """A limit of a user or of the project keeps slots idle: that is as it should be, and no stall."""
    cluster = Cluster(0, {"a": 3})
    if project_slots is None:
        allow(cluster, "default", "u", max_slots=1)
    else:
        allow(cluster, "default", "", max_slots=project_slots)
    submit(cluster, spec())
    found = counted(cluster)
    assert found["training"] == 1
    assert found["queued"] >= 1
    assert "startable" not in found


def test_what_could_start_and_does_not_is_startable() -> None:
    """As it would be if the engine had left an idle slot idle: taken here before it grants."""
    cluster = Cluster(0, {"a": 2})
    cluster.cordon("a")
    submit(cluster, spec())
    assert counted(cluster).keys() == {"queued", "waiting"}
    for slot in cluster.engine.state.workers["a"].slots:
        cluster.engine.apply(SlotUncordoned(worker="a", slot=slot))
    assert counted(cluster).keys() == {"startable", "waiting"}


def test_stages_of_a_plan_without_space_are_held() -> None:
    cluster = blocked_cluster()
    (plan,) = cluster.engine.state.plans
    queued = counted(cluster).get("unserved", 0) + counted(cluster).get("queued", 0)
    volatile = cluster.engine.volatile
    assert queued > 0
    volatile.held[plan] = cluster.now + 60.0
    assert counted(cluster)[StageState.HELD] == queued
    del volatile.held[plan]
    volatile.full[plan] = 1
    assert counted(cluster)[StageState.HELD] == queued, "one path tries whether there is space again"
