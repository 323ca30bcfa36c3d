"""Populations in the engine: forks without copies, the same after a restart, exact after faults."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers, space
from hippo_core.engine import journal
from hippo_core.engine.commands import (
    Command,
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
from hippo_core.engine.events import TrialCreated
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study_views import study_view
from hippo_core.engine.trial import Trial
from hippo_core.engine.trial_views import trial_views
from hippo_core.errors import Conflict, HippoError
from hippo_core.program import Program
from hippo_core.study import StudySpec
from tests.unit.engine import cluster as cluster_module
from tests.unit.engine.cluster import Cluster, metric
from tests.unit.engine.test_cluster import (
    FAULTS,
    MOMENTA,
    distinct_prefixes,
    expect_as_trained_alone,
    spec,
    submit,
)
from tests.unit.engine.test_policies import ComparingCluster, study_of

TOGETHER = policies.pbt(2)
AT_ONCE = policies.pbt(2, asynchronous=True)
POPULATIONS = [TOGETHER, AT_ONCE, policies.pbt(3, 0.5), policies.pb2(2)]
SIZE = 6


def made(policy: policies.PolicySpec = TOGETHER, name: str = "study", **changes: Any) -> StudySpec:
    searched = space.Space(
        {"lr": space.loguniform(1e-4, 1e-1), "batch": space.choice([16, 32, 64]), "m": space.choice(MOMENTA)}
    )
    program = Program(
        trainer="t:T", code_digest="c", kinds=searched.kinds, evaluate_every=changes.pop("every", 1)
    )
    fields = {
        "space": searched,
        "program": program,
        "sampler": samplers.random(),
        "max_trials": SIZE,
        **changes,
    }
    return replace(spec(name, policy=policies.full()), policy=policy, **fields)


def forks(cluster: Cluster, name: str = "study") -> list[Trial]:
    return [trial for trial in study_of(cluster, name).trials.values() if trial.fork is not None]


def holders(cluster: Cluster, name: str = "study") -> list[int]:
    """By place, who has it, as the events tell."""
    found = list(range(SIZE))
    for trial in forks(cluster, name):
        assert trial.fork is not None
        if "instead_of" in trial.fork:
            found[found.index(trial.fork["instead_of"])] = trial.number
    return found


def expect_population(cluster: Cluster, name: str = "study") -> None:
    """Every place was handed on at the places' steps only, forks go as their parents, and all is as trained alone."""
    study = study_of(cluster, name)
    interval = study.policy.selection.interval  # type: ignore[attr-defined]
    assert len(set(holders(cluster, name))) == len(holders(cluster, name))
    for trial in forks(cluster, name):
        fork = trial.fork
        assert fork is not None
        parent, replaced = study.trials[fork["trial"]], study.trials[fork["instead_of"]]
        assert fork["at"] % interval == 0
        assert fork["at"] < trial.max_steps
        assert parent.number != replaced.number
        for step in range(fork["at"]):
            assert trial.sequence.values(step) == parent.sequence.values(step)
        ours, theirs = (dict(each.sequence.values(fork["at"])) for each in (trial, parent))
        assert ours.pop("m") == theirs.pop("m")
        assert ours == {"lr": trial.assignment["lr"], "batch": (16, 32, 64)[trial.assignment["batch"]]}  # type: ignore[index]
        if replaced.state is TrialState.STOPPED:
            assert replaced.reached == fork["at"]
            assert replaced.reason.startswith("rank ")
    assert all(trial.reached <= trial.max_steps for trial in study.trials.values())
    expect_as_trained_alone(cluster, name)


