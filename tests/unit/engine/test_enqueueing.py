"""Points of users: the sampler's next ones or beside them, never more than max_trials, and refused with words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers
from hippo_core.engine.commands import EnqueueTrial, ExtendStudy, PauseStudy, ResumeStudy, StopStudy
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study import Study
from hippo_core.errors import Conflict, HippoError, InvalidStudy, NotFound
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import FAULTS, POINTS, expect_as_trained_alone, spec, submit
from tests.unit.engine.test_policies import HALVING, WATCHING, ComparingCluster, study_of
from tests.unit.engine.test_proposals import answer, running

POINT = {"lr": 0.1, "m": 0.5}


def enqueue(cluster: Cluster, point: dict[str, Any]) -> int:
    result = cluster.tell(EnqueueTrial(project="default", name="study", point=point))
    assert isinstance(result, int)
    return result


def counted(study: Study) -> int:
    return sum(
        trial.fork is None and not (trial.enqueued and not study.spec.sampler.learns)
        for trial in study.trials.values()
    )


def test_it_takes_the_place_of_the_point_that_a_sampler_is_asked_for() -> None:
    """1. A point is wanted. 2. Another is enqueued. 3. The late answer changes nothing; the next one knows of it."""
    cluster = running(workers={"a": 2})
    late = answer(cluster)
    number = enqueue(cluster, POINT)
    assert (number, late.trial) == (0, 0)
    before = cluster.engine.snapshot()
    cluster.tell(late)
    assert cluster.engine.snapshot() == before
    (wanted,) = cluster.proposals_wanted()
    (past,) = cluster.engine.proposal_task(wanted).history
    assert (past.assignment, past.state) == ({"lr": 0, "m": 0.5}, TrialState.WAITING)
    cluster.run()
    study = study_of(cluster)
    assert (len(study.trials), study.state) == (8, StudyState.COMPLETED)
    assert [trial.number for trial in study.trials.values() if trial.enqueued] == [0]
    expect_as_trained_alone(cluster, "study")


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 40),
            st.sampled_from([*FAULTS, *["enqueue"] * 6, "restart_server", "repeat_proposal"]),
            st.floats(0.0, 1.0),
        ),
        max_size=14,
    ),
    st.sampled_from([policies.full(), *HALVING, *WATCHING]),
)
def test_a_study_whose_sampler_learns_never_has_more_than_max_trials(
    seed: int, happens: list[tuple[int, str, float]], policy: policies.PolicySpec
) -> None:
    """1. Points are enqueued, proposed and lost at random moments. 2. There are max_trials in the end, all exact."""
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    submit(cluster, running(policy=policy).engine.state.studies[1].spec)
    study, enqueued = study_of(cluster), 0
    for count, what, momentum in happens:
        for _ in range(count):
            if cluster.engine.state.active:
                cluster.act()
        study = study_of(cluster)
        if what != "enqueue":
            strike = getattr(cluster, what)
            strike(*(["a"] if what not in {"restart_server", "lose_checkpoint", "repeat_proposal"} else []))
        elif study.unproposed:
            enqueue(cluster, {"lr": 0.1, "m": momentum})
            enqueued += 1
        else:
            with pytest.raises(Conflict, match="has all its 8 trials"):
                enqueue(cluster, {"lr": 0.1, "m": momentum})
        assert len(study.trials) <= 8
    cluster.run()
    cluster.restart_server()
    study = study_of(cluster)
    assert sorted(study.trials) == list(range(8))
    assert sum(trial.enqueued for trial in study.trials.values()) == enqueued
    expect_as_trained_alone(cluster, "study")


def test_where_all_points_are_known_it_is_beside_them_and_uses_up_none() -> None:
    """1. A study of 4 random trials ends; two points are enqueued. 2. Extended to 7, its points are those of one
    without.
    """
    made = replace(spec(), max_trials=4, sampler=samplers.random())
    cluster = Cluster(0, {"a": 1})
    submit(cluster, made)
    cluster.run()
    assert study_of(cluster).state is StudyState.COMPLETED
    assert [enqueue(cluster, point) for point in POINTS[:2]] == [4, 5]
    assert study_of(cluster).state is StudyState.RUNNING
    cluster.restart_server()
    cluster.tell(ExtendStudy(project="default", name="study", max_trials=7))
    cluster.run()
    study = study_of(cluster)
    drawn = [trial.assignment for trial in study.trials.values() if not trial.enqueued]
    assert drawn == [made.point(number) for number in range(7)]
    assert {trial.state for trial in study.trials.values()} == {TrialState.COMPLETED}
    expect_as_trained_alone(cluster, "study")


def test_a_rung_that_waits_for_all_waits_for_those_beside() -> None:
    """1. A grid of 36, and four points beside it while it runs. 2. Half of the 40 are promoted, and no trial before."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(policy=policies.sha(1, 2)))
    study = study_of(cluster)
    for point in POINTS:
        for _ in range(10):
            cluster.act()
        enqueue(cluster, point)
    while any(trial.reached < 1 for trial in study.trials.values()):
        assert {trial.asked for trial in study.trials.values()} <= {1}
        cluster.act()
    cluster.run()
    assert sum(trial.asked > 1 for trial in study.trials.values()) == 20
    expect_as_trained_alone(cluster, "study")


def test_a_paused_study_takes_it_and_trains_it_later() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec())
    cluster.tell(PauseStudy(project="default", name="study"))
    number = enqueue(cluster, POINTS[0])
    assert study_of(cluster).state is StudyState.PAUSED
    cluster.tell(ResumeStudy(project="default", name="study"))
    cluster.run()
    assert study_of(cluster).trials[number].state is TrialState.COMPLETED


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({}, r"point\['lr'\]: is missing"),
        ({"lr": 0.1}, r"point\['m'\]: is missing"),
        ({"lr": 0.1, "m": 2.0}, "2.0 is not within 0.0 and 1.0"),
        ({"lr": 0.2, "m": 0.5}, r"point\['lr'\]: 0.2 is none of its options"),
        ({"lr": 0.1, "m": 0.5, "x": 1}, r"point\['x'\]: a trial there has no such hyper-parameter"),
    ],
)
def test_what_is_no_point_is_refused_and_changes_nothing(point: dict[str, Any], message: str) -> None:
    cluster = running()
    before = cluster.engine.snapshot()
    with pytest.raises(InvalidStudy, match=message):
        enqueue(cluster, point)
    with pytest.raises(NotFound):
        cluster.tell(EnqueueTrial(project="default", name="other", point=POINT))
    assert cluster.engine.snapshot() == before


def test_an_ended_study_whose_sampler_learns_refuses_it_and_tells_the_remedy() -> None:
    """1. A study is stopped. 2. A point is refused. 3. The remedy works."""
    cluster = running()
    cluster.run()
    cluster.tell(ExtendStudy(project="default", name="study", max_trials=10))
    cluster.tell(StopStudy(project="default", name="study"))
    before = cluster.engine.snapshot()
    with pytest.raises(HippoError, match="is stopped") as refused:
        enqueue(cluster, POINT)
    assert refused.value.hint == (
        "Raise max_trials first: hippo study extend study --max-trials 11 takes it up again."
    )
    assert cluster.engine.snapshot() == before
    cluster.tell(ExtendStudy(project="default", name="study", max_trials=11))
    assert enqueue(cluster, POINT) == 8
    cluster.run()
    assert counted(study_of(cluster)) == len(study_of(cluster).trials) == 11
