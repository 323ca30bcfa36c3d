"""Constraints on metrics in the engine: what is best, what ends a study, what its policy and sampler are told."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest

from hippo_core import endings, policies, samplers, space
from hippo_core.engine.commands import EditStudy, SubmitStudy
from hippo_core.engine.consultations import ConsultPolicy
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study_views import StudyView, study_view
from hippo_core.engine.trial_detail import trial_detail
from hippo_core.engine.trial_views import TrialView, trial_views
from hippo_core.errors import Conflict
from hippo_core.objective import Objective
from hippo_core.study import StudySpec
from tests.own_policies import Asha
from tests.unit.core.policy_oracles import dominates
from tests.unit.engine import cluster as cluster_module
from tests.unit.engine.cluster import Cluster, metric
from tests.unit.engine.test_cluster import PIECES, submit
from tests.unit.engine.test_cluster import spec as plain_spec
from tests.unit.engine.test_policies import HALVING, WATCHING, ComparingCluster, study_of

LATENCY = "latency <= 10"
MEMORY = "memory >= 2"


def evaluate(self: Any, model: str) -> dict[str, float]:
    """Three metrics that have nothing to do with each other; the latency is not always finite."""
    latency = 20.0 * metric(model[::-1])
    return {
        "accuracy": metric(model),
        "latency": math.nan if latency > 19 else latency,
        "memory": 4.0 * metric(model[5:]),
    }


@pytest.fixture(autouse=True)
def _metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module.Hashes, "evaluate", evaluate)


def spec(*constraints: str, **changes: Any) -> StudySpec:
    kept = {name: changes.pop(name) for name in ("endings", "repeats", "objectives") if name in changes}
    return replace(plain_spec(**changes), constraints=constraints, **kept)


def view(cluster: Cluster) -> StudyView:
    return study_view(cluster.engine, "default", "study")


def trials(cluster: Cluster) -> tuple[TrialView, ...]:
    return trial_views(cluster.engine, "default", "study")


def violated(metrics: dict[str, float | None], *constraints: str) -> float:
    """By how much, written out by hand."""
    found = 0.0
    if LATENCY in constraints:
        latency = metrics["latency"]
        found += math.inf if latency is None else max(0.0, (latency - 10) / 10)
    if MEMORY in constraints:
        memory = metrics["memory"]
        assert memory is not None
        found += max(0.0, (2 - memory) / 2)
    return found


def ranked(cluster: Cluster, *constraints: str) -> list[TrialView]:
    """The completed trials, the best first."""
    completed = [each for each in trials(cluster) if each.state is TrialState.COMPLETED]
    return sorted(
        completed,
        key=lambda each: (violated(each.metrics, *constraints), -each.metrics["accuracy"], each.number),
    )


SEARCHING = [policies.full(), *HALVING, *WATCHING, policies.threshold_stopping(0.05)]


@pytest.mark.parametrize("policy", SEARCHING, ids=lambda policy: str(policy.to_json()))
def test_the_best_trial_is_the_best_feasible_one_whatever_restarts(policy: policies.PolicySpec) -> None:
    """1. A study runs, and its server restarts again and again: policies know the same, and decide the same.
    2. The best is told by brute force over what people see.
    """
    constraints = (LATENCY, MEMORY)
    chosen = random.Random(7)
    cluster = ComparingCluster(3, {"a": 2, "b": 1})
    submit(cluster, spec(*constraints, policy=policy, rates=PIECES[:4]))
    while cluster.engine.state.active:
        for _ in range(chosen.randrange(1, 80)):
            cluster.act()
        cluster.restart_server()
    found = view(cluster)
    expected = ranked(cluster, *constraints)
    if not expected:
        assert isinstance(policy, policies.ThresholdStoppingSpec)  # nobody was feasible all the way
        return
    assert found.best_trial is not None
    assert found.best_trial.number == expected[0].number
    for trial in trials(cluster):
        if trial.metrics:
            assert trial.violation == pytest.approx(violated(dict(trial.metrics), *constraints))
    assert {trial.state for trial in trials(cluster)} <= {TrialState.COMPLETED, TrialState.STOPPED}


def test_the_constraint_decides_otherwise_than_the_objective_alone() -> None:
    """The unconstrained best is infeasible: with the constraint another trial is best, and is feasible."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster, spec())
    submit(cluster, spec(LATENCY, name="bounded"))
    cluster.run()
    free = view(cluster).best_trial
    bounded = study_view(cluster.engine, "default", "bounded").best_trial
    assert free is not None
    assert bounded is not None
    assert free.violation is None
    assert violated(dict(free.metrics), LATENCY) > 0
    assert bounded.violation == 0
    assert free.number != bounded.number
    assert study_view(cluster.engine, "default", "bounded").savings.steps_trained == cluster.trained, "shared"


