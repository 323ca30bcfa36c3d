"""Repeats: a point is trained with several seeds, is compared by its mean, and counts once."""

from __future__ import annotations

import contextlib
import statistics
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import endings, policies, samplers, space
from hippo_core.engine.commands import (
    Command,
    EditStudy,
    EnqueueTrial,
    ExtendStudy,
    ExtendTrial,
    ForkTrial,
    RetryTrials,
    StopTrial,
)
from hippo_core.engine.orders import order
from hippo_core.engine.states import TrialState
from hippo_core.engine.study_views import study_view
from hippo_core.engine.trial_detail import trial_detail
from hippo_core.engine.trial_views import trial_views
from hippo_core.errors import HippoError, InvalidStudy
from hippo_core.repeats import SEED
from hippo_core.study import StudySpec
from tests.unit.engine import cluster as cluster_module
from tests.unit.engine.cluster import Cluster, alone, metric
from tests.unit.engine.test_cluster import FAULTS, PIECES, expect_as_trained_alone, spec, submit
from tests.unit.engine.test_policies import HALVING, WATCHING, ComparingCluster, study_of


def repeated(name: str = "study", repeats: int = 3, **changes: Any) -> StudySpec:
    made = spec(name, changes.pop("rates", PIECES[:2]), policy=changes.pop("policy", None))
    return replace(made, repeats=repeats, **changes)


@pytest.mark.parametrize("seed", range(4))
def test_each_repeat_is_a_study_of_its_own_with_its_seed_and_the_point_is_their_mean(seed: int) -> None:
    """1. A grid with three repeats. 2. Every repeat is as trained alone. 3. A prefix is trained once a seed."""
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    submit(cluster, repeated())
    cluster.run()
    cluster.restart_server()
    expect_as_trained_alone(cluster, "study")
    view = study_view(cluster.engine, "default", "study")
    assert view.trial_counts == {"completed": 12}, "a point counts once"
    once = Cluster(seed, {"a": 2, "b": 1})
    submit(once, repeated(repeats=1))
    once.run()
    assert view.savings.steps_trained == cluster.trained == 3 * once.trained
    assert view.savings.steps_without_sharing == 3 * 12 * 9
    for trial in trial_views(cluster.engine, "default", "study"):
        values = [
            alone(
                [study_of(cluster).trials[trial.number].sequence.values(step) for step in range(9)], 1, each
            )[9]
            for each in range(3)
        ]
        assert trial.metrics["accuracy"] == pytest.approx(statistics.fmean(values))
        assert trial.spread["accuracy"] == pytest.approx(statistics.stdev(values))
    best = view.best_trial
    assert best is not None
    assert best.metrics["accuracy"] == max(
        each.metrics["accuracy"] for each in trial_views(cluster.engine, "default", "study")
    )


def test_repeat_0_shares_with_studies_without_repeats_and_repeats_share_with_each_other() -> None:
    cluster = Cluster(0, {"a": 2})
    submit(cluster, repeated("alone", repeats=1))
    cluster.run()
    trained = cluster.trained
    submit(cluster, repeated("two", repeats=2))
    cluster.run()
    assert cluster.trained == 2 * trained
    submit(cluster, repeated("three", repeats=3))
    cluster.run()
    assert cluster.trained == 3 * trained
    for name in ("alone", "two", "three"):
        expect_as_trained_alone(cluster, name)


def test_a_worker_is_told_of_the_seed_and_of_no_further_hyperparameter() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, repeated(rates=PIECES[:1]))
    seeds = set()
    while cluster.engine.state.active:
        for lease in cluster.engine.state.leases.values():
            told = order(cluster.engine.state, lease, 1.0)
            laws = [told.setup_laws, *(stage.laws for stage in told.stages)]
            assert {name for each in laws for name in each.names} == {"batch", "lr", "m"}
            assert (
                told.program_key
                == told.program.key
                == replace(repeated().program, seed=told.program.seed).key
            )
            seeds.add(told.program.seed)
        cluster.act()
    assert seeds == {0, 1, 2}


