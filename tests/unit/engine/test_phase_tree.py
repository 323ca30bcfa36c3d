"""The phase tree in the engine, in a finite space: each of its points to its end, once."""

from __future__ import annotations

import pytest

from hippo_core import policies, samplers, schedules, space
from hippo_core.engine.states import StudyState, TrialState
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import expect_as_trained_alone
from tests.unit.engine.test_policies import study_of
from tests.unit.engine.test_proposals import spec as study_spec
from tests.unit.engine.test_proposals import submit_few


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("workers", [{"a": 1}, {"a": 2, "b": 2}], ids=["one", "four"])
@pytest.mark.parametrize("later", [[1.0, 0.2], [0.4, 0.2, 0.3]], ids=["4 points", "6 points"])
def test_all_points_of_a_space_are_completed_once(
    seed: int, workers: dict[str, int], later: list[float]
) -> None:
    """1. 40 trials may be. 2. The server restarts on the way. 3. Each point is completed once; the study says so."""
    cluster = Cluster(seed, workers)
    rate = schedules.piecewise([space.choice([1.0, 0.5]), space.choice(later)], [6])
    made = study_spec(
        {"lr": rate}, max_trials=40, max_steps=12, sampler=samplers.phase_tree(), policy=policies.phase_tree()
    )
    submit_few(cluster, made)
    for _ in range(20):
        cluster.act()
    cluster.restart_server()
    cluster.run()
    study = study_of(cluster)
    points = 2 * len(later)
    assert study.state is StudyState.COMPLETED
    assert study.reason == f"max_trials=40, but the space has {points} points"
    ends = [trial for trial in study.trials.values() if trial.state is TrialState.COMPLETED]
    assert len({made.identity(trial.assignment) for trial in ends}) == len(ends) == points
    expect_as_trained_alone(cluster, "study")
