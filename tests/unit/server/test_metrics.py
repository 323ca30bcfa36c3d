"""What the server counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from hippo_core.engine.events import CheckpointLost
from hippo_server.metrics import Metrics
from tests.unit.engine.test_blocked_storage import blocked_cluster


def test_lost_checkpoints_are_counted_by_what_befell_them_and_from_nought() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)

    def lost(what: str) -> float | None:
        return registry.get_sample_value("hippo_checkpoints_lost_total", {"what": what})

    assert (lost("corrupt"), lost("missing")) == (0.0, 0.0)
    for reason in ("corrupt: a: its digest is 1, not 2.", "missing: a lacks.", "corrupt: the manifest ..."):
        metrics.happened([CheckpointLost(node=1, step=3, fence=7, reason=reason)])
    assert (lost("corrupt"), lost("missing")) == (2.0, 1.0)


def test_workers_that_the_storage_blocks_are_told_while_it_does() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    cluster = blocked_cluster()
    metrics.look_at(cluster.engine)
    assert registry.get_sample_value("hippo_workers_blocked") == 1.0
    cluster.run()
    metrics.look_at(cluster.engine)
    assert registry.get_sample_value("hippo_workers_blocked") == 0.0
    cluster.say_of_storage("a", "no answer")
    metrics.look_at(cluster.engine)
    assert registry.get_sample_value("hippo_workers_blocked") == 1.0