def test_the_last_seed_is_followed_by_the_first() -> None:
    made = repeated(repeats=2)
    last = replace(made, program=replace(made.program, seed=2**32 - 1))
    assert last.sequence(last.point(0), 1).values(0)[SEED] == 0


def tell(cluster: Cluster, command: Command) -> None:
    """Gives a command; one that an ending forbids changes nothing."""
    with contextlib.suppress(HippoError):
        cluster.tell(command)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 60),
            st.sampled_from(
                [*FAULTS, "restart_server", "stop", "extend", "fork", "enqueue", "policy", "longer"]
            ),
            st.sampled_from(["a", "b"]),
            st.integers(0, 2**16),
        ),
        max_size=8,
    ),
    st.sampled_from([policies.full(), *HALVING, *WATCHING]),
    st.sampled_from([samplers.grid(), samplers.tpe()]),
    st.sampled_from([(), (), (endings.target(0.8),), (endings.plateau(2),)]),
)
def test_after_commands_and_faults_every_repeat_is_exact_and_restarts_change_no_verdict(
    seed: int,
    happens: list[tuple[int, str, str, int]],
    policy: policies.PolicySpec,
    sampler: samplers.Sampler,
    ends: tuple[endings.Ending, ...],
) -> None:
    """1. Users stop, extend, fork, enqueue and edit, faults strike. 2. All ends; all repeats of a point end alike."""
    every = [policies.full(), *HALVING, *WATCHING]
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    submit(cluster, repeated(repeats=2, rates=PIECES[:1], policy=policy, sampler=sampler, endings=ends))
    for count, what, worker, chosen in happens:
        for _ in range(count):
            if cluster.engine.state.active:
                cluster.act()
        study = study_of(cluster)
        trial = chosen % max(len(study.trials), 1)
        given_to: dict[str, Any] = {"project": "default", "name": "study"}
        match what:
            case "stop" if study.trials:
                tell(cluster, StopTrial(**given_to, trial=trial))
            case "extend" if study.trials:
                tell(
                    cluster,
                    ExtendTrial(**given_to, trial=trial, to=study.trials[trial].reached + 1 + chosen % 6),
                )
            case "fork" if study.trials:
                tell(cluster, ForkTrial(**given_to, trial=trial, at=chosen % 9, hyperparameters={"lr": 0.07}))
            case "enqueue" if not sampler.learns:
                point = {"lr": 0.1, "batch": 64, "m": 0.9}
                tell(cluster, EnqueueTrial(**given_to, point=point))
            case "policy":
                tell(
                    cluster,
                    EditStudy(**given_to, spec=replace(study.spec, policy=every[chosen % len(every)])),
                )
            case "longer":
                steps = study.spec.max_steps
                assert isinstance(steps, int)
                tell(cluster, ExtendStudy(**given_to, max_steps=steps + chosen % 3))
            case "stop" | "extend" | "fork" | "enqueue":
                pass
            case _:
                strike = getattr(cluster, what)
                strike(*([worker] if what not in {"restart_server", "lose_checkpoint"} else []))
    cluster.run()
    cluster.restart_server()
    expect_as_trained_alone(cluster, "study")
    study = study_of(cluster)
    assert study.drawn == study.spec.max_trials or study.ending
    assert len(study.repeats) == len(study.trials)
    for number in study.trials:
        states = {member.state for member in study.members(number)}
        assert len(states) == 1
        assert states <= {TrialState.COMPLETED, TrialState.STOPPED}


def test_policies_compare_means() -> None:
    """1. Halving over repeats. 2. Who goes on from the first rung is who has the best mean there."""
    cluster = ComparingCluster(0, {"a": 3})
    submit(cluster, repeated(rates=PIECES, policy=policies.sha(3, 3)))
    cluster.run()
    study = study_of(cluster)
    means = {
        number: statistics.fmean(
            alone([trial.sequence.values(step) for step in range(3)], 1, seed)[3] for seed in range(3)
        )
        for number, trial in study.trials.items()
    }
    promoted = {number for number, trial in study.trials.items() if trial.asked > 3}
    ranked = sorted(means, key=lambda number: -means[number])
    assert len(promoted) == 12
    assert min(means[number] for number in promoted) >= means[ranked[11]]


