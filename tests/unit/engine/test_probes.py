"""Probes in the engine: exact, trained once, no trials, and no matter of those that they tell of."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import endings, policies, samplers, space
from hippo_core.endings import Ending
from hippo_core.engine.commands import (
    Command,
    DeleteStudy,
    EditStudy,
    EnqueueTrial,
    ExtendStudy,
    ExtendTrial,
    ForkTrial,
    PauseStudy,
    ResumeStudy,
    RetryTrials,
    StopStudy,
    StopTrial,
)
from hippo_core.engine.decision import EngineSettings
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import CheckpointDropped
from hippo_core.engine.proposals import MakeProposal, ProposalTask
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.study_views import study_view
from hippo_core.engine.tree_views import stage_tree
from hippo_core.engine.trial import Trial
from hippo_core.engine.trial_detail import trial_detail
from hippo_core.engine.trial_views import trial_views
from hippo_core.engine.worker_views import worker_views
from hippo_core.errors import HippoError, InvalidStudy
from hippo_core.policies import PolicySpec
from hippo_core.program import Program
from hippo_core.repeats import SEED
from tests.probing import known, scouts
from tests.unit.engine import cluster as cluster_module
from tests.unit.engine.cluster import SETTINGS, Cluster, alone, metric
from tests.unit.engine.test_cluster import (
    FAULTS,
    PIECES,
    POINTS,
    distinct_prefixes,
    expect_as_trained_alone,
    spec,
    submit,
)
from tests.unit.engine.test_policies import ComparingCluster, study_of


@pytest.fixture(autouse=True, scope="module")
def _scouts() -> Iterator[None]:
    with known():
        yield


def trial_values(study: Study, trial: Trial, step: int) -> dict[str, Any]:
    return {name: value for name, value in trial.sequence.values(step).items() if name != SEED}


def expected_values(study: Study, probe: Trial) -> list[dict[str, Any]]:
    """Independently of the probe: the values of its trial, then those of the step before, but for the factors."""
    fork = probe.fork
    assert fork is not None
    parent = study.trials[fork["trial"]]
    held = trial_values(study, parent, fork["at"] - 1)
    for name, factor in fork["factors"].items():
        if isinstance(held[name], int):
            held[name] = max(1, round(held[name] * factor))
        else:
            held[name] = float(f"{held[name] * factor:.11e}")
    before = [trial_values(study, parent, step) for step in range(fork["at"])]
    return before + [held] * (probe.max_steps - fork["at"])


def expect_probes_as_trained_alone(cluster: Cluster, name: str = "study") -> None:
    """What each probe that came has, is that of its values, trained alone; and its policy was told so."""
    study = study_of(cluster, name)
    seed, every = study.spec.program.seed, study.spec.program.evaluate_every
    for first in study.probes.values():
        if first.repeat or first.state is not TrialState.COMPLETED:
            continue
        found = []
        for probe in study.members(first.number):
            values = expected_values(study, probe)
            assert probe.reached == probe.max_steps == len(values)
            found.append(alone(list(values), every, seed + probe.repeat)[probe.max_steps])
            assert probe.value == found[-1]
        told = study.policy.trials[first.fork["trial"]]  # type: ignore[attr-defined, index]
        if told["score"] is not None:
            assert told["score"] == pytest.approx(-fmean(found))


def distinct_with_probes(cluster: Cluster, *names: str) -> int:
    """Brute force over the values of all trials and probes, to the steps that they reached."""
    found = set()
    for name in names:
        study = study_of(cluster, name)
        for branch in study.branches():
            prefix: tuple[Any, ...] = ()
            for step in range(branch.reached):
                prefix = (*prefix, tuple(sorted(branch.sequence.values(step).items())))
                found.add(prefix)
    return len(found)


def test_people_see_probes_beside_their_trials() -> None:
    """1. While probes run, slots say whose they train. 2. Each trial lists its probe, and the tree tells them."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, replace(spec(rates=PIECES[2:5], policy=scouts(steps=2)), repeats=2))
    seen: set[int] = set()
    running = set()
    while cluster.engine.state.active:
        cluster.act()
        ((slot,),) = (worker.slots for worker in worker_views(cluster.engine))
        lease = None if slot.fence is None else cluster.engine.state.leases.get(slot.fence)
        nodes = set() if lease is None else {number for number, _, _ in lease.stages[lease.index :]}
        open_there = {
            branch.number: branch.probe
            for branch in study_of(cluster).branches()
            if branch.node is not None
            and branch.target is not None
            and nodes.intersection(each.id for each in branch.node.ancestry())
        }
        if slot.probe_of is not None:
            seen.add(slot.probe_of)
            assert all(open_there.values())
            running.update(
                probe.probe
                for probe in trial_detail(cluster.engine, "default", "study", slot.probe_of).probes
                if probe.state is TrialState.RUNNING
            )
    assert seen
    assert running == {1}
    study = study_of(cluster)
    tree = stage_tree(cluster.engine, "default", "study")
    assert sorted({number for node in tree for number in node.probes}) == list(range(18))
    assert all(node.start >= 3 for node in tree if node.probes and not node.trials)
    savings = study_view(cluster.engine, "default", "study").savings
    both = distinct_with_probes(cluster, "study")
    assert savings.steps_in_probes == both - distinct_members(cluster) > 0
    for number in study.trials:
        detail = trial_detail(cluster.engine, "default", "study", number)
        (probe,) = detail.probes
        members = study.members(next(study.probes_of(number)).number)
        assert (probe.probe, probe.at, probe.to, probe.step) == (1, 3, 5, 5)
        assert (probe.factors, probe.reason) == ({"lr": 0.1}, "how good is it?")
        values = [member.value or 0.0 for member in members]
        assert probe.metrics["accuracy"] == pytest.approx(fmean(values))
        assert probe.spread["accuracy"] == pytest.approx(stdev(values))


