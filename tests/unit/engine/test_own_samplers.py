"""Hippo's own samplers in the engine: the same points after a restart, and no step beyond what they ask for."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import endings, policies, samplers, schedules, space
from hippo_core.engine.best import best_trials
from hippo_core.engine.commands import ExtendStudy, ForkTrial, SubmitStudy
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import RequestOpened
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study_views import study_view
from hippo_core.errors import InvalidStudy
from hippo_core.proposing import own_point
from tests.unit.engine.cluster import SETTINGS, Cluster
from tests.unit.engine.policy_comparison import expect_same_policies
from tests.unit.engine.test_cluster import FAULTS, distinct_prefixes, expect_as_trained_alone
from tests.unit.engine.test_proposals import PROJECT, running, seen_by_proposals, spec, the_study

DEHB: dict[str, Any] = {"sampler": samplers.dehb(), "policy": policies.dehb(), "max_steps": 9}
FORKING: dict[str, Any] = {"sampler": samplers.fork_asha(), "policy": policies.fork_asha(), "max_steps": 9}
PHASE_TREE: dict[str, Any] = {
    "sampler": samplers.phase_tree(),
    "policy": policies.phase_tree(),
    "max_steps": 9,
}
SEARCHES: list[dict[str, Any]] = [
    DEHB,
    PHASE_TREE,
    {"sampler": samplers.bohb(min_points=2), "policy": policies.hyperband(asynchronous=True), "max_steps": 9},
    {"sampler": samplers.bohb(min_points=2), "policy": policies.asha(), "max_steps": 9},
    FORKING,
]


@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 80),
            st.sampled_from([*FAULTS, "restart_server", "repeat_proposal"]),
            st.sampled_from(["a", "b"]),
        ),
        max_size=8,
    ),
    st.sampled_from(SEARCHES),
)
def test_whatever_strikes_each_point_follows_from_what_was_known(
    seed: int, faults: list[tuple[int, str, str]], search: dict[str, Any]
) -> None:
    """1. A search runs; faults strike. 2. It ends, exact. 3. Each point follows from the journal; no step is more."""
    study_spec = spec(max_trials=20, **search)
    cluster = Cluster(seed, {"a": 2, "b": 1})
    cluster.tell(SubmitStudy(project=PROJECT, user="u", spec=study_spec))
    for count, fault, worker in faults:
        for _ in range(count):
            cluster.act()
        lone = {"restart_server", "lose_checkpoint", "repeat_proposal"}
        getattr(cluster, fault)(*([] if fault in lone else [worker]))
    cluster.run()
    study = the_study(cluster)
    assert study.state is StudyState.COMPLETED
    assert len(study.trials) == 20
    expect_as_trained_alone(cluster, "study")
    for created, task in seen_by_proposals(cluster.journal, study_spec):
        assert (created.assignment, created.notes) == own_point(task)
    best = best_trials(study)[0]
    assert (best.state, best.reached) == (TrialState.COMPLETED, 9)
    if search is DEHB:
        expect_steps_as_noted(cluster)
    if search is PHASE_TREE:
        expect_phases_as_noted(cluster)


def expect_steps_as_noted(cluster: Cluster) -> None:
    """No trial is asked for beyond its step, but for one that goes on where nobody has come to the end."""
    study = the_study(cluster)
    ended = [trial for trial in study.trials.values() if trial.notes.get("step", 1) == 9]
    beyond = [
        event
        for event in cluster.journal
        if isinstance(event, RequestOpened) and event.step > study.trials[event.trial].notes.get("step", 1)
    ]
    assert len({event.trial for event in beyond}) == (0 if ended else 1)
    for trial in study.trials.values():
        assert trial.reached in (trial.notes.get("step", 1), 9)
        expected = TrialState.COMPLETED if trial.reached == 9 else TrialState.STOPPED
        assert trial.state is expected


def expect_phases_as_noted(cluster: Cluster) -> None:
    """Each trial ends where its phase does, but for one that goes on; it has its parent's values up to there."""
    study = the_study(cluster)
    ended = [trial for trial in study.trials.values() if trial.notes["step"] == 9]
    assert sum(trial.reached > trial.notes["step"] for trial in study.trials.values()) == (0 if ended else 1)
    for trial in study.trials.values():
        assert trial.reached in (trial.notes["step"], 9)
        assert trial.state is (TrialState.COMPLETED if trial.reached == 9 else TrialState.STOPPED)
        if "parent" in trial.notes:
            parent = study.trials[trial.notes["parent"]]
            start = parent.notes["step"]
            assert start < trial.reached
            values = [[each.sequence.values(step) for step in range(start)] for each in (trial, parent)]
            assert values[0] == values[1]
    assert {(probe.fork or {})["at"] for probe in study.probes.values()} == {3}


