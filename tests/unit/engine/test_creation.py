"""Trials whose points are known come some at a time, and to what they would have come to all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers
from hippo_core.engine import creation
from hippo_core.engine.commands import (
    CreateTrials,
    EditStudy,
    ExtendStudy,
    PauseStudy,
    ResumeStudy,
    StopStudy,
    SubmitStudy,
)
from hippo_core.engine.events import TrialCreated
from hippo_core.engine.lookup import find_trial
from hippo_core.engine.stage_counts import StageState, stage_counts
from hippo_core.engine.states import StudyState
from hippo_core.engine.study import Study
from hippo_core.engine.study_views import study_view
from hippo_core.errors import Conflict, NotFound
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
from tests.unit.engine.test_horizons import family
from tests.unit.engine.test_quotas import allow

AT_ONCE = 5
POINTS = 36


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(creation, "AT_ONCE", AT_ONCE)


class Delaying(Cluster):
    """A cluster in which nothing is created until that is allowed."""

    creates = False

    def actions(self) -> Iterator[tuple[str, str, int]]:
        return (each for each in super().actions() if self.creates or each[0] != "create")


def submitted(cluster: Cluster, study: StudySpec | None = None) -> Study:
    submit(cluster, study or spec())
    return cluster.engine.state.studies[1]


def wanted(cluster: Cluster) -> list[CreateTrials]:
    return list(cluster.engine.wanted_of(CreateTrials))


def create_all(cluster: Cluster) -> list[int]:
    """Creates what is wanted, to the end; gives how many trials came by each."""
    counts = []
    while found := wanted(cluster):
        before = len(cluster.journal)
        for each in found:
            cluster.tell(each)
        counts.append(sum(isinstance(each, TrialCreated) for each in cluster.journal[before:]))
    return counts


def test_they_come_some_at_a_time_and_are_the_points_in_their_order() -> None:
    """1. Five come by the submission. 2. Then five for each that is told, and one. 3. Then nothing is wanted."""
    cluster = Cluster(0, {"a": 2})
    study = submitted(cluster)
    assert len(study.trials) == AT_ONCE
    assert wanted(cluster) == [CreateTrials(study=1, drawn=AT_ONCE)]
    assert create_all(cluster) == [5] * 6 + [1]
    points = [study.spec.point(number) for number in range(POINTS)]
    assert [study.trials[number].assignment for number in range(POINTS)] == points


def test_those_that_are_still_to_come_wait() -> None:
    cluster = Cluster(0, {})
    study = submitted(cluster)
    assert study_view(cluster.engine, "default", "study").trial_counts == {"waiting": POINTS}
    with pytest.raises(NotFound, match="it has 5 trials, from 0, and 31 more are being created"):
        find_trial(study, 20)
    cluster.tell(StopStudy(project="default", name="study"))
    assert study_view(cluster.engine, "default", "study").trial_counts == {"stopped": AT_ONCE}
    with pytest.raises(NotFound, match="it has 5 trials, from 0\\."):
        find_trial(study, 20)


def test_a_word_that_comes_late_or_twice_changes_nothing() -> None:
    cluster = Cluster(0, {})
    submitted(cluster)
    [first] = wanted(cluster)
    cluster.tell(first)
    before = cluster.engine.snapshot()
    for late in (first, CreateTrials(study=7, drawn=0)):
        cluster.tell(late)
    assert cluster.engine.snapshot() == before


@pytest.mark.parametrize("policy", [policies.full(), policies.sha(1, 3), policies.asha(1, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_trained_before_all_are_there_so_that_each_prefix_is_trained_once(
    seed: int, policy: policies.PolicySpec
) -> None:
    """1. Slots are free, and no path is granted of the plan, also to another study of it. 2. All are created: it is."""
    cluster = Delaying(seed, {"a": 2, "b": 1})
    study = submitted(cluster, spec(policy=policy))
    submit(cluster, replace(spec("beside"), max_trials=1))
    for _ in range(200):
        cluster.act()
    assert "31 of its trials are still being created" in study_view(cluster.engine, "default", "study").reason
    assert not cluster.engine.state.leases
    assert stage_counts(cluster.engine)[StageState.HELD] > 0
    cluster.creates = True
    cluster.run()
    assert (study.state, len(study.trials)) == (StudyState.COMPLETED, POINTS)
    expect_as_trained_alone(cluster, "study")
    if policy == policies.full():
        assert cluster.trained == distinct_prefixes(cluster, "beside", "study")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(1, 40), st.sampled_from(FAULTS), st.sampled_from(["a", "b"])), max_size=5),
)
def test_whatever_happens_meanwhile_all_come(seed: int, faults: list[tuple[int, str, str]]) -> None:
    """Also where the server is rebuilt between: it wants what the one before wanted."""
    cluster = Cluster(seed, {"a": 2, "b": 1})
    submitted(cluster)
    for actions, fault, worker in faults:
        for _ in range(actions):
            cluster.act()
        before = wanted(cluster)
        cluster.restart_server()
        assert wanted(cluster) == before
        strike = getattr(cluster, fault)
        strike(*([worker] if fault not in {"restart_server", "lose_checkpoint"} else []))
    cluster.run()
    study = cluster.engine.state.studies[1]
    assert (len(study.trials), study.state) == (POINTS, StudyState.COMPLETED)
    expect_as_trained_alone(cluster, "study")


def test_a_study_that_does_not_run_wants_none() -> None:
    """1. Paused: none; resumed: as before. 2. Stopped: none, be its priority another. 3. With more trials: all."""
    cluster = Cluster(0, {})
    study = submitted(cluster, replace(spec(), max_trials=20))
    before = wanted(cluster)
    cluster.tell(PauseStudy(project="default", name="study"))
    assert wanted(cluster) == []
    cluster.tell(ResumeStudy(project="default", name="study"))
    assert wanted(cluster) == before
    cluster.tell(StopStudy(project="default", name="study"))
    cluster.tell(ExtendStudy(project="default", name="study", priority=3))
    assert (study.state, wanted(cluster), len(study.trials)) == (StudyState.STOPPED, [], AT_ONCE)
    cluster.tell(ExtendStudy(project="default", name="study", max_trials=21))
    assert study.state is StudyState.RUNNING
    create_all(cluster)
    assert len(study.trials) == 21


def test_limits_count_those_that_are_to_come() -> None:
    """1. A limit of 40 takes 36 of one study. 2. Five more of another are too many. 3. Four further ones fit."""
    cluster = Cluster(0, {})
    allow(cluster, "default", "u", max_open_trials=40)
    submitted(cluster, replace(spec(), max_trials=30))
    cluster.tell(ExtendStudy(project="default", name="study", max_trials=36))
    other = replace(spec("other", seed=1), max_trials=5)
    with pytest.raises(Conflict, match="has 36 open ones"):
        cluster.tell(SubmitStudy(project="default", user="u", spec=other))
    cluster.tell(SubmitStudy(project="default", user="u", spec=replace(other, max_trials=4)))
    create_all(cluster)
    assert [len(each.trials) for each in cluster.engine.state.studies.values()] == [36, 4]


def test_repeats_and_horizons_count() -> None:
    """1. Of three repeats, one point comes at a time. 2. Of two horizons, two points."""
    cluster = Cluster(0, {})
    study = submitted(cluster, replace(spec(), repeats=3, max_trials=3))
    assert (len(study.trials), len(study.repeats)) == (1, 2)
    cluster = Cluster(0, {})
    study = submitted(cluster, family((8, 16), max_trials=3))
    assert len(study.trials) == 4
    assert study_view(cluster.engine, "default", "study").trial_counts == {"waiting": 6}
    create_all(cluster)
    assert (len(study.trials), study.drawn) == (6, 3)


def test_where_the_space_is_edited_those_to_come_are_drawn_from_the_new_one() -> None:
    cluster = Cluster(0, {})
    study = submitted(cluster, replace(spec(), sampler=samplers.random(), max_trials=20))
    narrowed = spec(rates=PIECES[:4])
    cluster.tell(
        EditStudy(
            project="default",
            name="study",
            spec=replace(study.spec, space=narrowed.space),
        )
    )
    assert wanted(cluster) == []
    assert len(study.trials) == 20
    assert all(study.trials[number].space == narrowed.space for number in range(AT_ONCE, 20))