def distinct_members(cluster: Cluster) -> int:
    """Brute force over the values of trials and repeats, to the steps that they reached."""
    found = set()
    for member in study_of(cluster).all_members():
        prefix: tuple[Any, ...] = ()
        for step in range(member.reached):
            prefix = (*prefix, tuple(sorted(member.sequence.values(step).items())))
            found.add(prefix)
    return len(found)


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_each_trial_is_probed_and_every_distinct_step_is_trained_once(seed: int, waits: bool) -> None:
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    submit(cluster, spec(policy=scouts(waits=waits)))
    cluster.run()
    cluster.restart_server()
    expect_as_trained_alone(cluster, "study")
    expect_probes_as_trained_alone(cluster)
    study = study_of(cluster)
    assert [probe.fork["trial"] for probe in study.probes.values() if probe.fork] != []
    assert {probe.fork["trial"] for probe in study.probes.values() if probe.fork} == set(range(36))
    view = study_view(cluster.engine, "default", "study")
    assert view.state is StudyState.COMPLETED
    assert sum(view.trial_counts.values()) == len(trial_views(cluster.engine, "default", "study")) == 36
    assert view.savings.steps_trained == cluster.trained == distinct_with_probes(cluster, "study")
    assert view.savings.steps_retrained == 0
    assert cluster.trained > distinct_prefixes(cluster, "study"), "probes are trained, too"
    without = sum(trial.reached for trial in study.trials.values()) + 36
    assert view.savings.steps_without_sharing == without
    if waits:
        assert view.trial_counts == {"completed": 18, "stopped": 18}