@pytest.mark.parametrize("policy", [TOGETHER, policies.pbt(2, 0.5), policies.pbt(4), policies.pb2(2)])
def test_it_trains_each_place_once_and_does_not_depend_on_the_order_of_arrival(
    policy: policies.PolicySpec,
) -> None:
    """A fork is no copy: steps trained are those of the places, each once, which are the distinct prefixes."""
    outcomes = []
    for seed in range(6):
        cluster = ComparingCluster(seed, {"a": 2, "b": 1})
        submit(cluster, made(policy))
        cluster.run()
        expect_population(cluster)
        view = study_view(cluster.engine, "default", "study")
        assert view.state is StudyState.COMPLETED
        assert view.trial_counts == {"completed": SIZE, "stopped": len(forks(cluster))}
        assert len(forks(cluster)) > 1
        assert view.savings.steps_trained == cluster.trained == distinct_prefixes(cluster, "study")
        assert view.savings.steps_retrained == 0
        assert cluster.trained == SIZE * 9
        outcomes.append(
            [
                (trial.number, trial.state, trial.reached, trial.value, trial.assignment, trial.fork)
                for trial in study_of(cluster).trials.values()
            ]
        )
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_a_fork_is_told_and_read_as_a_piecewise_schedule() -> None:
    cluster = ComparingCluster(1, {"a": 2})
    submit(cluster, made())
    cluster.run()
    study, views = study_of(cluster), trial_views(cluster.engine, "default", "study")
    for trial in forks(cluster):
        view, fork = views[trial.number], trial.fork
        assert fork is not None
        assert (view.parent, view.forked_at, view.instead_of) == (
            fork["trial"],
            fork["at"],
            fork["instead_of"],
        )
        parent = study.trials[fork["trial"]]
        if trial.assignment["lr"] != parent.assignment["lr"]:
            written = view.hyperparameters["lr"]
            assert written["schedule"] == "piecewise"
            assert written["milestones"][-1] == fork["at"]
            assert f"lr {parent.assignment['lr']} -> {trial.assignment['lr']}" in fork["reason"]
        assert f"trial {trial.number}, takes the place" in study.trials[fork["instead_of"]].reason
    alone = Cluster(0, {"a": 1})
    best = max(
        (each for each in study.trials.values() if each.value is not None), key=lambda each: each.value or 0
    )
    searched = space.Space(study.spec.space.from_json(dict(study.hyperparameters(best))).entries)
    program = replace(study.spec.program, kinds=searched.kinds)
    winner = replace(made(), space=searched, program=program, policy=policies.full(), max_trials=1)
    submit(alone, winner)
    alone.run()
    assert study_of(alone).trials[0].value == best.value


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 60), st.sampled_from([*FAULTS, "restart_server"]), st.sampled_from(["a", "b"])
        ),
        max_size=8,
    ),
    st.sampled_from(POPULATIONS),
    st.sampled_from([1, 2]),
)
def test_after_any_faults_every_history_is_exact_and_restarts_change_no_verdict(
    seed: int, faults: list[tuple[int, str, str]], policy: policies.PolicySpec, every: int
) -> None:
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    submit(cluster, made(policy, every=every))
    for count, fault, worker in faults:
        for _ in range(count):
            if cluster.engine.state.active:
                cluster.act()
        strike = getattr(cluster, fault)
        strike(*([worker] if fault not in {"restart_server", "lose_checkpoint"} else []))
    cluster.run()
    cluster.restart_server()
    expect_population(cluster)
    states = [study_of(cluster).trials[number].state for number in holders(cluster)]
    assert states == [TrialState.COMPLETED] * SIZE


def test_faults_and_restarts_change_no_fork_where_all_are_awaited() -> None:
    outcomes = []
    for seed in range(5):
        cluster = ComparingCluster(seed, {"a": 2, "b": 1})
        submit(cluster, made())
        for fault in range(seed):
            for _ in range(25):
                cluster.act()
            cluster.kill_worker("ab"[fault % 2])
            cluster.restart_server()
        cluster.run()
        outcomes.append(
            [(trial.number, trial.fork, trial.value) for trial in study_of(cluster).trials.values()]
        )
    assert all(outcome == outcomes[0] for outcome in outcomes)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("policy", POPULATIONS, ids=lambda policy: json.dumps(policy.to_json()))
