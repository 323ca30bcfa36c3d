"""Every policy in the engine: exact after faults, the same after a restart, and heard by the path that it stops."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import fmean, median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies
from hippo_core.engine import journal
from hippo_core.engine.commands import (
    Command,
    EditStudy,
    EnqueueTrial,
    ExtendStudy,
    ExtendTrial,
    ForkTrial,
    PauseStudy,
    RegisterWorker,
    ResumeStudy,
    RetryTrials,
    SlotSpec,
    StopStudy,
    StopTrial,
    WorkerLeaves,
)
from hippo_core.engine.events import (
    LeaseStopped,
    RequestClosed,
    RequestOpened,
    StepsTrained,
    TrialStateChanged,
)
from hippo_core.engine.states import RequestState, StudyState, TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.study_views import study_view
from hippo_core.errors import HippoError
from hippo_core.objective import Objective
from tests.unit.engine import cluster as cluster_module
from tests.unit.engine.cluster import Cluster, alone, metric
from tests.unit.engine.policy_comparison import expect_same_policies
from tests.unit.engine.test_cluster import FAULTS, PIECES, POINTS, expect_as_trained_alone, spec, submit

HALVING = [
    policies.sha(1, 3),
    policies.asha(1, 2, brackets=2),
    policies.asha(1, 3, stopping=True),
    policies.asha(1, 2, compare="models"),
    policies.hyperband(1, 3),
    policies.hyperband(1, 2, asynchronous=True),
    policies.pasha(1, 2),
]
WATCHING = [
    policies.median_stopping(min_trials=2),
    policies.percentile_stopping(30.0, min_steps=3, min_trials=3),
    policies.patience(2),
    policies.threshold_stopping(0.2),
]


class ComparingCluster(Cluster):
    """A cluster that compares policies whenever its server is restarted."""

    def restart_server_without_workers(self) -> None:
        lived = self.engine
        super().restart_server_without_workers()
        expect_same_policies(lived, self.engine)  # before a slot that comes back takes a promotion


def study_of(cluster: Cluster, name: str = "study") -> Study:
    study = cluster.engine.state.study_named("default", name)
    assert study is not None
    return study


@settings(max_examples=80)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 90), st.sampled_from([*FAULTS, "restart_server"]), st.sampled_from(["a", "b"])
        ),
        max_size=8,
    ),
    st.sampled_from([*HALVING, *WATCHING]),
    st.sampled_from([1, 3]),
)
def test_after_any_faults_every_history_is_exact_and_restarts_change_no_verdict(
    seed: int, faults: list[tuple[int, str, str]], policy: policies.PolicySpec, evaluate_every: int
) -> None:
    """1. A study runs, faults strike, a second study that shares comes between. 2. All ends, and is exact."""
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    if isinstance(policy, policies.PatienceSpec):
        evaluate_every = 1  # else it cannot run out before the end
    made = {"policy": policy, "evaluate_every": evaluate_every}
    submit(cluster, spec("first", PIECES[:3], **made))  # type: ignore[arg-type]
    for count, fault, worker in faults:
        for _ in range(count):
            cluster.act()
        strike = getattr(cluster, fault)
        strike(*([worker] if fault not in {"restart_server", "lose_checkpoint"} else []))
    submit(cluster, spec("second", PIECES, **made))  # type: ignore[arg-type]
    cluster.run()
    cluster.restart_server()
    for name in ("first", "second"):
        expect_as_trained_alone(cluster, name)
        states = {trial.state for trial in study_of(cluster, name).trials.values()}
        assert states <= {TrialState.COMPLETED, TrialState.STOPPED}
        assert study_of(cluster, name).state in {StudyState.COMPLETED, StudyState.FAILED}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("policy", [*HALVING, *WATCHING], ids=lambda policy: str(policy.to_json()))
def test_no_verdict_changes_over_commands_failures_and_divergence(
    policy: policies.PolicySpec, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. Some evaluations are not finite, some steps raise. 2. Users pause, resume, stop, extend, retry. 3. The server
    restarts at each turn: its policies know and decide the same.
    """

    def evaluate(self: Any, model: str) -> dict[str, float]:
        return {"accuracy": metric(model) if metric(model[::-1]) > 0.03 else float("nan")}

    monkeypatch.setattr(cluster_module.Hashes, "evaluate", evaluate)
    chosen = random.Random(seed)
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    submit(cluster, spec("first", PIECES[:3], policy=policy))
    submit(cluster, spec("second", PIECES[1:4], policy=policy))
    commands: list[Callable[[str], Command]] = [
        lambda name: PauseStudy(project="default", name=name),
        lambda name: ResumeStudy(project="default", name=name),
        lambda name: ExtendStudy(project="default", name=name, max_steps=chosen.randrange(9, 14)),
        lambda name: StopStudy(project="default", name=name),
        lambda name: RetryTrials(project="default", name=name),
        lambda name: ForkTrial(
            project="default",
            name=name,
            trial=chosen.randrange(8),
            at=chosen.randrange(10),
            hyperparameters={"lr": chosen.choice([0.1, 0.01])},
        ),
        lambda name: EnqueueTrial(project="default", name=name, point=chosen.choice(POINTS)),
        lambda name: StopTrial(project="default", name=name, trial=chosen.randrange(6)),
        lambda name: ExtendTrial(
            project="default", name=name, trial=chosen.randrange(6), to=chosen.randrange(1, 16)
        ),
        lambda name: EditStudy(
            project="default",
            name=name,
            spec=replace(study_of(cluster, name).spec, policy=chosen.choice([*HALVING, *WATCHING])),
        ),
    ]
    for _ in range(16):
        for _ in range(chosen.randrange(40)):
            cluster.act()
        if chosen.random() < 0.5:
            cluster.fail_training(chosen.choice("ab"))
        with contextlib.suppress(HippoError):  # a command that the study's state forbids changes nothing
            cluster.tell(chosen.choice(commands)(chosen.choice(["first", "second"])))
        cluster.restart_server()
    for name in ("first", "second"):
        with contextlib.suppress(HippoError):
            cluster.tell(ResumeStudy(project="default", name=name))
    cluster.run()
    cluster.restart_server()
    states = {
        trial.state for name in ("first", "second") for trial in study_of(cluster, name).trials.values()
    }
    assert TrialState.WAITING not in states