def test_what_probes_come_to_decides_and_neither_order_nor_faults_change_that() -> None:
    outcomes = []
    for seed in range(6):
        cluster = ComparingCluster(seed, {"a": 2, "b": 1})
        submit(cluster, spec(policy=scouts(waits=True, steps=2)))
        for fault in range(seed):
            for _ in range(20):
                cluster.act()
            cluster.kill_worker("ab"[fault % 2])
            cluster.restart_server()
        cluster.run()
        study = study_of(cluster)
        scores = {probe.fork["trial"]: probe.value or 0.0 for probe in study.probes.values() if probe.fork}
        ranked = sorted(scores, key=lambda number: (-scores[number], number))
        went_on = {trial.number for trial in study.trials.values() if trial.state is TrialState.COMPLETED}
        assert went_on == set(ranked[:18])
        outcomes.append({branch.number: (branch.state, branch.value) for branch in study.branches()})
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_a_trial_is_the_same_with_and_without_its_probe() -> None:
    histories = []
    for policy in (scouts(), policies.full()):
        cluster = Cluster(3, {"a": 2})
        submit(cluster, spec(rates=PIECES[:3], policy=policy))
        cluster.run()
        completed = [
            trial for trial in study_of(cluster).trials.values() if trial.state is TrialState.COMPLETED
        ]
        histories.append({trial.number: trial.value for trial in completed})
    assert histories[0].items() <= histories[1].items()
    assert histories[0]


def test_a_probe_that_goes_as_another_trial_or_probe_does_is_trained_once() -> None:
    """1. The factor is that of the schedule's own fall: each probe goes as its trial goes on. 2. Another study probes
    the same states, and trains nothing."""
    falls = [PIECES[1]]  # 0.1, from step 3 on 0.01
    first = spec("first", falls, policy=scouts(at=3, factors={"lr": 0.1}))
    first = replace(first, space=space.Space({"lr": falls[0], "batch": 32, "m": 0.9}), max_trials=1)
    cluster = Cluster(0, {"a": 1})
    submit(cluster, first)
    cluster.run()
    assert cluster.trained == 4, "the probe, and its trial that rests at step 3"
    submit(cluster, replace(first, name="second", policy=policies.full()))
    cluster.run()
    assert cluster.trained == 9
    view = study_view(cluster.engine, "default", "second")
    assert (view.savings.steps_trained, view.savings.steps_retrained) == (5, 0)
    submit(cluster, replace(first, name="third"))
    cluster.run()
    assert cluster.trained == 9
    assert study_of(cluster, "third").probes


@pytest.mark.parametrize("seed", range(4))
def test_states_of_a_probe_go_when_its_values_are_known_and_those_of_trials_stay(seed: int) -> None:
    """Also where probes, or a probe and a trial, go as one: what a trial came to stays, and nothing is retrained."""
    cluster = Cluster(seed, {"a": 2, "b": 1})
    submit(cluster, spec(policy=scouts(waits=True, steps=2)))
    cluster.run()
    assert any(isinstance(event, CheckpointDropped) for event in cluster.journal)
    study = study_of(cluster)
    assert study.steps_retrained == 0
    for trial in study.trials.values():
        assert trial.reached_node is not None
        assert trial.reached in trial.reached_node.checkpoints
    # What stays is on the way of a trial that might have gone on there.
    for number, step in own_states(cluster):
        laws = cluster.engine.state.nodes[number].laws
        assert any(trial.sequence.first_difference(laws, 3, step) is None for trial in study.trials.values())


def own_states(cluster: Cluster) -> set[tuple[int, int]]:
    """States that are kept on the ways of probes, and on the way of no trial."""
    found: list[set[tuple[int, int]]] = [set(), set()]
    study = study_of(cluster)
    for branch in study.branches():
        for node in [] if branch.leaf is None else branch.leaf.ancestry():
            stop = min(
                [branch.max_steps, *(child.start for child in branch.leaf.path() if child.parent is node)]
            )
            found[branch.probe > 0].update((node.id, step) for step in node.checkpoints if step <= stop)
    return found[True] - found[False]


