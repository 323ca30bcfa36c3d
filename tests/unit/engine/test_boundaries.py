"""States at which later phases begin: saved and kept where somebody may come to fork there, and only there."""

from __future__ import annotations

from typing import Any

import pytest

from hippo_core import policies, samplers, schedules, space
from hippo_core.engine.commands import EnqueueTrial, ForkTrial, StopStudy
from hippo_core.engine.trial_detail import trial_detail
from hippo_core.simulation import Host, simulate
from tests.studies import study
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import submit
from tests.unit.engine.test_policies import study_of

LATE = schedules.piecewise([space.choice([0.1, 0.2]), space.loguniform(1e-3, 0.1)], milestones=[4])
EARLY = schedules.piecewise([space.uniform(0.1, 0.2), space.loguniform(1e-3, 0.1)], milestones=[4])
STEPS = 9


def made(lr: Any = EARLY, **changes: Any) -> Cluster:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, study({"lr": lr}, **{"max_steps": STEPS, "sampler": samplers.outside(), **changes}))
    return cluster


def tell(cluster: Cluster, first: float, second: float) -> None:
    point = {
        "lr": {"schedule": "piecewise", "values": [first, second], "milestones": [4]},
    }
    cluster.tell(EnqueueTrial(project="default", name="study", point=point, ask=""))


def train(cluster: Cluster) -> None:
    """Until nothing is asked for any more."""
    while any(found.open for found in cluster.engine.state.studies.values()):
        cluster.act()


def kept(cluster: Cluster) -> list[int]:
    return sorted(step for node in cluster.engine.state.nodes.values() for step in node.checkpoints)


def test_a_fork_from_outside_at_a_phases_beginning_retrains_nothing() -> None:
    """1. One trial is trained to its end. 2. Whoever decides outside tells a point that parts where a phase begins."""
    cluster = made(max_trials=2)
    tell(cluster, 0.15, 0.01)
    train(cluster)
    assert kept(cluster) == [4, STEPS]
    shown = trial_detail(cluster.engine, "default", "study", 0).checkpoints
    assert [(each.step, each.begins_phase) for each in shown] == [(4, True), (STEPS, False)]
    tell(cluster, 0.15, 0.02)
    train(cluster)
    assert (study_of(cluster).steps_trained, study_of(cluster).steps_retrained) == (STEPS + 5, 0)


def test_a_fork_of_a_user_at_a_phases_beginning_retrains_nothing() -> None:
    cluster = made(max_trials=1, sampler=samplers.random(), policy=policies.manual(min_steps=6))
    train(cluster)
    assert kept(cluster) == [4, 6]
    cluster.tell(ForkTrial(project="default", name="study", trial=0, at=4, hyperparameters={"lr": 0.05}))
    train(cluster)
    assert study_of(cluster).trials[1].reached == 6
    assert (study_of(cluster).steps_trained, study_of(cluster).steps_retrained) == (6 + 2, 0)


@pytest.mark.parametrize(
    ("lr", "changes", "saved"),
    [
        (EARLY, {"sampler": samplers.random()}, False),
        (EARLY, {"sampler": samplers.tpe()}, False),
        (LATE, {"sampler": samplers.tpe()}, True),
        (LATE, {"sampler": samplers.tpe(), "max_trials": 2}, False),
        (EARLY, {"sampler": samplers.outside()}, True),
        (space.uniform(0.1, 0.2), {"sampler": samplers.outside()}, False),
    ],
    ids=["random", "tpe", "tpe returns", "too few to return", "outside", "one phase"],
)
def test_who_saves_where_phases_begin(lr: Any, changes: dict[str, Any], saved: bool) -> None:
    """Where nobody can come back to the draws before, nothing is saved."""
    cluster = made(lr, **{"max_trials": 3, **changes})
    found = study_of(cluster)
    if found.spec.sampler.outside:
        tell(cluster, 0.15, 0.01) if lr is EARLY else cluster.tell(
            EnqueueTrial(project="default", name="study", point={"lr": 0.15}, ask="")
        )
    while not any(trial.reached for trial in found.trials.values()):
        cluster.act()
    assert (4 in kept(cluster)) is saved


def test_what_nobody_went_on_from_goes_when_the_study_ends_but_for_the_best() -> None:
    cluster = made(max_trials=3)
    tell(cluster, 0.15, 0.01)
    tell(cluster, 0.16, 0.01)
    train(cluster)
    assert kept(cluster) == [4, 4, STEPS, STEPS]
    tell(cluster, 0.17, 0.01)
    train(cluster)
    assert kept(cluster) == [4, STEPS, STEPS, STEPS]


def test_what_another_study_may_go_on_from_stays() -> None:
    """1. Two studies of one program have the same trials. 2. One ends. 3. The other one ends too."""
    cluster = made(max_trials=3)
    other = study({"lr": EARLY}, name="other", max_steps=STEPS, max_trials=9, sampler=samplers.outside())
    for point in (0.15, 0.16, 0.17):
        tell(cluster, point, 0.01)
    submit(cluster, other)
    for point in (0.15, 0.16, 0.17):
        hyperparameters = {"lr": {"schedule": "piecewise", "values": [point, 0.01], "milestones": [4]}}
        cluster.tell(EnqueueTrial(project="default", name="other", point=hyperparameters, ask=""))
    train(cluster)
    assert kept(cluster) == [4, 4, 4, STEPS, STEPS, STEPS]
    cluster.tell(StopStudy(project="default", name="other"))
    assert kept(cluster) == [4, STEPS, STEPS, STEPS]


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize(
    "search",
    [
        {"sampler": samplers.tpe()},
        {"sampler": samplers.trie_asha(), "policy": policies.trie_asha(), "max_trials": 40},
    ],
    ids=["tpe", "trie_asha"],
)
def test_a_search_of_few_points_retrains_nothing(slots: int, search: dict[str, Any]) -> None:
    """Its trials part from each other at steps that are no phases' beginnings."""

    def step(after: float, at: int) -> Any:
        return schedules.piecewise([0.1, after], milestones=[at])

    entries = {"lr": space.choice([0.1, step(0.01, 8), step(0.01, 20), step(0.02, 14)])}
    entries["m"] = space.choice([0.9, schedules.piecewise([0.9, 0.95], [17])])
    made = study(entries, **{"max_trials": 8, "max_steps": 27, **search})
    assert simulate([made], [Host(name="host", slots=slots)]).steps_retrained == 0


def test_a_sampler_that_comes_back_to_early_draws_retrains_nothing() -> None:
    """Trials come one after another, so that each that shares a beginning comes after the others have passed."""
    first = schedules.piecewise(
        [space.choice([0.1, 0.2, 0.05]), space.loguniform(1e-3, 0.1), space.loguniform(1e-4, 0.01)],
        milestones=[9, 18],
    )
    made = study({"lr": first}, max_trials=12, max_steps=27, sampler=samplers.tpe())
    found = simulate([made], [Host(name="host", slots=1)])
    assert found.steps_retrained == 0
    assert found.steps_trained == 3 * 9 + 12 * 18