@pytest.mark.parametrize(
    "policy",
    [
        policies.sha(1, 3),
        policies.hyperband(1, 3),
        policies.sha(1, 2, compare="models"),
        policies.patience(2),
    ],
)
def test_where_rungs_wait_or_there_are_none_neither_arrival_nor_faults_decide_who_goes_on(
    policy: policies.PolicySpec,
) -> None:
    """Guarantee 2, for policies that do not depend on the order of arrival: the leaderboard is the same."""
    outcomes = []
    for seed in range(6):
        cluster = ComparingCluster(seed, {"a": 2, "b": 1})
        submit(cluster, spec(policy=policy))
        for fault in range(seed):
            for _ in range(40):
                cluster.act()
            cluster.kill_worker("ab"[fault % 2])
            cluster.restart_server()
        cluster.run()
        trials = study_of(cluster).trials.values()
        outcomes.append({trial.number: (trial.state, trial.reached, trial.value) for trial in trials})
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert len({reached for _, reached, _ in outcomes[0].values()}) > 1


def test_a_path_in_training_is_told_to_end_when_its_trials_are_stopped() -> None:
    """1. The first evaluation is worse than the threshold. 2. All trials of the path stop; it ends at the next step."""
    cluster = ComparingCluster(0, {"a": 1})
    submit(cluster, spec(rates=[0.1], policy=policies.threshold_stopping(2.0)))
    worker = cluster.workers["a"]
    cluster.receive(worker)
    (running,) = worker.running.values()
    cluster.train(worker, running)
    cluster.report(worker, running)
    stopped = [trial for trial in study_of(cluster).trials.values() if trial.state is TrialState.STOPPED]
    assert {trial.reached for trial in stopped} == {1}
    assert all(trial.reason.endswith("at step 1 is worse than 2") for trial in stopped)
    assert any(isinstance(event, LeaseStopped) for event in cluster.journal)
    cluster.receive(worker)
    cluster.train(worker, running)
    assert running.done
    assert cluster.trained == 1
    cluster.run()
    view = study_view(cluster.engine, "default", "study")
    assert view.state is StudyState.FAILED
    assert "no trial completed; trial 0: " in view.reason
    assert view.best_trials == (), "a study that failed has no best"


