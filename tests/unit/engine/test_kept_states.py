"""Which saved states are kept: those that a user asks for, from which a trial that comes later goes on."""

from __future__ import annotations

import pytest

from hippo_core import samplers, schedules, space
from hippo_core.engine.commands import ExtendStudy
from hippo_core.engine.events import CheckpointDropped
from tests.studies import study
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import submit
from tests.unit.engine.test_policies import study_of


def test_a_save_that_nobody_asked_for_is_dropped_once_the_path_has_saved_again() -> None:
    """1. A path saves on its way, as a worker does from time to time. 2. It comes to its end."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, study({"lr": 0.1}, max_steps=6))
    worker = cluster.workers["a"]
    cluster.receive(worker)
    (running,) = worker.running.values()
    cluster.train(worker, running)
    running.spool[running.state] = running.model
    cluster.publish(running)
    cluster.report(worker, running)
    node = cluster.engine.state.nodes[running.state[0]]
    assert list(node.checkpoints) == [1]
    cluster.run()
    assert list(node.checkpoints) == [6]
    (dropped,) = [event for event in cluster.journal if isinstance(event, CheckpointDropped)]
    assert (dropped.node, dropped.step) == (node.id, 1)


@pytest.mark.parametrize(("checkpoint_every", "retrained"), [(3, 0), (2, 1), (None, 3)])
def test_a_later_trial_goes_on_from_a_multiple_of_checkpoint_every(
    checkpoint_every: int | None, retrained: int
) -> None:
    """1. One trial is trained to its end. 2. The study is extended by one that parts from it at step 3."""
    cluster = Cluster(0, {"a": 1})
    late = schedules.piecewise([0.2, space.loguniform(1e-3, 0.1)], milestones=[3])
    made = study(
        {"lr": late}, max_trials=1, max_steps=6, sampler=samplers.random(), checkpoint_every=checkpoint_every
    )
    submit(cluster, made)
    cluster.run()
    cluster.tell(ExtendStudy(project="default", name="study", max_trials=2))
    cluster.run()
    assert study_of(cluster).steps_retrained == retrained
    assert study_of(cluster).steps_trained == 9 + retrained
