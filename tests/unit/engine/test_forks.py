"""Forks: exact, sharing by value, numbered beside the sampler's trials, and refused with words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers, schedules, space
from hippo_core.domains import part_to_json
from hippo_core.engine.commands import ExtendStudy, ForkTrial, StopStudy
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study_views import study_view
from hippo_core.engine.trial_views import trial_views
from hippo_core.errors import InvalidStudy, NotFound
from hippo_core.program import Program
from hippo_core.study import StudySpec
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import (
    FAULTS,
    PIECES,
    distinct_prefixes,
    expect_as_trained_alone,
    spec,
    submit,
)
from tests.unit.engine.test_policies import HALVING, WATCHING, ComparingCluster, study_of


def fork(cluster: Cluster, trial: int, at: int, **given: Any) -> int:
    hyperparameters = {name: part_to_json(part) for name, part in given.items()}
    result = cluster.tell(
        ForkTrial(project="default", name="study", trial=trial, at=at, hyperparameters=hyperparameters)
    )
    assert isinstance(result, int)
    return result


def values(cluster: Cluster, trial: int, steps: int = 9) -> list[Mapping[str, Any]]:
    sequence = study_of(cluster).trials[trial].sequence
    return [dict(sequence.values(step)) for step in range(steps)]


@pytest.mark.parametrize("at", [0, 1, 4, 8])
@pytest.mark.parametrize("parent", range(0, 36, 7))
def test_it_has_its_parent_s_values_up_to_the_step_and_the_given_ones_from_there(
    parent: int, at: int
) -> None:
    cluster = Cluster(0, {})
    submit(cluster, spec())
    number = fork(cluster, parent, at, lr=schedules.linear(0.05, 0.0, 4), batch=16)
    assert number == 36
    before, after = values(cluster, parent), values(cluster, number)
    assert after[:at] == before[:at]
    for step in range(at, 9):
        assert after[step]["lr"] == float(f"{0.05 + (0.0 - 0.05) * min(step - at, 4) / 4:.11e}")
        assert after[step]["batch"] == 16
        assert after[step]["m"] == before[step]["m"]
    view = trial_views(cluster.engine, "default", "study")[number]
    assert (view.parent, view.forked_at) == (parent, at)
    again = study_of(cluster).spec.sequence_of(view.hyperparameters)
    assert [dict(again.values(step)) for step in range(9)] == after


def test_a_fork_of_a_fork_keeps_both_steps() -> None:
    cluster = Cluster(0, {})
    submit(cluster, spec(rates=PIECES[:1]))
    first = fork(cluster, 0, 3, lr=0.02)
    second = fork(cluster, first, 6, lr=0.03)
    third = fork(cluster, second, 2, lr=0.04)
    assert [each["lr"] for each in values(cluster, second)] == [0.1] * 3 + [0.02] * 3 + [0.03] * 3
    assert [each["lr"] for each in values(cluster, third)] == [0.1] * 2 + [0.04] * 7
    written = trial_views(cluster.engine, "default", "study")[second].hyperparameters["lr"]
    assert written == {"schedule": "piecewise", "values": [0.1, 0.02, 0.03], "milestones": [3, 6]}


def test_a_completed_study_runs_again_and_trains_only_what_differs() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=PIECES[:1]))
    cluster.run()
    trained = cluster.trained
    number = fork(cluster, 0, 6, lr=0.05)
    assert study_of(cluster).state is StudyState.RUNNING
    cluster.run()
    assert study_of(cluster).trials[number].state is TrialState.COMPLETED
    assert study_of(cluster).state is StudyState.COMPLETED
    expect_as_trained_alone(cluster, "study")
    again = study_view(cluster.engine, "default", "study").savings.steps_retrained
    assert cluster.trained - trained - again == 3
    assert cluster.trained - again == distinct_prefixes(cluster, "study")


def test_all_known_at_the_start_train_each_distinct_prefix_once() -> None:
    for seed in range(6):
        cluster = Cluster(seed, {"a": 2, "b": 1})
        submit(cluster, spec())
        for at in range(9):
            fork(cluster, 4 * at, at, lr=0.05)
        cluster.run()
        view = study_view(cluster.engine, "default", "study")
        assert view.trial_counts == {"completed": 45}
        assert view.savings.steps_trained == cluster.trained == distinct_prefixes(cluster, "study")
        assert view.savings.steps_retrained == 0
        expect_as_trained_alone(cluster, "study")


@settings(max_examples=80)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 60),
            st.sampled_from([*FAULTS, "fork", "fork", "restart_server"]),
            st.sampled_from(["a", "b"]),
            st.integers(0, 17),
            st.integers(0, 8),
            st.sampled_from([0.1, 0.07, schedules.cosine(0.1, 0.0, 5)]),
        ),
        max_size=10,
    ),
    st.sampled_from([policies.full(), *HALVING, *WATCHING]),
)
def test_after_forks_and_faults_every_history_is_exact_and_restarts_change_no_verdict(
    seed: int, happens: list[tuple[int, str, str, int, int, Any]], policy: policies.PolicySpec
) -> None:
    """1. Trials are forked and faults strike at random moments. 2. All ends, exactly."""
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    submit(cluster, spec("study", PIECES[:3], policy=policy))
    for count, what, worker, trial, at, rate in happens:
        for _ in range(count):
            if cluster.engine.state.active:
                cluster.act()
        if what == "fork":
            fork(cluster, trial, at, lr=rate)
        else:
            strike = getattr(cluster, what)
            strike(*([worker] if what not in {"restart_server", "lose_checkpoint"} else []))
    cluster.run()
    cluster.restart_server()
    expect_as_trained_alone(cluster, "study")
    states = {trial.state for trial in study_of(cluster).trials.values()}
    assert states <= {TrialState.COMPLETED, TrialState.STOPPED}
    trained = sum(node.trained - node.start for node in cluster.engine.state.nodes.values())
    assert trained >= distinct_prefixes(cluster, "study")


def test_forks_use_up_none_of_the_sampler_s_points() -> None:
    """1. A study of 4 random trials, two forks. 2. It is extended to 7. 3. The points are those of one without."""
    made = replace(spec(), max_trials=4, sampler=samplers.random())
    cluster = Cluster(0, {"a": 1})
    submit(cluster, made)
    fork(cluster, 1, 3, lr=0.07)
    fork(cluster, 1, 5, lr=0.07)
    cluster.tell(StopStudy(project="default", name="study"))
    cluster.tell(ExtendStudy(project="default", name="study", max_trials=7))
    cluster.run()
    drawn = [trial.assignment for trial in study_of(cluster).trials.values() if trial.fork is None]
    assert drawn == [made.point(number) for number in range(7)]
    assert [trial.number for trial in study_of(cluster).trials.values()] == list(range(9))


def learning() -> StudySpec:
    searched = space.Space({"lr": space.loguniform(1e-4, 1e-1), "batch": 32, "m": 0.9})
    return replace(
        spec(),
        space=searched,
        max_trials=6,
        sampler=samplers.tpe(),
        program=Program(trainer="t:T", code_digest="c", kinds=searched.kinds),
    )


def test_a_sampler_that_learns_never_hears_of_forks() -> None:
    """1. Forks come while a point is waited for. 2. Every trial has one number, and the sampler's own history."""
    found = []
    for forks in (0, 2):
        cluster = Cluster(0, {"a": 1})
        submit(cluster, learning())
        cluster.run()
        for at in range(forks):
            fork(cluster, 0, at + 3, lr=0.07)
        cluster.run()
        cluster.tell(ExtendStudy(project="default", name="study", max_trials=9))
        if forks:
            waiting = study_of(cluster).proposal
            assert waiting is not None
            fork(cluster, 1, 4, lr=0.07)
            renewed = study_of(cluster).proposal
            assert renewed is not None
            assert renewed.trial == waiting.trial + 1
        cluster.restart_server()
        cluster.run()
        trials = study_of(cluster).trials.values()
        assert [trial.number for trial in trials] == list(range(len(trials)))
        found.append([dict(trial.assignment)["lr"] for trial in trials if trial.fork is None])
        expect_as_trained_alone(cluster, "study")
    assert [len(each) for each in found] == [9, 9]
    assert found[0][:6] == found[1][:6]


