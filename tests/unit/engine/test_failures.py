"""What failures lead to: another try, alone on its host, or none; and a step that kills workers is quarantined."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers
from hippo_core.engine.commands import RetryTrials, SubmitStudy, Tick
from hippo_core.engine.events import LeaseGranted, PathFailed
from hippo_core.engine.states import FailureClass, StudyState, TrialState
from hippo_core.engine.study_views import study_view
from hippo_core.engine.trial import Trial
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import PIECES, expect_as_trained_alone, spec, submit

FAULTS = (
    *("kill_worker", "lose_worker", "kill_runner", "restart_server", "run_out_of_memory", "stall"),
    *("fail_health", "recover", "cordon", "uncordon", "lose_storage", "find_storage"),
)
THREE = {"a": 1, "b": 1, "c": 1}


def trials(cluster: Cluster) -> list[Trial]:
    study = cluster.engine.state.study_named("default", "study")
    assert study is not None
    return list(study.trials.values())


def until_granted(cluster: Cluster) -> str:
    """The worker that trains next."""
    while not cluster.engine.state.leases:
        cluster.act()
    lease = next(iter(cluster.engine.state.leases.values()))
    while lease.fence not in cluster.workers[lease.worker].running:
        cluster.act()
    return lease.worker


def failures(cluster: Cluster) -> list[PathFailed]:
    return [event for event in cluster.journal if isinstance(event, PathFailed)]


def silence(cluster: Cluster, name: str) -> None:
    """A worker dies and is never heard of again."""
    cluster.workers[name].running.clear()
    cluster.lose_worker(name)
    del cluster.workers[name]


def poisoned(cluster: Cluster) -> list[str]:
    """Three workers die one after the other on one path, before a step of it is committed; the fourth is to be next.

    Gives the names of those that died.
    """
    submit(cluster, spec(rates=[0.1], max_steps=3))
    died = []
    while len(died) < 3:
        lease = min(cluster.engine.state.leases.values(), key=lambda each: each.stages[0][0], default=None)
        if lease is None or lease.stages[0][0] != 1:
            cluster.now += 0.1
            cluster.tell(Tick())
            continue
        died.append(lease.worker)
        silence(cluster, lease.worker)
    while not any(trial.state is TrialState.FAILED for trial in trials(cluster)):
        cluster.act()
    return died


def test_a_trainer_that_cannot_be_loaded_fails_its_studies_once() -> None:
    """
    1. two studies of one program: one has its trials, one proposes them; nothing was trained
    2. a worker cannot load the trainer: both fail for that, with all their trials, and no path is tried again
    """
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=[0.1, 0.2, 0.3]))
    searching = replace(spec(), name="search", sampler=samplers.tpe())
    submit(cluster, searching)
    cluster.fail_training(until_granted(cluster), FailureClass.PROGRAM)
    cluster.run()
    assert len(failures(cluster)) == 1
    for name in ("study", "search"):
        view = study_view(cluster.engine, "default", name)
        assert (view.state, view.reason) == (StudyState.FAILED, "ValueError: no")
        study = cluster.engine.state.study_named("default", name)
        assert study is not None
        assert {trial.state for trial in study.trials.values()} <= {TrialState.FAILED}
    assert not cluster.engine.wanted()


def test_where_something_was_trained_only_the_trials_fail_that_could_not_be_loaded() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=[0.1, 0.2], max_steps=3))
    while not any(trial.reached for trial in trials(cluster)):
        cluster.act()
    cluster.fail_training(until_granted(cluster), FailureClass.PROGRAM)
    cluster.run()
    assert {trial.state for trial in trials(cluster)} == {TrialState.COMPLETED, TrialState.FAILED}
    assert study_view(cluster.engine, "default", "study").state is StudyState.COMPLETED


def test_a_step_on_which_three_workers_died_is_quarantined() -> None:
    """
    1. three workers die one after the other on a node of which no step is ever committed
    2. its trials fail, with the step and the workers for a reason; a trial that comes later and needs it fails at once
    3. a user's retry lifts the quarantine; the next worker trains the study to its end
    """
    cluster = Cluster(0, {"a": 1, "b": 1, "c": 1, "d": 1})
    died = poisoned(cluster)
    assert len(set(died)) == 3
    failed = [trial for trial in trials(cluster) if trial.state is TrialState.FAILED]
    assert failed
    for trial in failed:
        assert trial.reason.startswith("quarantined: 3 workers died one after the other at step 0 (")
        assert all(name in trial.reason for name in died)
    submit(cluster, spec("later", rates=[0.1], max_steps=3))
    later = cluster.engine.state.study_named("default", "later")
    assert later is not None
    assert sum(trial.state is TrialState.FAILED for trial in later.trials.values()) == len(failed)
    cluster.restart_server()
    submit(cluster, spec("latest", rates=[0.1], max_steps=3))
    latest = cluster.engine.state.study_named("default", "latest")
    assert latest is not None
    assert sum(trial.state is TrialState.FAILED for trial in latest.trials.values()) == len(failed)
    cluster.run()
    for name in ("study", "later", "latest"):
        cluster.tell(RetryTrials(project="default", name=name))
    cluster.run()
    for name in ("study", "later", "latest"):
        assert set(study_view(cluster.engine, "default", name).trial_counts) == {"completed"}
        expect_as_trained_alone(cluster, name)


def test_lives_of_one_worker_are_no_different_workers() -> None:
    """One worker dies five times on its path and is started again each time; then it trains to the end."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=[0.1], max_steps=3))
    for _ in range(5):
        until_granted(cluster)
        cluster.kill_worker("a")
    cluster.run()
    assert [event.died for event in failures(cluster)] == ["a"] * 5
    assert study_view(cluster.engine, "default", "study").state is StudyState.COMPLETED


