"""What people see of a study, at many moments of random runs, is what they see of its trials."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from hippo_core import policies, schedules
from hippo_core.engine.states import TrialState
from hippo_core.engine.study_views import study_view
from hippo_core.engine.trial_detail import trial_detail
from hippo_core.engine.trial_views import trial_views
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import spec, submit
from tests.unit.engine.test_forks import fork

POLICY = policies.asha(min_steps=1, reduction_factor=3)


@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize("seed", range(2))
def test_counts_steps_and_the_best_are_those_of_its_trials(seed: int, repeats: int) -> None:
    """Looked at one by one, which the study's view does not; with a fork; alone and with repeats."""
    cluster = Cluster(seed, {"a": 2})
    submit(cluster, replace(spec(policy=POLICY), repeats=repeats))
    moments = 0
    while cluster.engine.state.active:
        cluster.act()
        moments += 1
        if moments == 100:
            fork(cluster, 0, 1, lr=schedules.linear(0.05, 0.0, 4))
        if moments % 20 and cluster.engine.state.active:
            continue
        view = study_view(cluster.engine, "default", "study")
        trials = trial_views(cluster.engine, "default", "study")
        assert view.trial_counts == Counter(each.state.value for each in trials)
        details = [trial_detail(cluster.engine, "default", "study", each.number) for each in trials]
        alone = [
            each.trial.step if repeats == 1 else sum(one.step for one in each.repeats) for each in details
        ]
        assert view.savings.steps_without_sharing == sum(alone)
        completed = [each for each in trials if each.state is TrialState.COMPLETED]
        if completed:
            best = max(completed, key=lambda each: (each.metrics["accuracy"], -each.number))
            assert view.best_trial == best
    assert view.best_trial is not None