def test_a_rung_that_waits_for_all_waits_for_forks_beside_the_sampler_s() -> None:
    """1. A study of 6 points that are proposed one by one, with two forks. 2. None is promoted before all are there."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, replace(learning(), policy=policies.sha(1, 2)))
    study = study_of(cluster)
    while len(study.trials) < 2:
        cluster.act()
    for _ in range(2):
        fork(cluster, 0, 0, lr=0.07)
    while len(study.trials) < 8:
        cluster.act()
        assert {trial.asked for trial in study.trials.values()} <= {0, 1}
    cluster.run()
    assert max(trial.asked for trial in study.trials.values()) == 9


@pytest.mark.parametrize(
    ("at", "given_parts", "message"),
    [
        (3, {}, "there are none"),
        (3, {"rate": 0.1}, "the parent has no such hyper-parameter"),
        (
            3,
            {"batch": 16.5},
            r"is of kind float, and the program's is int.*give a whole number,.*type=float\) there",
        ),
        (3, {"batch": schedules.linear(32, 64, 4)}, "is of kind float, and the program's is int"),
        (
            3,
            {"lr": "fast"},
            "program's is float.*give a number, .*such a value is among the options",
        ),
        (3, {"lr": space.uniform(0.0, 1.0)}, "holds a domain, and a fork draws nothing"),
        (3, {"lr": {"a": 1}}, "neither a value nor a schedule"),
        (9, {"lr": 0.1}, "9 is not below step 9, at which training ends"),
        (-1, {"lr": 0.1}, "at"),
        (3, {"lr": schedules.exponential(1.0, 1e100)}, "is inf at step 7, and must be finite"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_changes_nothing(
    at: int, given_parts: dict[str, Any], message: str
) -> None:
    cluster = Cluster(0, {})
    submit(cluster, spec(rates=PIECES[:1]))
    before = cluster.engine.snapshot()
    with pytest.raises(InvalidStudy, match=message):
        fork(cluster, 0, at, **given_parts)
    with pytest.raises(NotFound):
        fork(cluster, 6, 3, lr=0.1)
    assert cluster.engine.snapshot() == before


def ending() -> StudySpec:
    searched = space.Space(
        {"lr": space.choice([schedules.linear(0.1, 0.0, end) for end in (4, 6)]), "batch": 32, "m": 0.9}
    )
    return replace(
        spec(),
        space=searched,
        max_trials=2,
        max_steps=space.end_of("lr"),
        program=Program(trainer="t:T", code_digest="c", kinds=searched.kinds),
    )


def test_where_a_schedule_s_end_is_the_limit_a_fork_goes_to_its_own() -> None:
    """1. Trials end with their schedules. 2. A fork ends 5 steps after step 3. 3. No end: refused with the remedy."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, ending())
    number = fork(cluster, 0, 3, lr=schedules.linear(0.05, 0.0, 5))
    with pytest.raises(InvalidStudy, match="the end of this schedule, and it has none"):
        fork(cluster, 0, 3, lr=0.1)
    cluster.tell(ExtendStudy(project="default", name="study", priority=1))
    cluster.run()
    assert [trial.reached for trial in study_of(cluster).trials.values()] == [4, 6, 8]
    assert study_of(cluster).trials[number].state is TrialState.COMPLETED
    expect_as_trained_alone(cluster, "study")