@pytest.mark.parametrize("seed", range(6))
def test_stopped_trials_are_trained_no_further_than_the_path_that_carried_them(seed: int) -> None:
    cluster = ComparingCluster(seed, {"a": 1})
    submit(cluster, spec(policy=policies.median_stopping(min_trials=2)))
    cluster.run()
    stopped = [trial for trial in study_of(cluster).trials.values() if trial.state is TrialState.STOPPED]
    assert stopped
    assert all("is worse than" in trial.reason and trial.reached < 9 for trial in stopped)
    trained = sum(event.stop - event.start for event in cluster.journal if isinstance(event, StepsTrained))
    assert trained == cluster.trained
    full = Cluster(seed, {"a": 1})
    submit(full, spec())
    full.run()
    assert trained < full.trained


def outcomes(cluster: Cluster, name: str) -> dict[int, tuple[TrialState, str, int, float | None]]:
    """By trial, how it ended, why, at which step and with which value."""
    trials = study_of(cluster, name).trials.values()
    return {trial.number: (trial.state, trial.reason, trial.reached, trial.value) for trial in trials}


def curve_of(study: Study, number: int) -> dict[int, float]:
    """A trial's metrics by step, up to step 9, as if it were trained alone."""
    values = [study.trials[number].sequence.values(step) for step in range(9)]
    return alone(values, 1, study.spec.program.seed)


@pytest.mark.parametrize("seed", range(4))
def test_a_threshold_stops_the_same_trials_at_the_same_steps_whatever_was_trained_before(seed: int) -> None:
    """1. A study is trained cold. 2. The same comes where another one has trained everything. 3. Both stop whom the
    threshold stops, where it does: at the first value that is worse, the last one included.
    """
    policy = policies.threshold_stopping(0.12, min_steps=2)
    cold = ComparingCluster(seed, {"a": 2, "b": 1})
    submit(cold, spec(policy=policy))
    cold.run()
    warm = ComparingCluster(seed, {"a": 2})
    submit(warm, spec("before"))
    warm.run()
    trained = warm.trained
    submit(warm, spec(policy=policy))
    assert warm.trained == trained
    assert study_of(warm).state is StudyState.COMPLETED
    expected = {}
    for number in study_of(cold).trials:
        values = curve_of(study_of(cold), number)
        bad = next((step for step, value in values.items() if step >= 2 and value < 0.12), None)
        reason = f"{values[bad]:.6g} at step {bad} is worse than 0.12" if bad else ""
        state = TrialState.STOPPED if bad else TrialState.COMPLETED
        expected[number] = (state, reason, bad or 9, values[bad or 9])
    assert outcomes(warm, "study") == expected
    assert outcomes(cold, "study") == expected
    assert {reached for state, _, reached, _ in expected.values() if state is TrialState.STOPPED} >= {2, 9}
    warm.restart_server()
    cold.restart_server()


def test_a_report_of_many_steps_is_judged_step_by_step() -> None:
    """1. A path trains to its end before it reports. 2. Its trials are stopped at the first bad step all the same."""
    cluster = ComparingCluster(0, {"a": 1})
    submit(cluster, spec(rates=[0.1], policy=policies.threshold_stopping(0.5, min_steps=2)))
    worker = cluster.workers["a"]
    while cluster.engine.state.active:
        cluster.receive(worker)
        for running in list(worker.running.values()):
            while not running.done and running.stop is None:
                before = running.step
                cluster.train(worker, running)
                if running.step == before:
                    break
        cluster.act()
    assert max(event.stop - event.start for event in cluster.journal if isinstance(event, StepsTrained)) > 3
    for number, trial in study_of(cluster).trials.items():
        values = curve_of(study_of(cluster), number)
        bad = next(step for step, value in values.items() if step >= 2 and value < 0.5)
        assert (trial.state, trial.reached, trial.value) == (TrialState.STOPPED, bad, values[bad])


def test_what_is_known_already_is_judged_step_by_step_as_if_it_were_trained() -> None:
    """1. A study is trained. 2. Another one, that compares, knows all evaluations when it is submitted: at each step
    those that are still there are compared, all at once.
    """
    cluster = ComparingCluster(0, {"a": 2})
    submit(cluster, spec("first", seed=7))
    cluster.run()
    trained = cluster.trained
    submit(cluster, spec("second", seed=7, policy=policies.median_stopping(min_trials=2)))
    assert cluster.trained == trained
    second = study_of(cluster, "second")
    curves = {number: curve_of(second, number) for number in second.trials}
    there, stopped = set(curves), {}
    for step in range(1, 9):
        upto = {number: [curves[number][each] for each in range(1, step + 1)] for number in there}
        for number in upto:
            others = [fmean(upto[other]) for other in upto if other != number]
            if max(upto[number]) < median(others):
                stopped[number] = step
        there -= stopped.keys()
    assert {number: trial.reached for number, trial in second.trials.items()} == {
        number: stopped.get(number, 9) for number in curves
    }
    assert set(stopped.values()) == {1, 3}
    for number, step in stopped.items():
        assert second.trials[number].state is TrialState.STOPPED
        assert f" up to step {step}, " in second.trials[number].reason
    cluster.restart_server()