@pytest.mark.parametrize(
    "search", SEARCHES, ids=["dehb", "phase_tree", "bohb, hyperband", "bohb, asha", "fork_asha"]
)
@pytest.mark.parametrize("seed", range(2))
def test_a_restart_at_any_moment_wants_the_same_points_and_decides_the_same(
    search: dict[str, Any], seed: int
) -> None:
    cluster = running({"a": 2, "b": 1}, seed, max_trials=16, **search)
    points = 0
    for _ in range(2000):
        rebuilt = Engine.restore(cluster.journal, SETTINGS, cluster.now)
        expect_same_policies(cluster.engine, rebuilt)
        assert rebuilt.wanted() == cluster.engine.wanted()
        for wanted in cluster.proposals_wanted():
            points += 1
            task, again = cluster.engine.proposal_task(wanted), rebuilt.proposal_task(wanted)
            assert own_point(task) == own_point(again)
        if not cluster.engine.state.active:
            break
        cluster.act()
    assert points >= 16
    assert the_study(cluster).state is StudyState.COMPLETED


@pytest.mark.parametrize("seed", range(4))
def test_a_promotion_goes_on_where_the_point_stands(seed: int) -> None:
    """1. DEHB, its first bracket and more. 2. What was promoted shares all its steps: each prefix is trained once."""
    cluster = running({"a": 2}, seed, max_trials=24, **DEHB)
    cluster.run()
    study = the_study(cluster)
    promoted = [trial for trial in study.trials.values() if trial.notes.get("promoted")]
    assert promoted
    for trial in promoted:
        below = [other for other in study.trials.values() if other.notes["step"] < trial.notes["step"]]
        assert any(other.assignment == trial.assignment for other in below)
    savings = study_view(cluster.engine, PROJECT, "study").savings
    assert savings.steps_trained - savings.steps_retrained == distinct_prefixes(cluster, "study")
    shared = savings.steps_without_sharing - savings.steps_trained + savings.steps_retrained
    assert shared >= sum(1 if trial.notes["step"] == 3 else 3 for trial in promoted)


def test_of_few_trials_the_best_goes_on_to_the_end() -> None:
    """Five trials fill no rung: the best of them at the furthest step is trained to the end."""
    cluster = running({"a": 1}, max_trials=5, **DEHB)
    cluster.run()
    study = the_study(cluster)
    assert study.state is StudyState.COMPLETED
    (completed,) = [trial for trial in study.trials.values() if trial.state is TrialState.COMPLETED]
    assert completed.reached == 9
    others = [trial for trial in study.trials.values() if trial is not completed]
    assert {trial.reached for trial in others} == {1}
    for each in others:
        assert re.fullmatch(
            r"not promoted beyond step 1: rank [2-5] of 5 at step 1 of bracket 0, [\d.]+; 3 go on once there are 9",
            each.reason,
        )


def test_more_trials_go_on_in_the_brackets_and_more_steps_are_refused() -> None:
    cluster = running({"a": 1}, max_trials=13, **DEHB)
    cluster.run()
    with pytest.raises(
        InvalidStudy, match=r"whose rungs follow from it\. Submit the study under another name"
    ):
        cluster.tell(ExtendStudy(project=PROJECT, name="study", max_steps=27))
    cluster.tell(ExtendStudy(project=PROJECT, name="study", max_trials=20))
    cluster.run()
    study = the_study(cluster)
    places = [(trial.notes["bracket"], trial.notes["rung"]) for trial in study.trials.values()]
    assert sorted(places) == [(0, 0)] * 9 + [(0, 1)] * 3 + [(0, 2)] + [(1, 0)] * 3 + [(1, 1)] + [(2, 0)] * 3
    expect_steps_as_noted(cluster)