def test_where_nothing_is_feasible_the_least_violating_is_best() -> None:
    cluster = Cluster(1, {"a": 2})
    submit(cluster, spec("latency <= -1"))
    cluster.run()
    best = view(cluster).best_trial
    assert best is not None
    known = [each.metrics["latency"] for each in trials(cluster) if each.metrics["latency"] is not None]
    assert best.metrics["latency"] == min(known)
    assert best.violation == pytest.approx(min(known) + 1)
    assert view(cluster).state is StudyState.COMPLETED


def test_a_metric_that_is_not_finite_is_infinitely_violated_and_no_divergence() -> None:
    cluster = Cluster(1, {"a": 2})
    submit(cluster, spec(LATENCY))
    cluster.run()
    bad = [each for each in trials(cluster) if each.metrics["latency"] is None]
    assert bad
    assert {each.state for each in bad} == {TrialState.COMPLETED}
    assert {each.violation for each in bad} == {math.inf}


def test_the_front_of_several_objectives_is_of_feasible_trials() -> None:
    objectives = (Objective(metric="accuracy", maximize=True), Objective(metric="memory", maximize=False))
    cluster = Cluster(2, {"a": 2})
    submit(cluster, spec(LATENCY, objectives=objectives, policy=policies.asha(1, 2)))
    cluster.run()
    completed = [each for each in trials(cluster) if each.state is TrialState.COMPLETED]
    worth = {
        each.number: (
            violated(dict(each.metrics), LATENCY),
            -each.metrics["accuracy"],  # type: ignore[operator]
            each.metrics["memory"],
        )
        for each in completed
    }
    front = {
        number
        for number, ours in worth.items()
        if not any(dominates(theirs, ours) for theirs in worth.values())
    }
    assert {each.number for each in view(cluster).best_trials} == front


def test_of_repeats_the_means_count() -> None:
    cluster = Cluster(5, {"a": 3})
    submit(cluster, spec(LATENCY, rates=PIECES[:2], repeats=3))
    cluster.run()
    for trial in trials(cluster):
        detail = trial_detail(cluster.engine, "default", "study", trial.number)
        found = [each.history[-1].metrics["latency"] for each in detail.repeats]
        known = [each for each in found if each is not None]
        expected = math.inf if len(known) < 3 else max(0.0, (fmean(known) - 10) / 10)
        assert trial.violation == pytest.approx(expected)
    best = view(cluster).best_trial
    assert best is not None
    assert best.number == ranked(cluster, LATENCY)[0].number


# What ends a study


def test_only_a_feasible_trial_reaches_a_target() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec("latency <= 2", endings=(endings.target(0.6),)))
    cluster.run()
    found = view(cluster)
    assert found.ending == "target"
    best = found.best_trial
    assert best is not None
    assert best.metrics["accuracy"] >= 0.6
    assert best.violation == 0
    passed = [
        each.metrics
        for trial in trials(cluster)
        for each in trial_detail(cluster.engine, "default", "study", trial.number).history
        if each.metrics["accuracy"] >= 0.6
    ]
    latencies = [each["latency"] for each in passed]
    assert any(each is None or each > 2 for each in latencies), "others would have, without the constraint"


def test_a_plateau_is_of_the_constrained_order() -> None:
    """Trial by trial, in the order in which they came to their end: less violation, or a better value, improves."""
    cluster = Cluster(4, {"a": 1})
    submit(cluster, spec(LATENCY, endings=(endings.plateau(patience=5),)))
    cluster.run()
    study = study_of(cluster)
    best, since = None, 0
    for closing in study.closings:
        if closing.step < 9 or closing.values is None:
            continue
        metrics = trials(cluster)[closing.trial].metrics
        ours = (violated(dict(metrics), LATENCY), -metrics["accuracy"])
        if best is None or ours < best:
            best, since = ours, 0
        else:
            since += 1
    assert view(cluster).ending == "plateau"
    assert since == 5
    assert best is not None
    assert f"no improvement on accuracy {-best[1]:.6g} of trial" in view(cluster).reason


