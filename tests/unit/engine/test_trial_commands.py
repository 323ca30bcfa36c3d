"""A user's word on one trial."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hippo_core import policies, schedules
from hippo_core.engine.commands import ExtendStudy, ExtendTrial, RetryTrials, StopStudy, StopTrial
from hippo_core.engine.events import LeaseStopped
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.studies import TrialExtended
from hippo_core.engine.study_views import study_view
from hippo_core.engine.trial_views import trial_views
from hippo_core.errors import Conflict, InvalidStudy, NotFound
from hippo_core.policies.threshold_stopping import ThresholdStoppingSpec
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import (
    FAULTS,
    PIECES,
    distinct_prefixes,
    expect_as_trained_alone,
    spec,
    submit,
)
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


def test_of_an_unknown_study_only_what_is_near_is_named() -> None:
    cluster = Cluster(0, {})
    submit(cluster, spec("p-moasha", rates=PIECES[:1]))
    with pytest.raises(NotFound, match="Did you mean p-moasha"):
        stop(cluster, 0, "p-mosha")
    with pytest.raises(NotFound, match="hippo study ls lists the studies") as caught:
        stop(cluster, 0, "nosuch")
    assert "p-moasha" not in str(caught.value)


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


@settings(max_examples=80)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 60),
            st.sampled_from([*FAULTS, "restart_server", "stop", "extend"]),
            st.sampled_from(["a", "b"]),
            st.integers(0, 17),
        ),
        max_size=10,
    ),
    st.sampled_from([policies.full(), *HALVING, *WATCHING]),
)
@example(0, [(4, "extend", "a", 0)], ThresholdStoppingSpec(threshold=0.2, min_steps=1))
def test_after_words_and_faults_every_history_is_exact_and_restarts_change_no_verdict(
    seed: int, happens: list[tuple[int, str, str, int]], policy: policies.PolicySpec
) -> None:
    """1. Trials are stopped and extended, faults strike at random. 2. All ends where users said, exactly."""
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    submit(cluster, spec("study", PIECES[:3], policy=policy))
    stopped: dict[int, int] = {}
    wanted: dict[int, int] = {}
    for count, what, worker, trial in happens:
        for _ in range(count):
            if cluster.engine.state.active:
                cluster.act()
        if what == "stop":
            if stop(cluster, trial):
                stopped[trial] = study_of(cluster).trials[trial].reached
                wanted.pop(trial, None)
        elif what == "extend":
            if study_of(cluster).trials[trial].reached <= count % 14 + 1:
                extend(cluster, trial, count % 14 + 1)
                wanted[trial] = max(wanted.get(trial, 0), count % 14 + 1)
                stopped.pop(trial, None)
        else:
            strike = getattr(cluster, what)
            strike(*([worker] if what not in {"restart_server", "lose_checkpoint"} else []))
    cluster.run()
    cluster.restart_server()
    expect_as_trained_alone(cluster, "study")
    for number, found in study_of(cluster).trials.items():
        if number in stopped:
            at_end = found.led == found.max_steps  # it was stopped beyond it
            state = TrialState.COMPLETED if at_end else TrialState.STOPPED
            assert (found.state, found.reason) == (state, "stopped by a user")
            assert found.reached == stopped[number]
        else:
            assert found.state in {TrialState.COMPLETED, TrialState.STOPPED}
            assert found.reached >= wanted.get(number, 0)


def extend(cluster: Cluster, trial: int, to: int) -> TrialExtended:
    result = cluster.tell(ExtendTrial(project="default", name="study", trial=trial, to=to))
    assert isinstance(result, TrialExtended)
    return result


def test_a_trial_of_a_completed_study_is_trained_further() -> None:
    """1. A study is complete. 2. One trial goes on. 3. The study is complete again; nothing was trained twice."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster, spec(rates=PIECES[:1]))
    cluster.run()
    before = {number: (trial.state, trial.reached) for number, trial in study_of(cluster).trials.items()}
    assert extend(cluster, 3, 14) == TrialExtended(extended=True, warnings=())
    assert study_of(cluster).state is StudyState.RUNNING
    cluster.run()
    after = {number: (trial.state, trial.reached) for number, trial in study_of(cluster).trials.items()}
    assert after == {**before, 3: (TrialState.COMPLETED, 14)}
    assert study_of(cluster).state is StudyState.COMPLETED
    expect_as_trained_alone(cluster, "study")
    assert cluster.trained == distinct_prefixes(cluster, "study")
    view = trial_views(cluster.engine, "default", "study")[3]
    assert (view.step, view.max_steps) == (14, 14)
    assert not extend(cluster, 3, 14).extended