def test_a_fork_is_evaluated_at_the_first_rung_and_takes_no_place() -> None:
    """1. A search of 13; a user forks a trial on the way. 2. The 13 are as they would be without it."""
    found = []
    for forks in (False, True):
        cluster = running({"a": 1}, max_trials=13, **DEHB)
        while len(the_study(cluster).trials) < 4:
            cluster.act()
        if forks:
            cluster.tell(
                ForkTrial(project=PROJECT, name="study", trial=0, at=1, hyperparameters={"lr": 0.05})
            )
        cluster.run()
        study = the_study(cluster)
        forked = [trial for trial in study.trials.values() if trial.fork is not None]
        assert [(trial.reached, trial.state) for trial in forked] == [(1, TrialState.STOPPED)] * forks
        drawn = [trial for trial in study.trials.values() if trial.fork is None]
        found.append([(trial.assignment, trial.notes, trial.reached) for trial in drawn])
    assert found[0] == found[1]


def test_initial_points_take_the_first_places() -> None:
    initial = tuple({"lr": 0, "m": at} for at in (0.25, 0.5))
    cluster = running({"a": 1}, max_trials=13, initial=initial, **DEHB)
    cluster.run()
    study = the_study(cluster)
    assert [study.trials[number].assignment for number in (0, 1)] == list(initial)
    assert [study.trials[number].reached for number in (0, 1)] == [1, 1]
    places = [(trial.notes["bracket"], trial.notes["rung"]) for trial in list(study.trials.values())[2:]]
    assert sorted(places) == [(0, 0)] * 7 + [(0, 1)] * 3 + [(0, 2)]


@pytest.mark.parametrize("seed", range(3))
def test_a_fork_trains_what_follows_its_base_and_skips_the_rungs_before(seed: int) -> None:
    """1. A search with phases at steps 3 and 6. 2. Each fork's first request is beyond where it leaves its base."""
    found = {"lr": schedules.piecewise([space.loguniform(1e-3, 1.0) for _ in range(3)], [3, 6])}
    made = spec(found, max_trials=40, **FORKING)
    cluster = Cluster(seed, {"a": 2})
    cluster.tell(SubmitStudy(project=PROJECT, user="u", spec=made))
    cluster.run()
    study = the_study(cluster)
    forks = [trial for trial in study.trials.values() if trial.notes.get("kind") == "fork"]
    assert forks
    numbers = {trial.number: trial.notes["at"] for trial in forks}
    opened = [
        event for event in cluster.journal if isinstance(event, RequestOpened) and event.trial in numbers
    ]
    assert {event.step for event in opened} == {9}
    for event in opened:
        assert f"up to step {numbers[event.trial]}, with other draws for what follows" in event.reason
    savings = study_view(cluster.engine, PROJECT, "study").savings
    assert savings.steps_trained - savings.steps_retrained == distinct_prefixes(cluster, "study")
    shared = savings.steps_without_sharing - savings.steps_trained + savings.steps_retrained
    assert shared >= sum(trial.notes["at"] for trial in forks) > 0


@pytest.mark.parametrize("budget", [60, 123])
def test_a_budget_of_steps_ends_a_search_that_forks_and_is_not_overrun(budget: int) -> None:
    cluster = running({"a": 3}, max_trials=1000, endings=(endings.max_trained_steps(budget),), **FORKING)
    cluster.run()
    study = the_study(cluster)
    assert study.state is StudyState.COMPLETED
    savings = study_view(cluster.engine, PROJECT, "study").savings
    assert budget - 9 < savings.steps_trained <= budget


@pytest.mark.parametrize("seed", range(3))
def test_a_phase_tree_keeps_to_its_budget_with_its_probes(seed: int) -> None:
    """1. Three trials at a time, until the budget is spent. 2. Nothing is trained beyond it, by probes neither."""
    budget = 60
    ends = (endings.max_trained_steps(budget),)
    cluster = running({"a": 2, "b": 1}, seed, max_trials=200, endings=ends, **PHASE_TREE)
    cluster.run()
    study = the_study(cluster)
    assert study.state is StudyState.COMPLETED
    assert study.probes
    savings = study_view(cluster.engine, PROJECT, "study").savings
    assert budget - 9 < savings.steps_trained - savings.steps_retrained <= budget
