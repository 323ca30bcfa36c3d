"""Trials whose points are known come some at a time, and to what they would have come to all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hippo_core import endings, policies, samplers
from hippo_core.engine import archive as archives
from hippo_core.engine import growing
from hippo_core.engine.changes import preview
from hippo_core.engine.commands import (
    Command,
    CreateTrials,
    EditStudy,
    EnqueueTrial,
    ExtendStudy,
    ExtendTrial,
    ForkTrial,
    PauseStudy,
    ResumeStudy,
    StopStudy,
    SubmitStudy,
    Tick,
)
from hippo_core.engine.events import TrialCreated
from hippo_core.engine.lookup import find_trial
from hippo_core.engine.stage_counts import StageState, stage_counts
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.study_views import study_view
from hippo_core.errors import Conflict, NotFound
from hippo_core.objective import Objective
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
from tests.unit.engine.test_importing import bring, exported
from tests.unit.engine.test_populations import made as population
from tests.unit.engine.test_quotas import allow

AT_ONCE = 5
POINTS = 36


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "AT_ONCE", AT_ONCE)


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


def test_trials_come_while_a_study_is_paused_and_are_trained_once_it_is_resumed() -> None:
    """1. Paused with 5 of 36: the others come. 2. Other studies of the program do not wait for them."""
    cluster = Cluster(0, {"a": 1})
    study = submitted(cluster)
    cluster.tell(PauseStudy(project="default", name="study"))
    submit(cluster, replace(spec("beside"), max_trials=1))
    assert cluster.engine.state.leases
    create_all(cluster)
    assert (len(study.trials), len(study.open)) == (POINTS, AT_ONCE)
    cluster.tell(ResumeStudy(project="default", name="study"))
    cluster.run()
    assert study.state is StudyState.COMPLETED
    expect_as_trained_alone(cluster, "study")


@pytest.mark.parametrize(
    ("word", "trials"),
    [
        (ExtendStudy(project="default", name="study", priority=3), 5),
        (ExtendTrial(project="default", name="study", trial=0, to=20), 5),
        (EnqueueTrial(project="default", name="study", point={"lr": 0.1, "batch": 32, "m": 0.9}), 6),
        (ForkTrial(project="default", name="study", trial=0, at=0, hyperparameters={"lr": 0.7}), 6),
        (ExtendStudy(project="default", name="study", max_trials=12), 12),
    ],
)
def test_a_study_that_is_stopped_has_no_more_trials_whatever_is_asked_of_it(
    word: Command, trials: int
) -> None:
    """1. Stopped with 5 of 36 trials, it has 5. 2. A word brings what it asks for, and no other."""
    cluster = Cluster(0, {"a": 1})
    study = submitted(cluster)
    cluster.tell(StopStudy(project="default", name="study"))
    assert (study.spec.max_trials, len(study.trials), wanted(cluster)) == (AT_ONCE, AT_ONCE, [])
    cluster.tell(word)
    create_all(cluster)
    assert len(study.trials) == trials
    cluster.run()
    assert len(study.trials) == trials
    cluster.restart_server()
    assert len(cluster.engine.state.studies[1].trials) == trials


def test_a_stopped_study_has_as_many_trials_as_it_has_to_have() -> None:
    """1. Its 7 first points are given: it has 7. 2. A population of which one point comes at a time has all, as one is
    too few."""
    first = tuple(spec().point(number) for number in range(7))
    for made, trials in ((replace(spec(), initial=first), 7), (population(repeats=5), 6)):
        cluster = Cluster(0, {})
        study = submitted(cluster, made)
        cluster.tell(StopStudy(project="default", name="study"))
        assert {trial.state for trial in study.trials.values()} == {TrialState.STOPPED}
        assert len(study.trials) == study.spec.max_trials == trials


def test_a_study_that_fails_has_no_more_trials() -> None:
    """What it shares with another was trained, and reported no such metric: it fails as it is submitted."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster, replace(spec("before"), max_trials=3))
    cluster.run()
    submit(cluster, replace(spec(), objectives=(Objective(metric="missing", maximize=True),)))
    study = cluster.engine.state.studies[2]
    assert (study.state, len(study.trials), wanted(cluster)) == (StudyState.FAILED, AT_ONCE, [])