def test_a_prefix_that_is_known_counts_before_anything_is_trained() -> None:
    """1. Six steps are known. 2. Who is too bad by then is stopped before a slot is given to it."""
    cluster = ComparingCluster(0, {"a": 2})
    submit(cluster, spec("first", max_steps=6))
    cluster.run()
    trained = cluster.trained
    submit(cluster, spec("second", max_steps=9, policy=policies.threshold_stopping(0.5, min_steps=6)))
    second = study_of(cluster, "second")
    stopped = [trial for trial in second.trials.values() if trial.state is TrialState.STOPPED]
    assert stopped
    assert {trial.reached for trial in stopped} == {6}
    assert cluster.trained == trained


def test_every_request_and_stop_of_a_policy_has_its_reason() -> None:
    cluster = ComparingCluster(1, {"a": 2})
    submit(cluster, spec(policy=policies.asha(1, 3)))
    cluster.run()
    reasons = [event.reason for event in cluster.journal if isinstance(event, RequestOpened)]
    assert reasons[:36] == ["enters at step 1"] * 36
    assert all(reason.startswith(("rank ", "the best at step ")) for reason in reasons[36:])
    assert len(reasons) > 36
    for trial in study_of(cluster).trials.values():
        if trial.state is TrialState.STOPPED:
            assert trial.reason.startswith(f"not promoted beyond step {trial.reached}: rank ")
            assert "go on, down to " in trial.reason


def test_a_journal_from_before_requests_had_reasons_is_read() -> None:
    old = {"study": 1, "trial": 2, "step": 3, "node": 4}
    assert journal.from_json("RequestOpened", old) == RequestOpened(
        study=1, trial=2, step=3, node=4, reason=""
    )
    with pytest.raises(KeyError):
        journal.from_json("RequestOpened", {"study": 1})


def test_stopping_asha_stops_at_rungs_and_leaves_no_trial_paused() -> None:
    cluster = ComparingCluster(1, {"a": 2})
    submit(cluster, spec(policy=policies.asha(1, 3, stopping=True)))
    while cluster.engine.state.active:
        cluster.act()
        assert all(trial.state is not TrialState.PAUSED for trial in study_of(cluster).trials.values())
    for trial in study_of(cluster).trials.values():
        if trial.state is TrialState.STOPPED:
            assert trial.reached in {1, 3}
            assert trial.reason.startswith("rank ")


@pytest.mark.parametrize("seed", range(4))
def test_patience_completes_a_trial_where_it_stands_and_keeps_its_state(seed: int) -> None:
    cluster = ComparingCluster(seed, {"a": 2})
    submit(cluster, spec(policy=policies.patience(2)))
    for _ in range(8):
        for _ in range(20):
            cluster.act()
        cluster.fail_save("a")
    cluster.run()
    study = study_of(cluster)
    assert {trial.state for trial in study.trials.values()} == {TrialState.COMPLETED}
    early = [trial for trial in study.trials.values() if trial.reached < 9]
    assert early
    for trial in early:
        assert trial.reason.startswith("no improvement on ")
        assert trial.reached_node is not None
        assert trial.reached in trial.reached_node.checkpoints
    expect_as_trained_alone(cluster, "study")


@pytest.mark.parametrize("policy", [policies.patience(2), policies.median_stopping(min_trials=2)])
def test_who_was_stopped_on_the_way_stays_so_when_the_study_is_extended(policy: policies.PolicySpec) -> None:
    cluster = ComparingCluster(2, {"a": 2})
    submit(cluster, spec(policy=policy))
    cluster.run()
    study = study_of(cluster)
    early = {
        trial.number: (trial.state, trial.reached) for trial in study.trials.values() if trial.reached < 9
    }
    assert early
    before = len(cluster.journal)
    cluster.tell(ExtendStudy(project="default", name="study", max_steps=12))
    cluster.restart_server()
    cluster.run()
    reopened = {event.trial for event in cluster.journal[before:] if isinstance(event, RequestOpened)}
    assert reopened == set(study.trials) - set(early)
    changed = {event.trial for event in cluster.journal[before:] if isinstance(event, TrialStateChanged)}
    assert not changed.intersection(early), "nothing is said of them again"
    after = study_of(cluster).trials
    assert {number: (after[number].state, after[number].reached) for number in early} == early