def test_a_step_committed_between_deaths_clears_the_suspicion() -> None:
    """1. Two workers die at step 0. 2. A third commits a step and dies. 3. Nobody is quarantined."""
    cluster = Cluster(0, {"a": 1, "b": 1, "c": 1, "d": 1})
    submit(cluster, spec(rates=[0.1], max_steps=9))

    def first() -> Any:
        return next(
            (lease for lease in cluster.engine.state.leases.values() if lease.stages[0][0] == 1), None
        )

    for died in range(3):
        while (lease := first()) is None or (died == 2 and lease.step == 0):
            cluster.act()
        silence(cluster, lease.worker)
    assert not any(trial.state is TrialState.FAILED for trial in trials(cluster))
    cluster.run()
    expect_as_trained_alone(cluster, "study")


@pytest.mark.parametrize("failure", [FailureClass.USER, FailureClass.STALLED, FailureClass.MEMORY])
def test_what_is_charged_is_tried_once_more(failure: FailureClass) -> None:
    """The first failure costs a try; the second one, at the same step, ends the trials that need it, and says so."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=[0.1], max_steps=3))
    for _ in range(2):
        until_granted(cluster)
        cluster.fail_training("a", failure)
        while any(running.done for running in cluster.workers["a"].running.values()):
            cluster.act()
    assert [event.count for event in failures(cluster)] == [1, 2]
    failed = [trial for trial in trials(cluster) if trial.state is TrialState.FAILED]
    assert failed
    assert all("It failed 2 times" in trial.reason for trial in failed)
    cluster.run()
    expect_as_trained_alone(cluster, "study")


def test_after_a_lack_of_memory_a_path_is_tried_alone_on_its_host() -> None:
    """
    1. the two slots of each of two hosts train; a path of the first host runs out of memory
    2. it is granted again only while no other slot of its host trains, and none is granted beside it until it has saved
    3. all ends as without
    """
    for seed in range(10):
        cluster = Cluster(seed, {"a": 2, "b": 2})
        submit(cluster, spec(rates=PIECES[:3], checkpoint_every=2))
        for _ in range(20):
            cluster.act()
        cluster.run_out_of_memory("a")
        while cluster.engine.state.active:
            before = len(cluster.journal)
            cluster.act()
            expect_alone(cluster, before)
        assert [event.failure for event in failures(cluster)] == [FailureClass.MEMORY]
        assert set(study_view(cluster.engine, "default", "study").trial_counts) == {"completed"}
        expect_as_trained_alone(cluster, "study")


def expect_alone(cluster: Cluster, since: int) -> None:
    """No path was granted beside one that is to be alone, nor was such a one beside others."""
    state = cluster.engine.state
    for event in cluster.journal[since:]:
        if not isinstance(event, LeaseGranted) or event.fence not in state.leases:
            continue
        beside = [
            lease
            for lease in state.leases.values()
            if lease.training and lease.worker == event.worker and lease.fence != event.fence
        ]
        cramped = [
            any(number in state.cramped for number, _, _ in lease.stages[lease.index :])
            for lease in (state.leases[event.fence], *beside)
        ]
        assert not (beside and any(cramped))


def test_workers_are_told_which_paths_are_alone_on_their_host() -> None:
    """
    1. three workers, two of them on one host, train; a path of one of the two runs out of memory
    2. where it comes again its order says so, and the other worker of the host is to make room; nobody else is
    3. when it has saved, nobody is
    """
    alone = 0
    for seed in range(10):
        cluster = Cluster(seed, {"a": 1, "b": 1, "c": 1}, hosts={"a": "one", "b": "one"})
        submit(cluster, spec(rates=PIECES[:3], checkpoint_every=2))
        for _ in range(20):
            cluster.act()
        cluster.run_out_of_memory("a")
        while cluster.engine.state.active:
            cluster.act()
            told = {name: cluster.engine.directives(name) for name in cluster.workers}
            by_order = [name for name in told for order in told[name].leases if order.alone]
            by_others = [name for name in told if told[name].make_room]
            assert by_others == [{"a": "b", "b": "a"}[name] for name in by_order if name != "c"]
            alone += len(by_others)
        assert not cluster.engine.state.cramped
    assert alone


def test_a_lack_of_memory_names_the_batch_size() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=[0.1], max_steps=3))
    for _ in range(2):
        until_granted(cluster)
        cluster.run_out_of_memory("a")
        while any(running.done for running in cluster.workers["a"].running.values()):
            cluster.act()
    reasons = [trial.reason for trial in trials(cluster) if trial.state is TrialState.FAILED]
    assert reasons
    assert all("Its batch is " in reason and "alone on its host" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("failure", "seen"), [(FailureClass.MEMORY, TrialState.DIVERGED), (FailureClass.USER, TrialState.FAILED)]
)
def test_samplers_are_told_of_points_that_find_no_memory_and_not_of_other_failures(
    failure: FailureClass, seen: TrialState
) -> None:
    """A point that does not fit is as bad as can be; an exception says nothing of it. Users see a failed trial."""
    cluster = Cluster(0, {"a": 1})
    cluster.tell(
        SubmitStudy(
            project="default", user="u", spec=replace(spec(), sampler=samplers.tpe(), policy=policies.full())
        )
    )
    for _ in range(2):
        cluster.fail_training(until_granted(cluster), failure)
        while any(running.done for running in cluster.workers["a"].running.values()):
            cluster.act()
    cluster.restart_server()
    assert trials(cluster)[0].state is TrialState.FAILED
    wanted = next(each for each in cluster.proposals_wanted() if each.trial == 1)
    assert [past.state for past in cluster.engine.proposal_task(wanted).history] == [seen]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 60),
            st.sampled_from(FAULTS),
            st.sampled_from(sorted(THREE)),
        ),
        max_size=10,
    ),
)
def test_after_any_failures_histories_are_exact_and_a_retry_completes_what_failed(
    seed: int, faults: list[tuple[int, str, str]]
) -> None:
    """Trials may fail of it; what they reached is exact, a rebuilt engine is equal, and a retry trains the rest."""
    cluster = Cluster(seed, THREE)
    cluster.tell(SubmitStudy(project="default", user="u", spec=spec(rates=PIECES[:2])))
    for wait, fault, name in faults:
        for _ in range(wait):
            if cluster.engine.state.active:
                cluster.act()
        if fault == "restart_server":
            cluster.restart_server()
        else:
            getattr(cluster, fault)(name)
    for name in THREE:
        cluster.uncordon(name)
        cluster.find_storage(name)
    cluster.run()
    expect_as_trained_alone(cluster, "study")
    cluster.restart_server()
    cluster.tell(RetryTrials(project="default", name="study"))
    cluster.run()
    assert set(study_view(cluster.engine, "default", "study").trial_counts) == {"completed"}
    expect_as_trained_alone(cluster, "study")
    assert not cluster.engine.state.cramped