# What is told


def test_a_metric_that_is_not_reported_fails_the_study_at_once() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec("latencies <= 10"))
    cluster.run()
    found = view(cluster)
    assert found.state is StudyState.FAILED
    assert found.reason == (
        "the study constrains 'latencies', but the trainer's evaluate() reported: accuracy, latency, memory; "
        "did you mean 'latency'? Change constraints=[\"latencies <= 10\"] in the study, or let evaluate() report "
        "'latencies'."
    )
    assert found.savings.steps_trained == 1


def test_a_policy_of_ones_own_is_told_by_how_much_each_state_violates() -> None:
    """A copy of ASHA's rule by the constrained order finds the best feasible trial; what it was told fits JSON."""

    class ConstrainedAsha(Asha):
        def decide(self) -> Any:
            for trial in self.trials.values():
                for step, value in trial.values.items():
                    trial.scores[step] = value[0] - 10 * min(trial.violations[step], 10.0)
            return super().decide()

    cluster = Cluster(2, {"a": 2})
    cluster.policy_classes["my_policy:Asha"] = ConstrainedAsha
    submit(cluster, spec(LATENCY, MEMORY, policy=policies.own("my_policy:Asha", {"reduction_factor": 2})))
    cluster.run()
    study = study_of(cluster)
    question = cluster.engine.policy_question(ConsultPolicy(study=study.id, number=0, failures=0), 0)
    assert question.context.constraints == (LATENCY, MEMORY)
    told = [call for each in question.rounds for call in each.calls if call[0] == "reported"]
    json.dumps(told, allow_nan=False)
    history = {
        (trial.number, each.step): each.metrics
        for trial in trials(cluster)
        for each in trial_detail(cluster.engine, "default", "study", trial.number).history
    }
    assert told
    for _, trial, step, values in told:
        expected = violated(dict(history[trial, step]), LATENCY, MEMORY)
        assert values[0] == history[trial, step]["accuracy"]
        assert values[1] == (None if expected == math.inf else pytest.approx(expected))
    assert view(cluster).best_trial is not None
    assert view(cluster).best_trial.number == ranked(cluster, LATENCY, MEMORY)[0].number


def test_a_hyper_parameter_is_told_from_a_metric() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec("lr <= 10"))
    cluster.run()
    assert "a condition on hyper-parameters is a space.constraint(...)" in view(cluster).reason


def test_another_submission_with_other_constraints_differs() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(LATENCY))
    submit(cluster, spec(LATENCY))
    with pytest.raises(Conflict, match=r"constraints\.0") as caught:
        submit(cluster, spec("latency <= 11"))
    assert "Give the study another name" in caught.value.hint


def test_an_edit_cannot_change_them() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(LATENCY))
    with pytest.raises(Conflict, match="an edit cannot change what is feasible"):
        cluster.tell(EditStudy(project="default", name="study", spec=spec("latency <= 11")))


def test_a_sampler_is_told_the_margins_and_proposes_the_same_after_a_restart() -> None:
    """1. BOHB searches, and its server restarts at each turn. 2. What was proposed is what is proposed without."""

    def proposed(*, restarts: bool) -> list[dict[str, Any]]:
        made = {"lr": space.loguniform(1e-4, 1.0), "m": space.uniform(0.0, 0.99)}
        search = replace(
            plain_spec(),
            space=space.Space(made),
            program=replace(plain_spec().program, kinds=space.Space(made).kinds),
            sampler=samplers.bohb(min_points=2),
            policy=policies.hyperband(1, 2, asynchronous=True),
            constraints=(LATENCY, MEMORY),
            max_trials=30,
        )
        cluster = Cluster(1, {"a": 1})
        cluster.tell(SubmitStudy(project="default", user="u", spec=search))
        while cluster.engine.state.active:
            for _ in range(20):
                cluster.act()
            if restarts:
                cluster.restart_server()
        return [dict(study_of(cluster).trials[number].assignment) for number in range(30)]

    assert proposed(restarts=True) == proposed(restarts=False)