def test_a_study_that_a_user_stopped_goes_on_where_it_was_but_for_whom_the_policy_stopped() -> None:
    cluster = ComparingCluster(3, {"a": 2})
    submit(cluster, spec(policy=policies.threshold_stopping(0.2)))
    for _ in range(150):
        cluster.act()
    study = study_of(cluster)
    judged = {number for number, trial in study.trials.items() if trial.state is TrialState.STOPPED}
    assert judged
    cluster.tell(StopStudy(project="default", name="study"))
    cluster.restart_server()
    cluster.tell(ExtendStudy(project="default", name="study", max_steps=10))
    cluster.run()
    trials = study_of(cluster).trials
    assert all(
        trials[number].state is TrialState.STOPPED and trials[number].reached < 10 for number in judged
    )
    assert any(trial.reached == 10 for trial in trials.values())
    expect_as_trained_alone(cluster, "study")


def test_a_paused_study_judges_what_its_paths_still_report_and_begins_nothing() -> None:
    """1. Paused, its path reports a step more. 2. The trials that are bad there are stopped. 3. Neither a restart nor
    going on changes that.
    """
    cluster = ComparingCluster(0, {"a": 1})
    submit(cluster, spec(rates=[0.1], policy=policies.threshold_stopping(2.0)))
    worker = cluster.workers["a"]
    cluster.receive(worker)
    (running,) = worker.running.values()
    cluster.train(worker, running)
    cluster.tell(PauseStudy(project="default", name="study"))
    cluster.report(worker, running)
    found = outcomes(cluster, "study")
    assert {(state, reached) for state, _, reached, _ in found.values()} >= {(TrialState.STOPPED, 1)}
    assert study_of(cluster).state is StudyState.PAUSED
    cluster.restart_server()
    cluster.tell(ResumeStudy(project="default", name="study"))
    stopped = {number: end for number, end in found.items() if end[0] is TrialState.STOPPED}
    assert stopped.items() <= outcomes(cluster, "study").items()


def register_elsewhere(cluster: Cluster) -> None:
    """A worker comes with another torch."""
    cluster.tell(
        RegisterWorker(
            worker="c",
            incarnation="1",
            host="c",
            slots=(SlotSpec(index=0, device="cpu", model="", cpus=1, gpus=0),),
            environment={"python": "3.11", "torch": "3", "cuda": None},
            leases=(),
        )
    )


def test_a_study_that_moves_to_another_environment_forgets_the_evaluations_of_the_former() -> None:
    """1. What was trained is known in one environment. 2. Its worker leaves, a study that shares comes, and then a
    worker with another environment. 3. The study moves there; what it was told does not count any more.
    """
    cluster = ComparingCluster(0, {"a": 1})
    submit(cluster, spec("first", max_steps=4))
    cluster.run()
    cluster.tell(WorkerLeaves(worker="a", incarnation=str(cluster.workers["a"].incarnation)))
    del cluster.workers["a"]
    submit(cluster, spec("second", policy=policies.threshold_stopping(0.0)))
    second = study_of(cluster, "second")
    assert all(curve.steps == [1, 2, 3, 4] for curve in second.policy.curves.values())  # type: ignore[attr-defined]
    register_elsewhere(cluster)
    assert second.plan != study_of(cluster, "first").plan
    assert all(curve.steps == [] for curve in second.policy.curves.values())  # type: ignore[attr-defined]
    cluster.restart_server()


def test_models_are_the_nodes_at_a_rung() -> None:
    """A rung at step 1 of a grid whose schedules begin alike counts what is distinct there."""
    cluster = ComparingCluster(0, {"a": 2})
    submit(cluster, spec(policy=policies.sha(1, 2, compare="models")))
    cluster.run()
    roots = {node.id for node in cluster.engine.state.nodes.values() if node.parent is None}
    reasons = [
        event.reason for event in cluster.journal if isinstance(event, RequestOpened) and event.step == 2
    ]
    assert reasons
    assert all(f"of {len(roots)} models at step 1, " in reason for reason in reasons)
    promoted = {
        event.trial for event in cluster.journal if isinstance(event, RequestOpened) and event.step == 2
    }
    of_model = {
        number: trial.node.root().id for number, trial in study_of(cluster).trials.items() if trial.node
    }
    kept = {of_model[number] for number in promoted}
    assert len(kept) == len(roots) // 2
    assert promoted == {number for number, model in of_model.items() if model in kept}