def test_integers_are_rounded_and_stay_above_zero() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=PIECES[:2], policy=scouts(factors={"batch": 0.01, "lr": 3.0})))
    cluster.run()
    for probe in study_of(cluster).probes.values():
        assert probe.sequence.values(3)["batch"] == 1
    expect_probes_as_trained_alone(cluster)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 60), st.sampled_from([*FAULTS, "restart_server"]), st.sampled_from(["a", "b"])
        ),
        max_size=8,
    ),
    st.sampled_from([scouts(), scouts(waits=True), scouts(factors={}, steps=3), scouts(at=6, steps=3)]),
    st.sampled_from([1, 3]),
    st.sampled_from([1, 2]),
)
def test_after_any_faults_every_history_is_exact_and_restarts_change_no_verdict(
    seed: int, faults: list[tuple[int, str, str]], policy: PolicySpec, every: int, repeats: int
) -> None:
    if every == 3:
        policy = replace(policy, steps=3)  # type: ignore[call-arg]
    made = {"policy": policy, "evaluate_every": every}
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    submit(cluster, replace(spec("first", PIECES[:3], **made), repeats=repeats))  # type: ignore[arg-type]
    for count, fault, worker in faults:
        for _ in range(count):
            if cluster.engine.state.active:
                cluster.act()
        strike = getattr(cluster, fault)
        strike(*([worker] if fault not in {"restart_server", "lose_checkpoint"} else []))
    submit(cluster, replace(spec("second", PIECES[1:4], **made), repeats=repeats))  # type: ignore[arg-type]
    cluster.run()
    cluster.restart_server()
    for name in ("first", "second"):
        expect_as_trained_alone(cluster, name)
        expect_probes_as_trained_alone(cluster, name)
        study = study_of(cluster, name)
        assert study.state is StudyState.COMPLETED
        assert {probe.state for probe in study.probes.values()} == {TrialState.COMPLETED}
        assert len(study.probes) == len(study.trials) * repeats


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from([scouts(), scouts(waits=True)]), st.sampled_from([1, 2]))
def test_no_verdict_changes_over_commands_failures_and_divergence(
    seed: int, policy: PolicySpec, repeats: int
) -> None:
    """1. Some evaluations are not finite, some steps raise. 2. Users pause, resume, stop, extend, edit, retry, fork.
    3. The server restarts at each turn: its policy knows and decides the same. 4. In the end nothing waits, and what is
    a number is that of its values.
    """

    def evaluate(self: Any, model: str) -> dict[str, float]:
        return {"accuracy": metric(model) if metric(model[::-1]) > 0.04 else float("nan")}

    chosen = random.Random(seed)
    sampler = chosen.choice([samplers.grid(), samplers.tpe()])
    held: list[Ending] = chosen.choice([[], [endings.target(0.97)], [endings.plateau(patience=6)]])
    made = replace(
        spec(rates=PIECES[:2], policy=policy), sampler=sampler, repeats=repeats, endings=tuple(held)
    )
    commands: list[Callable[[], Command]] = [
        lambda: PauseStudy(project="default", name="study"),
        lambda: ResumeStudy(project="default", name="study"),
        lambda: ExtendStudy(project="default", name="study", max_steps=chosen.randrange(9, 16)),
        lambda: StopStudy(project="default", name="study"),
        lambda: RetryTrials(project="default", name="study"),
        lambda: ForkTrial(
            project="default",
            name="study",
            trial=chosen.randrange(8),
            at=chosen.randrange(9),
            hyperparameters={"lr": chosen.choice([0.1, 0.01])},
        ),
        lambda: EnqueueTrial(project="default", name="study", point=chosen.choice(POINTS)),
        lambda: StopTrial(project="default", name="study", trial=chosen.randrange(8)),
        lambda: ExtendTrial(
            project="default", name="study", trial=chosen.randrange(8), to=chosen.randrange(1, 16)
        ),
        lambda: EditStudy(
            project="default",
            name="study",
            spec=replace(
                study_of(cluster).spec, policy=chosen.choice([scouts(at=2), policies.asha(1, 3), policy])
            ),
        ),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster_module.Hashes, "evaluate", evaluate)
        cluster = ComparingCluster(seed, {"a": 2, "b": 1})
        submit(cluster, made)
        for _ in range(12):
            for _ in range(chosen.randrange(40)):
                cluster.act()
            if chosen.random() < 0.5:
                cluster.fail_training(chosen.choice("ab"))
            with contextlib.suppress(HippoError):  # a command that the study's state forbids changes nothing
                cluster.tell(chosen.choice(commands)())
            cluster.restart_server()
        with contextlib.suppress(HippoError):
            cluster.tell(ResumeStudy(project="default", name="study"))
        cluster.run()
        cluster.restart_server()
    study = study_of(cluster)
    assert all(branch.target is None for branch in study.branches())
    ended = {TrialState.COMPLETED, TrialState.STOPPED, TrialState.DIVERGED, TrialState.FAILED}
    assert {probe.state for probe in study.probes.values()} <= ended
    for branch in study.branches():
        if branch.value is not None:
            values = [trial_values(study, branch, step) for step in range(branch.reached)]
            assert branch.value == alone(list(values), 1, branch.repeat)[branch.reached]