@pytest.mark.parametrize("policy", [policies.full(), policies.asha(1, 3), policies.patience(2)])
def test_a_point_of_which_a_repeat_diverges_has_diverged(
    policy: policies.PolicySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. Of some points one repeat's metric is not finite. 2. The whole point ends so, naming the repeat."""

    def evaluate(self: Any, model: str) -> dict[str, float]:
        return {"accuracy": metric(model) if metric(model[::-1]) > 0.06 else float("nan")}

    monkeypatch.setattr(cluster_module.Hashes, "evaluate", evaluate)
    cluster = ComparingCluster(1, {"a": 2})
    submit(cluster, repeated(policy=policy))
    for _ in range(12):
        for _ in range(25):
            if cluster.engine.state.active:
                cluster.act()
        cluster.restart_server()
    cluster.run()
    study = study_of(cluster)
    diverged = [number for number, trial in study.trials.items() if trial.state is TrialState.DIVERGED]
    assert diverged
    reasons = []
    for number in study.trials:
        members = study.members(number)
        is_bad = [any(value is None for value in _objectives(each)) for each in members]
        assert any(is_bad) == (number in diverged)
        reasons += [member.reason for member in members if number in diverged]
        if number in diverged:
            assert all(member.state is TrialState.DIVERGED or member.reached == 9 for member in members)
    assert any(reason.startswith("repeat ") and "is not finite at step" in reason for reason in reasons)


def _objectives(trial: Any) -> list[Any]:
    found = []
    for step in range(1, trial.reached + 1):
        found.append(trial.leaf.owner(step).metrics.get(step, {}).get("accuracy", 0.0))
    return found


def test_a_point_fails_with_a_repeat_and_is_tried_again_as_a_whole() -> None:
    """1. A repeat's trainer fails for good. 2. The point has failed. 3. A retry trains all that is missing."""
    cluster = ComparingCluster(0, {"a": 1})
    submit(cluster, repeated(rates=PIECES[:1]))
    while not any(trial.state is TrialState.FAILED for trial in study_of(cluster).trials.values()):
        cluster.act()
        if cluster.random.random() < 0.3:
            cluster.fail_training("a")
    failed = [
        number for number, trial in study_of(cluster).trials.items() if trial.state is TrialState.FAILED
    ]
    for number in failed:
        assert {member.state for member in study_of(cluster).members(number)} == {TrialState.FAILED}
    cluster.restart_server()
    assert cluster.tell(RetryTrials(project="default", name="study")).count == len(failed)
    cluster.run()
    assert {trial.state for trial in study_of(cluster).trials.values()} == {TrialState.COMPLETED}
    assert {trial.state for trial in study_of(cluster).repeats.values()} == {TrialState.COMPLETED}
    expect_as_trained_alone(cluster, "study")


def test_a_sampler_that_learns_sees_one_trial_a_point_with_its_mean() -> None:
    searched = space.Space({"lr": space.loguniform(1e-4, 1e-1), "batch": 32, "m": 0.9})
    made = replace(spec(), space=searched, max_trials=4, sampler=samplers.tpe(), repeats=3)
    cluster = ComparingCluster(0, {"a": 1})
    submit(cluster, made)
    while len(study_of(cluster).trials) < 3 or not cluster.proposals_wanted():
        cluster.act()
    task = cluster.engine.proposal_task(cluster.proposals_wanted()[0])
    assert [past.trial for past in task.history] == [0, 1, 2]
    done = [past for past in task.history if past.values]
    assert done
    for past in done:
        detail = trial_detail(cluster.engine, "default", "study", past.trial)
        means = {each.step: each.metrics["accuracy"] for each in detail.history}
        assert {step: values[0] for step, values in past.values.items()}.items() <= means.items()
    cluster.run()
    expect_as_trained_alone(cluster, "study")


def test_the_number_of_repeats_is_not_edited() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, repeated())
    with pytest.raises(InvalidStudy, match="is 2, and the study's is 3"):
        cluster.tell(EditStudy(project="default", name="study", spec=repeated(repeats=2)))