def test_several_objectives_reach_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promoted from the first rung are a third of it, in whole fronts and by distance: none of those is dominated by
    one that was not."""

    def evaluate(self: Any, model: str) -> dict[str, float]:
        return {"accuracy": metric(model), "cost": metric(model[::-1])}

    monkeypatch.setattr(cluster_module.Hashes, "evaluate", evaluate)
    objectives = (Objective(metric="accuracy", maximize=True), Objective(metric="cost", maximize=False))
    cluster = ComparingCluster(4, {"a": 2})
    submit(cluster, replace(spec(policy=policies.sha(1, 3, compare="models")), objectives=objectives))
    for _ in range(20):
        for _ in range(20):
            cluster.act()
        cluster.restart_server()
    cluster.run()
    study = study_of(cluster)
    first = {
        event.trial: study.trials[event.trial].node.root().metrics[1]  # type: ignore[union-attr]
        for event in cluster.journal
        if isinstance(event, RequestClosed) and event.step == 1 and event.state is RequestState.REACHED
    }
    went_on = {trial for trial in first if study.trials[trial].reached > 1}
    assert went_on
    assert went_on != set(first)
    for trial in went_on:
        for other in set(first) - went_on:
            ours, theirs = first[trial], first[other]
            better = theirs["accuracy"] >= ours["accuracy"] and theirs["cost"] <= ours["cost"]  # type: ignore[operator]
            assert not better or theirs == ours
    reasons = [trial.reason for trial in study.trials.values() if "go on" in trial.reason]
    named = r"models at step \d, \(accuracy [-.e\d]+, cost [-.e\d]+\); \d+ go on, down to \(accuracy .+, cost .+\)"
    assert reasons
    assert all(re.search(named, reason) for reason in reasons), reasons


def test_what_is_known_beyond_a_divergence_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """1. A study's objective diverges at step 3; another study goes on through there. 2. The first one is extended, so
    that its policy is made anew: it is told of no more evaluations than before.
    """

    def train(self: Any, model: str, step: int, values: Mapping[str, Any]) -> str:
        return f"{step + 1} {cluster_module.next_state(model, values)}"

    def evaluate(self: Any, model: str) -> dict[str, float]:
        step, state = model.split()
        return {"accuracy": float("nan") if int(step) == 3 else metric(state), "cost": metric(state)}

    monkeypatch.setattr(cluster_module.Hashes, "train", train)
    monkeypatch.setattr(cluster_module.Hashes, "evaluate", evaluate)
    cluster = ComparingCluster(0, {"a": 2})
    submit(cluster, spec("first", PIECES[:2], policy=policies.median_stopping(min_trials=30)))
    other = replace(spec("second", PIECES[:2]), objectives=(Objective(metric="cost", maximize=False),))
    submit(cluster, other)
    cluster.run()
    assert {trial.state for trial in study_of(cluster, "first").trials.values()} == {TrialState.DIVERGED}
    cluster.tell(ExtendStudy(project="default", name="first", max_steps=9, priority=1))
    curves = study_of(cluster, "first").policy.curves  # type: ignore[attr-defined]
    assert all(curve.steps == [1, 2] for curve in curves.values())
    cluster.restart_server()


def journal_of(policy: policies.PolicySpec) -> str:
    """All events of a study with a fault, as one number."""
    cluster = Cluster(5, {"a": 2, "b": 1})
    submit(cluster, spec(rates=PIECES[:4], policy=policy))
    for _ in range(60):
        cluster.act()
    cluster.kill_worker("a")
    cluster.run()
    lines = [[type(event).__name__, journal.to_json(event)] for event in cluster.journal]
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


def journals() -> dict[str, str]:
    return {str(policy.to_json()): journal_of(policy) for policy in [*HALVING, *WATCHING]}


def test_two_hash_seeds_give_one_journal() -> None:
    program = (
        "import json; from tests.unit.engine.test_policies import journals; print(json.dumps(journals()))"
    )
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout) == journals()
