"""A study that went through anything, simulated with the metrics that it recorded: the same decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hippo_core import policies
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import RequestOpened, TrialStateChanged
from hippo_core.engine.trial_detail import trial_detail
from hippo_core.simulation import Host, RecordedMetrics, simulate
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import spec, submit

Faults = Callable[[Cluster], None]


def recorded(engine: Engine, name: str) -> RecordedMetrics:
    """What a study's trials came to, by the values that led there."""
    study = engine.state.study_named("default", name)
    assert study is not None
    found = RecordedMetrics()
    for number in study.trials:
        detail = trial_detail(engine, "default", name, number)
        metrics = {each.step: each.metrics for each in detail.history}
        found.add(detail.values, metrics)  # type: ignore[arg-type]
    return found


def decisions(events: list[Any]) -> dict[int, list[tuple[Any, ...]]]:
    """By trial, what was asked for and how it ended, each with its reason; how often it rested between is chance."""
    asked: dict[int, list[tuple[Any, ...]]] = {}
    ended: dict[int, tuple[Any, ...]] = {}
    for event in events:
        if isinstance(event, RequestOpened):
            asked.setdefault(event.trial, []).append((event.step, event.reason))
        elif isinstance(event, TrialStateChanged):
            ended[event.trial] = (event.state, event.reason)
    return {trial: [*asked[trial], ended[trial]] for trial in asked}


def nothing(cluster: Cluster) -> None:
    """A quiet run."""


def faults(cluster: Cluster) -> None:
    """Workers, runners and saves die on the way."""
    for fault in (cluster.kill_worker, cluster.kill_runner, cluster.fail_save):
        for _ in range(40):
            cluster.act()
        fault("a")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("strike", [nothing, faults])
@pytest.mark.parametrize(
    "policy",
    [policies.full(), policies.sha(min_steps=1, reduction_factor=3), policies.hyperband(min_steps=1)],
    ids=lambda policy: policy.name,
)
def test_a_policy_that_waits_for_its_rungs_decides_as_it_did(
    policy: policies.PolicySpec, strike: Faults, seed: int
) -> None:
    """1. A study is trained on two workers in any order. 2. On other slots in virtual time it goes the same way."""
    cluster = Cluster(seed, {"a": 2, "b": 1})
    submit(cluster, spec(policy=policy))
    strike(cluster)
    cluster.run()
    events: list[Any] = []
    found = simulate(
        [spec(policy=policy)],
        [Host(name="host", slots=5)],
        response=recorded(cluster.engine, "study"),
        watch=events.append,
        checked=True,
    )
    assert decisions(events) == decisions(cluster.journal)
    study = cluster.engine.state.study_named("default", "study")
    assert study is not None
    distinct = study.steps_trained - study.steps_retrained
    assert found.steps_trained - found.steps_retrained == distinct
