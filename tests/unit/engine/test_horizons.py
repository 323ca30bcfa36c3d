"""Horizons: each point gives a trial of each length, which share their trunk and are compared with their like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import endings, policies, samplers, schedules, space
from hippo_core.domains import HORIZON
from hippo_core.engine.commands import (
    EditStudy,
    EnqueueTrial,
    ExtendStudy,
    ExtendTrial,
    ForkTrial,
    SubmitStudy,
)
from hippo_core.engine.proposals import task
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.studies import Submitted
from hippo_core.engine.study_views import study_view
from hippo_core.engine.trial_views import trial_views
from hippo_core.errors import InvalidStudy
from hippo_core.objective import Objective
from hippo_core.program import Program
from hippo_core.static_plan import plan_studies
from hippo_core.study import StudySpec
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import FAULTS, distinct_prefixes, expect_as_trained_alone, submit
from tests.unit.engine.test_policies import HALVING, WATCHING, ComparingCluster, study_of

HORIZONS = (8, 16, 24)


def family(horizons: tuple[int, ...] = HORIZONS, evaluate_every: int = 1, **changes: Any) -> StudySpec:
    """Six points: three peaks, two lengths of the decay."""
    searched = space.Space(
        {
            "lr": schedules.wsd(space.choice([0.1, 0.2, 0.4]), 2, decay=space.choice([0.25, 3])),
            "m": schedules.piecewise([0.9, 0.95], [5]),
        }
    )
    arguments: dict[str, Any] = {
        "name": "study",
        "space": searched,
        "objectives": (Objective(metric="accuracy", maximize=True),),
        "max_trials": 6,
        "max_steps": horizons[-1] if horizons else 0,
        "horizons": horizons,
        "sampler": samplers.grid(),
        "policy": policies.full(),
        "program": Program(
            trainer="t:T", code_digest="c", evaluate_every=evaluate_every, kinds=searched.kinds
        ),
    }
    return StudySpec(**{**arguments, **changes})


def at_horizon(cluster: Cluster, horizon: int) -> list[Any]:
    return [trial for trial in study_of(cluster).trials.values() if trial.horizon == horizon]


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.lists(st.integers(6, 40), min_size=1, max_size=4, unique=True),
    st.integers(0, 2),
    st.lists(
        st.one_of(st.integers(0, 4), st.sampled_from([0.0, 0.1, 0.3, 0.5])),
        min_size=1,
        max_size=3,
        unique_by=repr,
    ),
    st.sampled_from([1, 4]),
)
def test_the_steps_trained_are_the_distinct_prefixes(
    seed: int, lengths: list[int], warmup: int, decays: list[Any], every: int
) -> None:
    """1. Any family in a grid. 2. What is planned, trained and told are the prefixes that differ, by brute force."""
    rounded = {-(-each // every) * every: each for each in sorted(lengths, reverse=True)}
    horizons = tuple(sorted(rounded.values()))
    searched = space.Space(
        {"lr": schedules.wsd(space.choice([0.1, 0.2]), warmup, decay=space.choice(decays, name="decay"))}
    )
    program = Program(trainer="t:T", code_digest="c", evaluate_every=every, kinds=searched.kinds)
    points = 2 * len(decays)
    spec = family(horizons, space=searched, program=program, max_trials=points)
    cluster = Cluster(seed, {"a": 2, "b": 1})
    submit(cluster, spec)
    cluster.run()
    expect_as_trained_alone(cluster, "study")
    view = study_view(cluster.engine, "default", "study")
    assert view.trial_counts == {"completed": points * len(horizons)}
    assert view.savings.steps_trained == cluster.trained == distinct_prefixes(cluster, "study")
    assert view.savings.steps_without_sharing == points * sum(rounded)
    planned = plan_studies([spec]).studies[0].counts
    assert planned.trials == points * len(horizons)
    assert planned.steps_with_sharing == view.savings.steps_trained
    assert planned.steps_without_sharing == view.savings.steps_without_sharing
    found = [trial.horizon for trial in trial_views(cluster.engine, "default", "study")]
    assert found == sorted(rounded) * points


def test_each_trial_is_the_one_of_a_study_of_its_length_alone() -> None:
    """1. Three horizons. 2. Each of them alone, with its stable part written out, trains nothing more."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster, family())
    cluster.run()
    trained = cluster.trained
    for horizon in HORIZONS:
        lengths = [("quarter", horizon // 4), ("three", 3)]
        rates = [
            schedules.wsd(peak, 2, horizon - 2 - decay, decay)
            for peak in (0.1, 0.2, 0.4)
            for _, decay in lengths
        ]
        searched = {"lr": space.choice(rates), "m": schedules.piecewise([0.9, 0.95], [5])}
        alone = family((), space=space.Space(searched), name=str(horizon), max_steps=horizon)
        submit(cluster, alone)
        cluster.run()
        values = {trial.value for trial in study_of(cluster, str(horizon)).trials.values()}
        assert values == {trial.value for trial in at_horizon(cluster, horizon)}
        best = study_view(cluster.engine, "default", str(horizon)).best_trial
        ours = study_view(cluster.engine, "default", "study").best_by_horizon
        assert best is not None
        assert next(each for each in ours if each.horizon == horizon).metrics == best.metrics
    assert cluster.trained == trained


@pytest.mark.parametrize("steps", [14, 20, 26, 32])
def test_what_was_not_cooled_down_is_not_best_at_its_horizon(steps: int) -> None:
    """1. The study's steps run out on the trunks. 2. Best at a horizon is one that completed, and has its value."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, family(endings=(endings.max_trained_steps(steps),)))
    cluster.run()
    completed = {trial.horizon for trial in study_of(cluster).trials.values() if trial.state == "completed"}
    view = study_view(cluster.engine, "default", "study")
    assert {best.horizon for best in view.best_by_horizon} == completed
    assert {best.state for best in view.best_by_horizon} == {"completed"}
    assert completed < set(HORIZONS)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 90), st.sampled_from([*FAULTS, "restart_server"]), st.sampled_from(["a", "b"])
        ),
        max_size=6,
    ),
    st.sampled_from([policies.full(), *HALVING, *WATCHING]),
    st.sampled_from([1, 2]),
    st.booleans(),
)
def test_after_any_faults_every_history_is_exact_and_restarts_change_no_verdict(
    seed: int, faults: list[tuple[int, str, str]], policy: policies.PolicySpec, repeats: int, further: bool
) -> None:
    """1. A family runs, faults strike, a horizon may be added. 2. All ends, and is exact."""
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    submit(cluster, family(policy=policy, repeats=repeats))
    for place, (count, fault, worker) in enumerate(faults):
        for _ in range(count):
            cluster.act()
        strike = getattr(cluster, fault)
        strike(*([worker] if fault not in {"restart_server", "lose_checkpoint"} else []))
        if further and place == 1:
            cluster.tell(ExtendStudy(project="default", name="study", horizons=(12,)))
    cluster.run()
    expect_as_trained_alone(cluster, "study")
    study = study_of(cluster)
    assert study.state is StudyState.COMPLETED
    assert study.drawn == 6
    assert {trial.state for trial in study.trials.values()} <= {TrialState.COMPLETED, TrialState.STOPPED}
    found = [each.horizon for each in study_view(cluster.engine, "default", "study").best_by_horizon]
    assert found == list(study.spec.horizons)


@pytest.mark.parametrize("policy", [policies.sha(2, 3), policies.hyperband(2, 3)])
@pytest.mark.parametrize("horizon", HORIZONS)
def test_trials_are_compared_with_those_of_their_horizon_only(
    policy: policies.PolicySpec, horizon: int
) -> None:
    """Whom a policy that waits promotes is whom it promotes in a study of one length."""

    def asked(cluster: Cluster, name: str) -> list[int]:
        trials = study_of(cluster, name).trials.values()
        return [trial.asked for trial in trials if trial.horizon in {0, horizon}]

    cluster = Cluster(1, {"a": 2, "b": 1})
    submit(cluster, family(policy=policy))
    cluster.run()
    one = family((), space=family().space.at(horizon), name="one", max_steps=horizon, policy=policy)
    submit(cluster, one)
    cluster.run()
    assert asked(cluster, "study") == asked(cluster, "one")


def test_a_sampler_learns_from_the_longest_horizon_and_a_point_counts_once() -> None:
    """1. A sampler that learns. 2. It is told of one trial a point, without its horizon. 3. All horizons are made."""
    searched = space.Space({"lr": schedules.wsd(space.loguniform(0.01, 1.0, name="peak"), 2, decay=0.25)})
    program = Program(trainer="t:T", code_digest="c", kinds=searched.kinds)
    cluster = Cluster(3, {"a": 1})
    submit(cluster, family(space=searched, program=program, sampler=samplers.tpe(), max_trials=5))
    while study_of(cluster).drawn < 4 or study_of(cluster).proposal is None:
        cluster.act()
    told = task(study_of(cluster))
    assert told.trial == 4
    assert told.spec.horizons == ()
    assert told.spec.max_steps_of({}) == 24
    assert list(told.spec.space.domains) == ["peak"]
    longest = at_horizon(cluster, 24)
    assert [past.assignment for past in told.history] == [
        {"peak": trial.assignment["peak"]} for trial in longest
    ]
    assert {step for past in told.history for step in past.values} == {24}
    cluster.run()
    assert len(study_of(cluster).trials) == 15
    for first in range(0, 15, 3):
        members = [study_of(cluster).trials[first + each].assignment for each in range(3)]
        assert [each[HORIZON] for each in members] == list(HORIZONS)
        assert len({each["peak"] for each in members}) == 1


@pytest.mark.parametrize("how", ["extended", "submitted", "edited"])
@pytest.mark.parametrize("longer", [(12,), (32,), (5, 40)])
def test_a_further_horizon_trains_only_what_is_new(how: str, longer: tuple[int, ...]) -> None:
    """1. A family ends. 2. Horizons are added. 3. What is new of them is trained; the state to go on from is there."""
    cluster = ComparingCluster(0, {"a": 2})
    submit(cluster, family())
    cluster.run()
    more = tuple(sorted({*HORIZONS, *longer}))
    after = family(more)
    if how == "extended":
        cluster.tell(ExtendStudy(project="default", name="study", horizons=longer))
    elif how == "submitted":
        result = cluster.tell(SubmitStudy(project="default", user="u", spec=after))
        assert isinstance(result, Submitted)
        assert result.outcome == "extended"
    else:
        cluster.tell(EditStudy(project="default", name="study", spec=after))
    cluster.restart_server()
    cluster.run()
    expect_as_trained_alone(cluster, "study")
    view = study_view(cluster.engine, "default", "study")
    assert study_of(cluster).spec.horizons == more
    assert view.trial_counts == {"completed": 6 * len(more)}
    assert view.savings.steps_trained - view.savings.steps_retrained == distinct_prefixes(cluster, "study")
    if max(longer) > HORIZONS[-1] and min(longer) > HORIZONS[-1]:
        assert view.savings.steps_retrained == 0, "where the longest begins to decay, the trunk is kept"
    assert [each.horizon for each in view.best_by_horizon] == list(more)
    again = cluster.tell(SubmitStudy(project="default", user="u", spec=family()))
    assert isinstance(again, Submitted)
    assert again.outcome == "unchanged"


def test_more_points_come_at_all_horizons() -> None:
    cluster = ComparingCluster(0, {"a": 2})
    submit(cluster, family(sampler=samplers.random(), max_trials=3))
    cluster.run()
    cluster.tell(ExtendStudy(project="default", name="study", max_trials=5, horizons=(12,)))
    cluster.run()
    assert sorted(trial.horizon for trial in study_of(cluster).trials.values()) == sorted([8, 12, 16, 24] * 5)
    expect_as_trained_alone(cluster, "study")


def test_users_points_forks_and_extensions() -> None:
    """1. An enqueued point has all horizons. 2. A fork has its parent's. 3. Any trial may go further."""
    cluster = ComparingCluster(0, {"a": 2})
    submit(cluster, family(policy=policies.sha(2, 3)))
    cluster.run()
    point = {"lr": schedules.wsd(0.4, 2, decay=3).to_json()}
    cluster.tell(EnqueueTrial(project="default", name="study", point=point))
    made = list(study_of(cluster).trials.values())[-3:]
    assert [(trial.horizon, trial.max_steps) for trial in made] == [(8, 8), (16, 16), (24, 24)]
    cluster.tell(ForkTrial(project="default", name="study", trial=18, at=4, hyperparameters={"m": 0.5}))
    fork = study_of(cluster).trials[21]
    assert (fork.horizon, fork.max_steps) == (8, 8)
    cluster.restart_server()
    cluster.run()
    cluster.tell(ExtendTrial(project="default", name="study", trial=21, to=11))
    cluster.run()
    assert study_of(cluster).trials[21].reached == 11
    assert study_of(cluster).drawn == 6
    assert study_of(cluster).state is StudyState.COMPLETED
    expect_as_trained_alone(cluster, "study")


COSINE = schedules.cosine(0.1, 0.0, 24)
WRITTEN_OUT = schedules.wsd(0.1, 2, 4, 2)


@pytest.mark.parametrize(
    ("rate", "changes", "expected"),
    [
        (COSINE, {}, ["horizons", "no schedule of the space follows", "without stable"]),
        (WRITTEN_OUT, {}, ["horizons", "no schedule of the space follows", "without stable"]),
        (
            space.choice([schedules.wsd(0.1, 2, decay=2), COSINE]),
            {"max_trials": 2},
            ["space['lr']", "cosine ends at step 24, where the horizon is 8", "follows from the horizon"],
        ),
        (
            schedules.piecewise([0.01, schedules.wsd(0.1, 2, decay=2)], [3]),
            {},
            ["space['lr']", "piecewise ends at step 11, where the horizon is 8"],
        ),
        (
            schedules.wsd(0.1, 4, decay=6),
            {},
            ["schedules.wsd", "warmup 4 and decay 6 are more steps than its horizon, 8", "shorter"],
        ),
        (
            schedules.wsd(0.1, 2, decay=2),
            {"max_steps": 16},
            ["max_steps", "16 contradicts horizons, the longest of which is 24", "Leave max_steps out"],
        ),
        (
            schedules.wsd(0.1, 2, decay=2),
            {"max_steps": space.end_of("lr")},
            ["max_steps", "end_of('lr') contradicts horizons"],
        ),
        (schedules.wsd(0.1, 2, decay=2), {"horizons": ()}, ["horizons", "are missing", "its stable part"]),
        (schedules.wsd(0.1, 2, decay=2), {"horizons": (0, 24)}, ["horizons", "at least 1"]),
        (schedules.wsd(0.1, 2, decay=2), {"policy": policies.pbt(2)}, ["policy", "pbt", "policies.asha()"]),
        (
            schedules.wsd(0.1, 2, decay=2),
            {"policy": policies.asha(8, 2)},
            ["policy.min_steps", "must lie below max_steps, 8"],
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    rate: Any, changes: dict[str, Any], expected: list[str]
) -> None:
    searched = space.Space({"lr": rate})
    program = Program(trainer="t:T", code_digest="c", kinds=searched.kinds)
    with pytest.raises(InvalidStudy) as error:
        family(space=searched, program=program, **{"max_trials": 1, **changes})
    for words in expected:
        assert words in f"{error.value} {error.value.hint}"


def test_horizons_that_are_evaluated_at_one_step_are_refused() -> None:
    with pytest.raises(InvalidStudy, match="13 and 14 are both evaluated at step 16"):
        family((8, 13, 14), evaluate_every=4)
    rounded = family((8, 13), evaluate_every=4)
    assert any("horizons are rounded up for evaluate_every=4: 13 -> 16" in each for each in rounded.warnings)


def test_a_horizon_that_is_rounded_up_is_the_rounded_one_everywhere() -> None:
    """Decays end where trials do, when horizons are given as when they are added."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, family((7, 20), evaluate_every=2, max_trials=1))
    cluster.run()
    equal = family((8, 20), evaluate_every=2, max_trials=1)
    found = cluster.tell(SubmitStudy(project="default", user="u", spec=equal))
    assert isinstance(found, Submitted)
    assert found.outcome == "unchanged"
    cluster.tell(ExtendStudy(project="default", name="study", horizons=(5,)))
    cluster.tell(ExtendStudy(project="default", name="study", horizons=(5, 7)))
    cluster.run()
    [study] = cluster.engine.state.studies.values()
    assert study.spec.lengths == (6, 8, 20)
    trials = sorted(study.trials.values(), key=lambda trial: trial.horizon)
    assert [trial.horizon for trial in trials] == [6, 8, 20]
    for trial in trials:
        assert (trial.state, trial.max_steps) == (TrialState.COMPLETED, trial.horizon)
        assert study.hyperparameters(trial)["lr"]["horizon"] == trial.horizon
    view = study_view(cluster.engine, "default", "study")
    assert [each.horizon for each in view.best_by_horizon] == [6, 8, 20]


def test_horizons_can_only_be_added_to() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, family())
    for spec in (family((8, 24)), replace(family(), name="study", horizons=(24,))):
        with pytest.raises(InvalidStudy, match="they can only be added to"):
            cluster.tell(EditStudy(project="default", name="study", spec=spec))
    with pytest.raises(InvalidStudy, match="follows from horizons"):
        cluster.tell(ExtendStudy(project="default", name="study", max_steps=48))
    single = family((), space=family().space.at(8), name="one", max_steps=8)
    submit(cluster, single)
    with pytest.raises(InvalidStudy, match="the study has none"):
        cluster.tell(ExtendStudy(project="default", name="one", horizons=(16,)))