def probe_opened(cluster: Cluster) -> Trial:
    """Goes on until a probe has been opened."""
    for _ in range(10_000):
        waiting = [probe for probe in study_of(cluster).probes.values() if probe.target is not None]
        if waiting:
            return waiting[0]
        cluster.act()
    raise AssertionError("no probe was opened")


def test_a_probe_that_diverges_or_fails_harms_its_trial_in_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """1. Probes of small batches at one rate have no finite value, and another raises. 2. All trials rest or end
    well."""
    bad: set[str] = set()

    def train(self: Any, model: str, step: int, values: Any) -> str:
        found = cluster_module.next_state(model, values)
        if step == 3 and values["batch"] == 32 and values["lr"] == 0.01:
            bad.add(found)
        return found

    def evaluate(self: Any, model: str) -> dict[str, float]:
        return {"accuracy": float("nan") if model in bad else metric(model)}

    monkeypatch.setattr(cluster_module.Hashes, "train", train)
    monkeypatch.setattr(cluster_module.Hashes, "evaluate", evaluate)
    cluster = ComparingCluster(1, {"a": 1})
    submit(cluster, spec(rates=[PIECES[0], PIECES[4]], policy=scouts()))
    probe = probe_opened(cluster)
    assert probe.sequence.values(3)["lr"] != 0.01
    while probe.state is TrialState.WAITING:
        cluster.receive(cluster.workers["a"])
        for running in list(cluster.workers["a"].running.values()):
            if any(stage.node == probe.node.id for stage in running.order.stages if probe.node):
                cluster.fail_training("a")
        cluster.act()
    cluster.run()
    study = study_of(cluster)
    states = {probe.state for probe in study.probes.values()}
    assert states == {TrialState.COMPLETED, TrialState.DIVERGED, TrialState.FAILED}
    assert {trial.state for trial in study.trials.values()} == {TrialState.COMPLETED, TrialState.STOPPED}
    assert study.trials[probe.fork["trial"]].reached >= 3 if probe.fork else False
    told = study.policy.trials  # type: ignore[attr-defined]
    for each in study.probes.values():
        assert each.fork is not None
        assert (told[each.fork["trial"]]["score"] == float("inf")) is (each.state is not TrialState.COMPLETED)


def test_a_user_who_stops_a_trial_gives_its_probe_up_and_one_who_stops_the_study_takes_it_up_again() -> None:
    cluster = ComparingCluster(0, {"a": 1})
    submit(cluster, spec(rates=PIECES[:2], policy=scouts()))
    probe = probe_opened(cluster)
    assert probe.fork is not None
    cluster.tell(StopTrial(project="default", name="study", trial=probe.fork["trial"]))
    assert probe.state is TrialState.STOPPED
    assert study_of(cluster).trials[probe.fork["trial"]].state is TrialState.STOPPED
    cluster.restart_server()
    other = probe_opened(cluster)
    cluster.tell(StopStudy(project="default", name="study"))
    cluster.restart_server()
    other = study_of(cluster).probes[other.number]
    assert other.state is TrialState.STOPPED
    cluster.tell(ExtendStudy(project="default", name="study", max_steps=12))
    other = study_of(cluster).probes[other.number]
    assert other.target == other.max_steps
    cluster.restart_server()
    cluster.run()
    assert study_of(cluster).probes[other.number].state is TrialState.COMPLETED
    assert study_of(cluster).probes[probe.number].state is TrialState.STOPPED
    expect_probes_as_trained_alone(cluster)
    expect_as_trained_alone(cluster, "study")