def test_no_verdict_changes_over_commands_failures_and_divergence(
    policy: policies.PolicySpec, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. Some evaluations are not finite, some steps raise. 2. Users pause, resume, stop, extend, retry, fork. 3. The
    server restarts at each turn: its policy knows and decides the same. 4. In the end no trial waits.
    """

    def evaluate(self: Any, model: str) -> dict[str, float]:
        return {"accuracy": metric(model) if metric(model[::-1]) > 0.04 else float("nan")}

    monkeypatch.setattr(cluster_module.Hashes, "evaluate", evaluate)
    chosen = random.Random(seed)
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    submit(cluster, made(policy, sampler=chosen.choice([samplers.random(), samplers.tpe()])))
    commands: list[Callable[[], Command]] = [
        lambda: PauseStudy(project="default", name="study"),
        lambda: ResumeStudy(project="default", name="study"),
        lambda: ExtendStudy(project="default", name="study", max_steps=chosen.randrange(9, 16)),
        lambda: ExtendStudy(project="default", name="study", max_trials=chosen.randrange(6, 10)),
        lambda: StopStudy(project="default", name="study"),
        lambda: RetryTrials(project="default", name="study"),
        lambda: ForkTrial(
            project="default",
            name="study",
            trial=chosen.randrange(8),
            at=chosen.randrange(9),
            hyperparameters={"lr": chosen.choice([0.1, 0.01])},
        ),
        lambda: EnqueueTrial(
            project="default", name="study", point={"lr": chosen.choice([0.1, 0.01]), "batch": 16, "m": 0.9}
        ),
        lambda: StopTrial(project="default", name="study", trial=chosen.randrange(8)),
        lambda: ExtendTrial(
            project="default", name="study", trial=chosen.randrange(8), to=chosen.randrange(1, 16)
        ),
    ]
    for _ in range(16):
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
    states = {trial.state for trial in study_of(cluster).trials.values()}
    assert states <= {TrialState.COMPLETED, TrialState.STOPPED, TrialState.DIVERGED, TrialState.FAILED}
    expect_as_trained_alone_where_finite(cluster)


def expect_as_trained_alone_where_finite(cluster: Cluster) -> None:
    """The metrics of each trial are those of its values."""
    for trial in study_of(cluster).trials.values():
        if trial.value is not None and trial.state is TrialState.COMPLETED:
            state = cluster_module.INITIAL
            for step in range(trial.reached):
                state = cluster_module.next_state(state, trial.sequence.values(step))
            assert trial.value == metric(state)


def test_a_diverged_member_is_replaced_at_the_next_step_that_it_would_have_come_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1. Models whose learning rate begins with 1 diverge at step 3. 2. All places end completed."""
    bad: set[str] = set()
    cluster = ComparingCluster(0, {"a": 2})

    def train(self: Any, model: str, step: int, values: Any) -> str:
        found = cluster_module.next_state(model, values)
        if step == 2 and values["batch"] == 16:
            bad.add(found)
        return found

    def evaluate(self: Any, model: str) -> dict[str, float]:
        return {"accuracy": float("nan") if model in bad else metric(model)}

    monkeypatch.setattr(cluster_module.Hashes, "train", train)
    monkeypatch.setattr(cluster_module.Hashes, "evaluate", evaluate)
    submit(cluster, made(policies.pbt(2, 0.25)))
    cluster.run()
    study = study_of(cluster)
    diverged = [trial.number for trial in study.trials.values() if trial.state is TrialState.DIVERGED]
    assert len(diverged) > 1
    replaced = {each.fork["instead_of"]: each for each in forks(cluster) if each.fork}
    for number in diverged:
        assert study.trials[number].reached == 3
        fork = replaced[number].fork
        assert fork is not None
        assert fork["at"] == 4
        assert "at step 4, for it had ended" in fork["reason"]
    assert {study.trials[number].state for number in holders(cluster)} == {TrialState.COMPLETED}


def test_a_member_that_a_user_stops_is_replaced_and_a_fork_of_a_user_is_trained_beside() -> None:
    cluster = ComparingCluster(0, {"a": 2})
    submit(cluster, made())
    cluster.tell(StopTrial(project="default", name="study", trial=2))
    number = cluster.tell(
        ForkTrial(project="default", name="study", trial=1, at=1, hyperparameters={"lr": 0.05})
    )
    cluster.run()
    study = study_of(cluster)
    assert number == SIZE
    assert study.trials[SIZE].state is TrialState.COMPLETED
    assert study.trials[SIZE].reached == 9
    assert {study.trials[each].state for each in holders(cluster)} == {TrialState.COMPLETED}
    assert 2 not in holders(cluster)
    parents = {trial.fork["trial"] for trial in forks(cluster) if trial.fork and trial.number != SIZE}
    assert not parents & {2, SIZE}


def test_a_failed_member_that_was_replaced_is_not_tried_again() -> None:
    """1. A trial fails, and a fork takes its place. 2. Retries leave it out, say so, and train nothing. 3. Another
    policy has no places: there it is tried again."""
    cluster = ComparingCluster(0, {"a": 1})
    submit(cluster, made())
    for _ in range(2):
        cluster.receive(cluster.workers["a"])
        cluster.fail_training("a")
        for running in list(cluster.workers["a"].running.values()):
            cluster.report(cluster.workers["a"], running)
    cluster.run()
    (failed,) = (trial for trial in study_of(cluster).trials.values() if trial.state is TrialState.FAILED)
    (fork,) = (each for each in forks(cluster) if (each.fork or {})["instead_of"] == failed.number)
    trained = cluster.trained
    retried = cluster.tell(RetryTrials(project="default", name="study"))
    assert (retried.count, retried.warnings) == (
        0,
        ("1 failed trial was replaced by a fork and is not retried",),
    )
    for command in (
        RetryTrials(project="default", name="study", trial=failed.number),
        ExtendTrial(project="default", name="study", trial=failed.number, to=12),
    ):
        with pytest.raises(Conflict, match=f"was replaced by trial {fork.number}"):
            cluster.tell(command)
    cluster.run()
    assert cluster.trained == trained
    assert study_of(cluster).state is StudyState.COMPLETED
    cluster.tell(EditStudy(project="default", name="study", spec=made(policies.full())))
    retried = cluster.tell(RetryTrials(project="default", name="study"))
    assert (retried.count, retried.warnings) == (1, ())
    cluster.run()
    assert failed.state is TrialState.COMPLETED


def test_a_longer_study_judges_at_its_old_end_and_a_larger_population_is_compared() -> None:
    """1. A study of 8 steps ends. 2. It goes to 12: step 8 is one at which trials are judged. 3. Two more members come,
    and are judged at each step among all that were seen there."""
    cluster = ComparingCluster(0, {"a": 2})
    submit(cluster, made(max_steps=8))
    cluster.run()
    before = len(forks(cluster))
    assert max(trial.fork["at"] for trial in forks(cluster) if trial.fork) == 6
    cluster.tell(ExtendStudy(project="default", name="study", max_steps=12))
    cluster.restart_server()
    cluster.run()
    later = [trial.fork["at"] for trial in forks(cluster)[before:] if trial.fork]
    assert set(later) == {8, 10}
    assert cluster.trained == SIZE * 12
    cluster.tell(ExtendStudy(project="default", name="study", max_trials=SIZE + 2))
    cluster.restart_server()
    cluster.run()
    study = study_of(cluster)
    states = [study.trials[number].state for number in study.policy.places]  # type: ignore[attr-defined]
    assert states == [TrialState.COMPLETED] * (SIZE + 2)
    expect_as_trained_alone(cluster, "study")


def test_a_sampler_that_learns_proposes_the_members_and_hears_of_no_fork() -> None:
    cluster = ComparingCluster(0, {"a": 2})
    submit(cluster, made(policies.pbt(2, 0.5, asynchronous=True), sampler=samplers.tpe()))
    cluster.run()
    study = study_of(cluster)
    assert study.drawn == SIZE
    assert len(study.trials) > SIZE
    assert [trial.number for trial in study.trials.values()] == list(range(len(study.trials)))
    assert len(cluster.proposed) == SIZE


def journal_of(policy: policies.PolicySpec) -> str:
    cluster = Cluster(0, {"a": 2, "b": 1})
    submit(cluster, made(policy))
    cluster.run()
    assert any(isinstance(event, TrialCreated) and event.fork for event in cluster.journal)
    text = json.dumps([journal.to_json(event) for event in cluster.journal], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def journals() -> dict[str, str]:
    return {json.dumps(policy.to_json()): journal_of(policy) for policy in POPULATIONS}


def test_two_hash_seeds_give_one_journal() -> None:
    program = (
        "import json; from tests.unit.engine.test_populations import journals; print(json.dumps(journals()))"
    )
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": ":".join(sys.path),
                "OPENBLAS_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout) == journals()
