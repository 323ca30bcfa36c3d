"""Studies whose points come from outside: what they want, when, and that nobody gets more than there is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers
from hippo_core.engine.commands import (
    DrainWorker,
    EnqueueTrial,
    ExtendStudy,
    ExtendTrial,
    ForkTrial,
    PauseStudy,
    ResumeStudy,
    StopStudy,
    StopTrial,
    SubmitStudy,
)
from hippo_core.engine.events import PointsWanted, TrialCreated
from hippo_core.engine.spread import step_of
from hippo_core.engine.states import ENDED_TRIAL_STATES, StudyState, TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.study_views import study_view
from hippo_core.engine.trial_views import trials_since
from hippo_core.errors import Conflict, InvalidStudy
from tests.unit.engine.test_cluster import FAULTS, expect_as_trained_alone
from tests.unit.engine.test_policies import HALVING, WATCHING, ComparingCluster, study_of
from tests.unit.engine.test_proposals import spec

PROJECT, NAME = "default", "study"


def point(momentum: float) -> dict[str, Any]:
    return {"lr": 0.1, "m": momentum}


class OutsideCluster(ComparingCluster):
    """A cluster with an optimiser outside, which tells a point now and then while any is wanted."""

    told = 0

    def submit(self, **changes: Any) -> Study:
        made = {"sampler": samplers.outside(), **changes}
        self.tell(SubmitStudy(project=PROJECT, user="u", spec=spec(**made)))
        return study_of(self)

    @property
    def wanted(self) -> int:
        return self.engine.points_wanted(study_of(self).id)

    def enqueue(self, ask: str = "", momentum: float | None = None) -> int:
        self.told += 1
        given_point = point(self.told / 100 if momentum is None else momentum)
        result = self.tell(EnqueueTrial(project=PROJECT, name=NAME, point=given_point, ask=ask))
        assert isinstance(result, int)
        return result

    def act(self) -> None:
        if self.wanted and self.random.random() < 0.3:
            self.enqueue(f"ask {self.told}")
        else:
            super().act()


def test_a_point_is_wanted_for_each_idle_slot_and_one_where_there_is_none() -> None:
    """1. No worker: one. 2. Three slots: three, less each that is told. 3. None beyond max_trials."""
    cluster = OutsideCluster(0, {})
    study = cluster.submit(max_trials=4)
    assert cluster.wanted == 1
    cluster.enqueue()
    assert (cluster.wanted, study.wants_points) == (0, False)
    cluster = OutsideCluster(0, {"a": 2, "b": 1})
    study = cluster.submit(max_trials=4)
    for left in (3, 2, 1):
        assert (cluster.wanted, study.wants_points) == (left, True)
        cluster.enqueue()
    assert (cluster.wanted, study.wants_points) == (0, False)
    cluster.tell(DrainWorker(worker="b"))
    assert cluster.wanted == 0
    cluster.run()
    assert len(study.trials) == 4
    assert study.state is StudyState.COMPLETED
    expect_as_trained_alone(cluster, NAME)


def test_that_points_are_wanted_is_told_with_the_remedy() -> None:
    """1. The study says what it waits for. 2. While it is paused it wants nothing. 3. Stopped, it has ended."""
    cluster = OutsideCluster(0, {"a": 1})
    study = cluster.submit()
    view = study_view(cluster.engine, PROJECT, NAME)
    assert view.waits_for_points
    assert view.reason == (
        "waits for a point from outside: run.ask() and run.tell(), or hippo study enqueue study; "
        "hippo study stop study ends it"
    )
    cluster.tell(PauseStudy(project=PROJECT, name=NAME))
    assert (cluster.wanted, study.wants_points) == (0, False)
    assert not study_view(cluster.engine, PROJECT, NAME).waits_for_points
    cluster.tell(ResumeStudy(project=PROJECT, name=NAME))
    assert (cluster.wanted, study.wants_points) == (1, True)
    cluster.enqueue()
    assert study_view(cluster.engine, PROJECT, NAME).reason == ""
    cluster.tell(StopStudy(project=PROJECT, name=NAME))
    assert (cluster.wanted, study.wants_points) == (0, False)
    told = [event.wanted for event in cluster.journal if isinstance(event, PointsWanted)]
    assert told == [True, True, False]


def test_an_ask_is_answered_once() -> None:
    """1. Told again, the trial is the same, also after a restart or in a full study. 2. Another point is refused."""
    cluster = OutsideCluster(0, {"a": 2})
    cluster.submit(max_trials=2)
    first = cluster.enqueue("one", 0.5)
    cluster.restart_server()
    before = len(cluster.journal)
    assert cluster.enqueue("one", 0.5) == first
    with pytest.raises(Conflict, match="ask one was answered with another point: it is trial 0"):
        cluster.enqueue("one", 0.6)
    assert not any(isinstance(event, TrialCreated) for event in cluster.journal[before:])
    assert cluster.enqueue("two", 0.5) == 1
    assert cluster.enqueue("one", 0.5) == first
    with pytest.raises(Conflict, match="has all its 2 trials"):
        cluster.enqueue("three", 0.5)
    for wrong in ("x" * 201, "a\nb"):
        with pytest.raises(InvalidStudy, match="was not given out here"):
            cluster.enqueue(wrong, 0.5)


def test_a_wrong_point_leaves_the_study_waiting() -> None:
    cluster = OutsideCluster(0, {"a": 1})
    study = cluster.submit()
    before = cluster.engine.snapshot()
    with pytest.raises(InvalidStudy, match=r"2\.0 is not within 0\.0 and 1\.0"):
        cluster.enqueue("one", 2.0)
    assert cluster.engine.snapshot() == before
    assert study.wants_points
    assert cluster.enqueue("one", 0.5) == 0


def test_initial_points_come_first_and_count() -> None:
    cluster = OutsideCluster(0, {"a": 1})
    study = cluster.submit(max_trials=3, initial=({"lr": 0, "m": 0.25},))
    assert len(study.trials) == 1
    cluster.run()
    assert [trial.enqueued for trial in study.trials.values()] == [False, True, True]


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 40),
            st.sampled_from([*FAULTS, "enqueue", "repeat", "fork", "pause", "extend", "restart_server"]),
        ),
        max_size=12,
    ),
    st.sampled_from([policies.full(), *HALVING, *WATCHING]),
)
def test_whatever_happens_there_are_never_more_than_max_trials_and_all_come(
    seed: int, happens: list[tuple[int, str]], policy: policies.PolicySpec
) -> None:
    """1. Points come when they are wanted, and when they are not; twice; around faults, pauses and restarts. 2. The
    study ends with max_trials of them, each trained as alone.
    """
    cluster = OutsideCluster(seed, {"a": 2, "b": 1})
    study, limit, forks = cluster.submit(policy=policy), 8, 0
    for count, what in happens:
        for _ in range(count):
            if cluster.engine.state.active:
                cluster.act()
        study = study_of(cluster)
        match what:
            case "enqueue" if study.unproposed:
                cluster.enqueue()
            case "enqueue":
                with pytest.raises(Conflict):
                    cluster.enqueue()
            case "repeat" if cluster.told:
                asks = [trial.notes["ask"] for trial in study.trials.values() if "ask" in trial.notes]
                for ask in asks[-1:]:
                    trials = len(study.trials)
                    momentum = next(
                        trial.assignment["m"]
                        for trial in study.trials.values()
                        if trial.notes.get("ask") == ask
                    )
                    cluster.enqueue(ask, momentum)
                    assert len(study.trials) == trials
            case "fork" if study.trials:
                forks += 1
                cluster.tell(
                    ForkTrial(project=PROJECT, name=NAME, trial=0, at=2, hyperparameters={"m": forks / 1000})
                )
            case "pause" if study.state is StudyState.RUNNING:
                cluster.tell(PauseStudy(project=PROJECT, name=NAME))
                cluster.tell(ResumeStudy(project=PROJECT, name=NAME))
            case "extend":
                limit += 1
                cluster.tell(ExtendStudy(project=PROJECT, name=NAME, max_trials=limit))
            case "restart_server" | "lose_checkpoint":
                getattr(cluster, what)()
            case _ if what in FAULTS:
                getattr(cluster, what)("a")
        assert len(study_of(cluster).trials) <= limit + forks
    cluster.run()
    cluster.restart_server()
    study = study_of(cluster)
    assert (len(study.trials), study.drawn) == (limit + forks, limit)
    assert study.state is StudyState.COMPLETED
    expect_as_trained_alone(cluster, NAME)


# Users decide how far


def test_where_users_decide_each_trial_rests_after_its_first_steps() -> None:
    """1. Trials rest at step 2, and the study waits. 2. One is extended twice, to its end; one is stopped. 3. That was
    the last: the study is complete, and the best is the one that came to its end.
    """
    cluster = OutsideCluster(0, {"a": 1})
    study = cluster.submit(max_trials=2, policy=policies.manual(min_steps=2))

    def rest() -> None:
        while study.open or study.unproposed:
            cluster.act()

    rest()
    assert {trial.reason for trial in study.trials.values()} == {"at step 2, until a user decides"}
    assert study.state is StudyState.RUNNING
    assert study_view(cluster.engine, PROJECT, NAME).reason == (
        "2 trials rest until a user decides: hippo trial extend study, hippo trial stop study"
    )
    cluster.tell(ExtendTrial(project=PROJECT, name=NAME, trial=0, to=4))
    rest()
    assert (study.trials[0].state, study.trials[0].reached) == (TrialState.PAUSED, 4)
    cluster.restart_server()
    cluster.tell(ExtendTrial(project=PROJECT, name=NAME, trial=0, to=6))
    cluster.tell(StopTrial(project=PROJECT, name=NAME, trial=1))
    cluster.run()
    study = study_of(cluster)
    assert study.state is StudyState.COMPLETED
    assert [(trial.state, trial.reached) for trial in study.trials.values()] == [
        (TrialState.COMPLETED, 6),
        (TrialState.STOPPED, 2),
    ]
    assert [best.number for best in study_view(cluster.engine, PROJECT, NAME).best_trials] == [0]
    expect_as_trained_alone(cluster, NAME)


def test_where_users_stop_every_trial_the_study_is_complete() -> None:
    cluster = OutsideCluster(0, {"a": 1})
    study = cluster.submit(max_trials=2, policy=policies.manual(min_steps=2))
    while study.open or study.unproposed:
        cluster.act()
    for trial in range(2):
        cluster.tell(StopTrial(project=PROJECT, name=NAME, trial=trial))
    assert study.state is StudyState.COMPLETED
    assert len(study_view(cluster.engine, PROJECT, NAME).best_trials) == 1


def test_a_study_of_a_known_sampler_can_be_decided_on_too() -> None:
    cluster = OutsideCluster(0, {"a": 1})
    study = cluster.submit(max_trials=3, sampler=samplers.random(), policy=policies.manual())
    while study.open:
        cluster.act()
    for trial in range(3):
        cluster.tell(ExtendTrial(project=PROJECT, name=NAME, trial=trial, to=6))
    cluster.run()
    assert {trial.state for trial in study.trials.values()} == {TrialState.COMPLETED}


def test_the_first_steps_are_checked_and_rounded_up_to_an_evaluation() -> None:
    with pytest.raises(InvalidStudy, match=r"policy\.min_steps: 7 is above max_steps=6"):
        spec(policy=policies.manual(min_steps=7))
    made = spec(policy=policies.manual(min_steps=2))
    assert made.policy.check(9, 3) == ["min_steps=2 is rounded up to 3, for evaluate_every=3"]
    assert policies.from_json(made.policy.to_json()) == made.policy


# Results


@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.integers(1, 30), st.sampled_from(["look", "restart_server"])), max_size=12),
    st.integers(1, 3),
    st.integers(1, 2),
)
def test_who_follows_the_marks_hears_of_every_end_in_the_order_in_which_it_came(
    seed: int, looks: list[tuple[int, str]], size: int, repeats: int
) -> None:
    """1. Somebody asks for news now and then, page by page, over restarts. 2. In the end each trial was heard of in
    its last state, and nothing was heard of twice without news. 3. Who asks for all at the end hears of each once.
    """
    cluster = OutsideCluster(seed, {"a": 2})
    cluster.submit(policy=policies.asha(1, 2), repeats=repeats)
    mark, heard = 0, dict[int, tuple[TrialState, int]]()

    def look() -> None:
        nonlocal mark
        while True:
            found, following = trials_since(cluster.engine, PROJECT, NAME, mark, size)
            assert len(found) <= size
            assert (following > mark) is bool(found)
            heard.update({view.number: (view.state, view.step) for view in found})
            mark = following
            if not found:
                return

    for count, what in looks:
        for _ in range(count):
            if cluster.engine.state.active:
                cluster.act()
        if what == "restart_server":
            cluster.restart_server()
        else:
            look()
    cluster.run()
    look()
    study = study_of(cluster)
    trials = study.trials
    assert {number: step for number, (_, step) in heard.items()} == {
        number: step_of(study, trial) for number, trial in trials.items()
    }
    every = sorted(trials.values(), key=lambda trial: trial.closed)
    found, last = trials_since(cluster.engine, PROJECT, NAME, 0, 100)
    assert [view.number for view in found] == [trial.number for trial in every]
    assert last == mark
    assert {trial.state for trial in trials.values()} <= ENDED_TRIAL_STATES
    assert trials_since(cluster.engine, PROJECT, NAME, 0, 100)[1] == mark


class Unlisted(dict[int, Any]):
    """Trials that are looked up, and never gone through."""

    def __iter__(self) -> Any:
        raise AssertionError("goes through all trials")

    values = items = keys = __iter__  # type: ignore[assignment]


def test_news_are_found_without_going_through_all_trials() -> None:
    cluster = OutsideCluster(0, {"a": 1})
    cluster.submit(max_trials=9)
    cluster.run()
    study = study_of(cluster)
    found, mark = trials_since(cluster.engine, PROJECT, NAME, 0, 7)
    study.trials = Unlisted(study.trials)
    following, _ = trials_since(cluster.engine, PROJECT, NAME, mark, 7)
    assert (len(found), len(following)) == (7, 2)
    assert not {view.number for view in found} & {view.number for view in following}