def test_a_probe_of_which_one_repeat_has_come_is_given_up_whole() -> None:
    """One repeat is there and waits for the other when a user stops the trial, or gives the study another policy."""
    for stops in (True, False):
        cluster = ComparingCluster(0, {"a": 1})
        made = replace(spec(rates=PIECES[:2], policy=scouts(steps=2)), repeats=2)
        submit(cluster, made)
        probe = probe_opened(cluster)
        members = study_of(cluster).members(probe.number)
        while all(member.target is not None for member in members):
            cluster.act()
        assert [member.state for member in members] == [TrialState.WAITING] * 2
        if stops:
            assert probe.fork is not None
            cluster.tell(StopTrial(project="default", name="study", trial=probe.fork["trial"]))
        else:
            edited = replace(made, policy=scouts(at=2))
            cluster.tell(EditStudy(project="default", name="study", spec=edited))
        assert {member.state for member in members} <= {TrialState.STOPPED, TrialState.COMPLETED}
        cluster.restart_server()
        cluster.run()
        ended = {TrialState.STOPPED, TrialState.COMPLETED}
        assert {each.state for each in study_of(cluster).branches()} <= ended


def test_another_policy_begins_without_the_probes_of_the_one_before() -> None:
    cluster = ComparingCluster(0, {"a": 1})
    made = spec(rates=PIECES[:2], policy=scouts())
    submit(cluster, made)
    probe = probe_opened(cluster)
    cluster.tell(EditStudy(project="default", name="study", spec=replace(made, policy=scouts(at=2))))
    assert probe.state is TrialState.STOPPED
    cluster.restart_server()
    cluster.run()
    study = study_of(cluster)
    assert {each.fork["at"] for each in study.probes.values() if each.fork} == {2, 3}
    assert study.probes[probe.number].state is TrialState.STOPPED
    cluster.tell(DeleteStudy(project="default", name="study"))
    cluster.restart_server()
    assert all(not node.requests and not node.open for node in cluster.engine.state.nodes.values())


