"""A user's word on one trial."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies
from hippo_core.engine.commands import ExtendStudy, RetryTrials, StopStudy, StopTrial
from hippo_core.engine.events import LeaseStopped
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.views import study_view
from hippo_core.errors import Conflict, NotFound
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import FAULTS, PIECES, expect_as_trained_alone, spec, submit
from tests.unit.engine.test_policies import HALVING, WATCHING, ComparingCluster, study_of


def stop(cluster: Cluster, trial: int, name: str = "study") -> object:
    return cluster.tell(StopTrial(project="default", name=name, trial=trial))


def test_a_trial_in_training_lets_its_path_go_where_nobody_else_needs_it() -> None:
    """1. One trial alone is in training. 2. It is stopped. 3. Its lease is told to end, and the rest is trained."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=PIECES[:1]))
    cluster.receive(cluster.workers["a"])
    (running,) = cluster.workers["a"].running.values()
    leaf = cluster.engine.state.nodes[running.order.stages[-1].node]
    [(_, trial)] = leaf.requests[9]
    assert stop(cluster, trial) is True
    assert study_of(cluster).trials[trial].state is TrialState.STOPPED
    assert study_of(cluster).trials[trial].reason == "stopped by a user"
    shared = running.order.stages[0].node != leaf.id
    assert any(isinstance(event, LeaseStopped) for event in cluster.journal) is not shared
    cluster.run()
    assert study_view(cluster.engine, "default", "study").trial_counts == {"completed": 5, "stopped": 1}
    expect_as_trained_alone(cluster, "study")


def test_a_trial_that_nobody_shares_is_ended_at_its_next_step() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=PIECES[:1]))
    cluster.receive(cluster.workers["a"])
    for trial in range(6):
        stop(cluster, trial)
    assert [event.reason for event in cluster.journal if isinstance(event, LeaseStopped)] == [
        "nobody needs its steps any more"
    ]
    cluster.run()
    assert cluster.trained == 0
    view = study_view(cluster.engine, "default", "study")
    assert (view.state, view.reason) == (
        StudyState.FAILED,
        "no trial completed; trial 0: stopped by a user",
    )


def test_stopping_twice_changes_nothing() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=PIECES[:1]))
    stop(cluster, 2)
    before = len(cluster.journal), cluster.engine.snapshot()
    assert stop(cluster, 2) is False
    assert (len(cluster.journal), cluster.engine.snapshot()) == before
    cluster.run()
    assert stop(cluster, 0) is False
    assert study_of(cluster).trials[0].state is TrialState.COMPLETED


def test_an_unknown_trial_is_not_found() -> None:
    cluster = Cluster(0, {})
    submit(cluster, spec(rates=PIECES[:1]))
    with pytest.raises(NotFound, match="has no trial 6; it has 6 trials"):
        stop(cluster, 6)


def test_no_extension_and_no_retry_takes_it_up_again() -> None:
    cluster = Cluster(0, {"a": 2})
    submit(cluster, spec(rates=PIECES[:1]))
    stop(cluster, 4)
    cluster.tell(StopStudy(project="default", name="study"))
    cluster.tell(ExtendStudy(project="default", name="study", max_steps=12))
    cluster.run()
    states = {number: (trial.state, trial.reached) for number, trial in study_of(cluster).trials.items()}
    assert states.pop(4) == (TrialState.STOPPED, 0)
    assert set(states.values()) == {(TrialState.COMPLETED, 12)}
    with pytest.raises(Conflict, match="trial 4 is stopped"):
        cluster.tell(RetryTrials(project="default", name="study", trial=4))


def test_a_synchronous_rung_waits_for_it_no_longer() -> None:
    """1. Some have come to the first rung, which waits for the others. 2. Those are stopped. 3. The rung promotes."""
    cluster = Cluster(1, {"a": 1})
    submit(cluster, spec(policy=policies.sha(1, 3)))
    study = study_of(cluster)
    while not any(trial.reached == 1 for trial in study.trials.values()):
        cluster.act()
    waited_for = sorted(study.open)
    assert {trial.asked for trial in study.trials.values()} == {1}
    for number in waited_for:
        assert {trial.asked for trial in study.trials.values()} == {1}
        stop(cluster, number)
    promoted = [trial for trial in study.trials.values() if trial.asked == 3]
    assert len(promoted) == (36 - len(waited_for)) // 3
    cluster.run()
    assert study.state is StudyState.COMPLETED


def test_a_trial_at_rest_is_never_promoted_after_it() -> None:
    """1. The best at the first rung rest. 2. Each is stopped. 3. Others go on in their places, and none of them."""
    cluster = Cluster(2, {"a": 1})
    submit(cluster, spec(policy=policies.asha(1, 3)))
    study = study_of(cluster)
    while not any(trial.state is TrialState.PAUSED for trial in study.trials.values()):
        cluster.act()
    resting = [trial for trial in study.trials.values() if trial.state is TrialState.PAUSED]
    for trial in resting:
        stop(cluster, trial.number)
    cluster.run()
    assert {(trial.state, trial.reached) for trial in resting} == {(TrialState.STOPPED, 1)}
    assert study.state is StudyState.COMPLETED


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 60),
            st.sampled_from([*FAULTS, "restart_server", "stop"]),
            st.sampled_from(["a", "b"]),
            st.integers(0, 17),
        ),
        max_size=10,
    ),
    st.sampled_from([policies.full(), *HALVING, *WATCHING]),
)
def test_after_stops_and_faults_every_history_is_exact_and_restarts_change_no_verdict(
    seed: int, happens: list[tuple[int, str, str, int]], policy: policies.PolicySpec
) -> None:
    """1. Trials are stopped and faults strike at random moments. 2. All ends; what was stopped stays so."""
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    submit(cluster, spec("study", PIECES[:3], policy=policy))
    stopped = {}
    for count, what, worker, trial in happens:
        for _ in range(count):
            if cluster.engine.state.active:
                cluster.act()
        if what == "stop":
            if stop(cluster, trial):
                stopped[trial] = study_of(cluster).trials[trial].reached
        else:
            strike = getattr(cluster, what)
            strike(*([worker] if what not in {"restart_server", "lose_checkpoint"} else []))
    cluster.run()
    cluster.restart_server()
    expect_as_trained_alone(cluster, "study")
    for number, found in study_of(cluster).trials.items():
        if number in stopped:
            assert (found.state, found.reason) == (TrialState.STOPPED, "stopped by a user")
            assert found.reached == stopped[number]
        else:
            assert found.state in {TrialState.COMPLETED, TrialState.STOPPED}