@pytest.mark.parametrize("at_once", [AT_ONCE, 200])
@pytest.mark.parametrize(
    ("ending", "known"),
    [
        (endings.Target(value=0.98), True),
        (endings.Plateau(patience=2, min_change=0.0), True),
        (endings.Timeout(seconds=1.0), False),
        (endings.MaxTrainedSteps(steps=1), False),
    ],
)
def test_an_ending_holds_meanwhile_as_it_does_where_all_are_there(
    monkeypatch: pytest.MonkeyPatch, ending: endings.Ending, known: bool, at_once: int
) -> None:
    """1. Another study has trained all, or nobody; time passes. 2. It ends as soon as that is known, with what it has
    then. 3. With a larger max_trials, and without the ending, it gets the others."""
    monkeypatch.setattr(growing, "AT_ONCE", at_once)
    cluster = Cluster(0, {"a": 2})
    if known:
        submit(cluster, spec("before"))
        cluster.run()
    submit(cluster, replace(spec(), endings=(ending,)))
    study = cluster.engine.state.study_named("default", "study")
    assert study is not None
    if isinstance(ending, endings.Timeout):
        cluster.now += 2.0
        cluster.tell(Tick())
    while study.state is StudyState.RUNNING and wanted(cluster):
        cluster.tell(wanted(cluster)[0])
    assert study.ending == ending.word
    assert len(study.trials) == study.spec.max_trials
    assert wanted(cluster) == []
    cluster.tell(SubmitStudy(project="default", user="u", spec=spec()))
    cluster.run()
    assert (study.state, study.ending, len(study.trials)) == (StudyState.COMPLETED, "", POINTS)
    expect_as_trained_alone(cluster, "study")


@pytest.mark.parametrize("neighbour", [samplers.outside(), samplers.tpe()])
def test_no_point_is_wanted_for_slots_that_idle_as_trials_are_created(neighbour: Any) -> None:
    """A neighbour of the same program wants one point, as it has nothing else to do, and no more."""
    cluster = Delaying(0, {"a": 4})
    submitted(cluster)
    submit(cluster, replace(spec("neighbour"), sampler=neighbour, max_trials=20))
    study = cluster.engine.state.studies[2]
    for number in range(5):
        if study.spec.sampler.outside and cluster.engine.points_wanted(2):
            point = {"lr": 0.1 + number / 10, "batch": 32, "m": 0.9}
            cluster.tell(EnqueueTrial(project="default", name="neighbour", point=point))
        elif not study.spec.sampler.outside and cluster.proposals_wanted():
            cluster.propose(2)
    assert len(study.trials) == 1
    reason = study_view(cluster.engine, "default", "neighbour").reason
    assert reason == "31 of the trials of study 'study', which may share, are still being created"


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


@pytest.mark.parametrize(
    "changes",
    [
        {"space": spec(rates=PIECES[:4]).space},
        {"sampler": samplers.qmc()},
        {"initial": (spec().point(30),)},
        {"max_steps": 12},
    ],
)
def test_what_points_follow_from_stays_until_all_are_there(changes: dict[str, Any]) -> None:
    """1. An edit is refused, and a preview of it; another edit is not. 2. It is taken once all are there."""
    cluster = Cluster(0, {})
    study = submitted(cluster, replace(spec(), sampler=samplers.random(), max_trials=20))
    edit = EditStudy(project="default", name="study", spec=replace(study.spec, **changes))
    for ask in (partial(cluster.tell, edit), partial(preview, cluster.engine.state, edit)):
        with pytest.raises(Conflict, match="study 'study' has 15 trials that are still being created"):
            ask()
    cluster.tell(EditStudy(project="default", name="study", spec=replace(study.spec, priority=2)))
    create_all(cluster)
    assert len(study.trials) == 20
    if "initial" not in changes:  # which has to be trials, edited when it may be
        cluster.tell(edit)
        assert (len(study.trials), wanted(cluster)) == (20, [])


def test_an_archive_brings_its_trials_within_limits() -> None:
    source, target = Cluster(0, {}), Cluster(0, {})
    submitted(source)
    allow(target, "default", "v", max_open_trials=10)
    with pytest.raises(Conflict, match="36 more trials are too many"):
        bring(source, target, archives.read(exported(source)))


def test_an_archive_that_was_made_meanwhile_gets_its_other_trials_where_it_comes_to() -> None:
    source, target = Cluster(0, {}), Cluster(0, {"a": 2})
    submitted(source)
    bring(source, target, archives.read(exported(source)))
    create_all(target)
    target.tell(ResumeStudy(project="default", name="study"))
    target.run()
    study = target.engine.state.studies[1]
    assert (len(study.trials), study.state) == (POINTS, StudyState.COMPLETED)
    expect_as_trained_alone(target, "study")