def test_no_target_is_reached_and_no_best_is_found_by_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes are far better than all trials, and neither end the study nor are its best."""
    good: set[str] = set()

    def train(self: Any, model: str, step: int, values: Any) -> str:
        found = cluster_module.next_state(model, values)
        if values["lr"] < 0.011 and step == 3:
            good.add(found)
        return found

    def evaluate(self: Any, model: str) -> dict[str, float]:
        return {"accuracy": 2.0 if model in good else metric(model)}

    monkeypatch.setattr(cluster_module.Hashes, "train", train)
    monkeypatch.setattr(cluster_module.Hashes, "evaluate", evaluate)
    cluster = ComparingCluster(0, {"a": 2})
    made = spec(rates=PIECES[:1], policy=scouts())
    submit(cluster, replace(made, endings=(endings.target(1.5), endings.plateau(patience=1000))))
    cluster.run()
    view = study_view(cluster.engine, "default", "study")
    assert {probe.value for probe in study_of(cluster).probes.values()} == {2.0}
    assert view.ending == ""
    assert view.best_trial is not None
    assert view.best_trial.metrics["accuracy"] < 1.0


@pytest.mark.parametrize("steps", [7, 30, 60, 90])
def test_a_budget_of_steps_counts_probes_and_is_not_overrun(steps: int) -> None:
    """Without it 94 steps are trained; the invariants say after each command that no more are than may be."""
    cluster = ComparingCluster(steps, {"a": 2, "b": 1})
    made = spec(policy=scouts(waits=True))
    submit(cluster, replace(made, endings=(endings.max_trained_steps(steps),)))
    for _ in range(60):
        if cluster.engine.state.active:
            cluster.act()
    cluster.restart_server()
    cluster.run()
    view = study_view(cluster.engine, "default", "study")
    assert view.ending == "max_trained_steps"
    assert view.savings.steps_trained == cluster.trained <= steps
    assert f"of {steps} steps are trained" in view.reason


def test_a_probe_that_all_wait_for_is_as_urgent_as_what_follows_it() -> None:
    for policy, beyond in ((scouts(waits=True), 6), (scouts(), 0)):
        cluster = Cluster(0, {"a": 1})
        submit(cluster, spec(rates=PIECES[:2], policy=policy))
        probe = probe_opened(cluster)
        assert probe.node is not None
        assert probe.node.requests[4][1, probe.number] == beyond


class WatchedCluster(ComparingCluster):
    """Keeps the tasks of all proposals."""

    def __init__(self, seed: int, workers: dict[str, int]) -> None:
        super().__init__(seed, workers)
        self.tasks: list[tuple[MakeProposal, ProposalTask]] = []

    def propose(self, study: int) -> None:
        (wanted,) = [each for each in self.proposals_wanted() if each.study == study]
        self.tasks.append((wanted, self.engine.proposal_task(wanted)))
        super().propose(study)


def test_a_sampler_sees_the_probes_that_were_known_when_it_was_asked() -> None:
    cluster = WatchedCluster(2, {"a": 2})
    submit(cluster, replace(spec(policy=scouts()), sampler=samplers.tpe(), max_trials=20))
    came: dict[int, dict[int, float]] = {}
    while cluster.engine.state.active:
        cluster.act()
        proposal = study_of(cluster).proposal
        if proposal is not None and proposal.trial not in came:
            came[proposal.trial] = {
                probe.fork["trial"]: probe.value
                for probe in study_of(cluster).probes.values()
                if probe.fork and probe.value is not None and probe.closed <= proposal.sequence
            }
        if cluster.random.random() < 0.1:
            cluster.restart_server()
    assert len(cluster.tasks) >= 20
    for wanted, task in cluster.tasks:
        seen = {past.trial: past.probes for past in task.history if past.probes}
        assert seen == {number: {3: (value,)} for number, value in came[wanted.trial].items()}
        pending = {past.trial for past in task.history if past.state is TrialState.WAITING}
        assert not pending & seen.keys() or all(task.history[each].values for each in pending & seen.keys())
    assert any(past.probes for past in cluster.tasks[-1][1].history)


def test_without_sharing_a_probe_goes_on_from_its_own_trial() -> None:
    cluster = Cluster(0, {"a": 2})
    cluster.engine = Engine(EngineSettings(lease_seconds=SETTINGS.lease_seconds, sharing=False))
    for name in cluster.workers:
        cluster.register(name)
    submit(cluster, spec(rates=PIECES[:1], policy=scouts(waits=True)))
    cluster.run()
    view = study_view(cluster.engine, "default", "study")
    assert view.savings.steps_trained == view.savings.steps_without_sharing == cluster.trained
    assert view.savings.merge_rate == 1.0


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        ({"rate": 0.1}, "'rate' is no hyper-parameter"),
        ({"name": 0.1}, "the values of 'name' are no numbers"),
        ({"optimizer.momentum": 0.1}, "not every trial has 'optimizer.momentum'"),
        ({"lr": 0.0}, "must be above 0"),
        ({"lr": "0.1"}, "must be a number"),
    ],
)
def test_factors_of_what_no_trial_has_or_is_no_number_are_refused(
    factors: dict[str, float], words: str
) -> None:
    searched = space.Space(
        {
            "lr": 0.1,
            "name": space.choice(["a", "b"]),
            "optimizer": space.choice([{"momentum": 0.9}, {"beta": 0.9}]),
        }
    )
    program = Program(trainer="t:T", code_digest="c", kinds=searched.kinds)
    with pytest.raises(InvalidStudy, match=words):
        replace(spec(), space=searched, program=program, policy=scouts(factors=factors))