def test_the_step_is_rounded_up_and_never_below_what_was_reached() -> None:
    cluster = Cluster(0, {"a": 2})
    submit(cluster, spec(rates=PIECES[:1], evaluate_every=3))
    cluster.run()
    with pytest.raises(InvalidStudy, match="6 is below step 9, which trial 0 has reached"):
        extend(cluster, 0, 5)
    assert extend(cluster, 0, 10).warnings == ("to=10 is rounded up to 12, for evaluate_every=3",)
    assert not extend(cluster, 0, 11).extended
    cluster.run()
    assert study_of(cluster).trials[0].reached == 12
    expect_as_trained_alone(cluster, "study")


@pytest.mark.parametrize("policy", [policies.sha(1, 3), policies.asha(1, 3), policies.hyperband(1, 3)])
def test_a_stopped_trial_goes_as_far_as_the_user_says_and_others_stay(policy: policies.PolicySpec) -> None:
    cluster = Cluster(4, {"a": 2})
    submit(cluster, spec(policy=policy))
    cluster.run()
    study = study_of(cluster)
    before = {number: (trial.state, trial.reached, trial.reason) for number, trial in study.trials.items()}
    worst = next(number for number, trial in study.trials.items() if trial.reached == 1)
    extend(cluster, worst, 7)
    cluster.run()
    after = {number: (trial.state, trial.reached, trial.reason) for number, trial in study.trials.items()}
    assert after.pop(worst)[:2] == (TrialState.STOPPED, 7)
    assert before.items() >= after.items()
    assert study.state is StudyState.COMPLETED
    expect_as_trained_alone(cluster, "study")


def test_a_trial_in_training_comes_to_its_rung_first() -> None:
    """1. A rung waits for all. 2. One of them is to go on. 3. Its policy decides as without; then it goes on."""
    found = []
    for extended in (False, True):
        cluster = Cluster(5, {"a": 1})
        submit(cluster, spec(policy=policies.sha(1, 3)))
        if extended:
            extend(cluster, 7, 4)
        cluster.run()
        found.append(
            {number: (trial.asked, trial.state) for number, trial in study_of(cluster).trials.items()}
        )
        assert study_of(cluster).trials[7].reached >= (4 if extended else 1)
    without, with_word = ({key: value for key, value in each.items() if key != 7} for each in found)
    assert without == with_word


def test_what_cannot_go_on_is_refused_with_the_remedy() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=PIECES[:1]))
    for _ in range(2):
        cluster.receive(cluster.workers["a"])
        cluster.fail_training("a")
        for running in list(cluster.workers["a"].running.values()):
            cluster.report(cluster.workers["a"], running)
    failed = next(trial for trial in study_of(cluster).trials.values() if trial.state is TrialState.FAILED)
    with pytest.raises(Conflict, match="has failed") as refused:
        extend(cluster, failed.number, 12)
    assert f"hippo trial retry study {failed.number}" in (refused.value.hint or "")
    with pytest.raises(NotFound):
        extend(cluster, 99, 12)


def test_a_schedule_must_be_finite_as_far_as_the_user_says() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=[schedules.exponential(1.0, 1e30)]))
    with pytest.raises(InvalidStudy, match="lr is inf at step 11, and must be finite"):
        extend(cluster, 0, 12)
    assert extend(cluster, 0, 11).extended


def test_a_trial_that_goes_on_beyond_its_end_and_is_stopped_there_stays_completed_and_loses_nothing() -> None:
    """1. A completed trial is trained further. 2. It is stopped on the way. 3. It is trained further once more."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=PIECES[:1]))
    cluster.run()
    extend(cluster, 0, 14)
    while study_of(cluster).trials[0].node is None or study_of(cluster).trials[0].node.trained < 11:
        cluster.act()
    stop(cluster, 0)
    cluster.run()
    view = study_view(cluster.engine, "default", "study")
    assert (view.state, view.trial_counts) == (StudyState.COMPLETED, {"completed": 6})
    extend(cluster, 0, 14)
    cluster.run()
    assert study_of(cluster).trials[0].reached == 14
    assert study_of(cluster).steps_retrained == 0


def test_a_stop_ends_what_a_user_wanted_too() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=PIECES[:1]))
    extend(cluster, 0, 20)
    stop(cluster, 0)
    cluster.run()
    trial = study_of(cluster).trials[0]
    assert (trial.state, trial.reached, trial.limit) == (TrialState.STOPPED, 0, 9)
    extend(cluster, 0, 12)
    cluster.run()
    assert (trial.state, trial.reached) == (TrialState.COMPLETED, 12)
    expect_as_trained_alone(cluster, "study")
