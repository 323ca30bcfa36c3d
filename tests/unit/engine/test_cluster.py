"""The whole engine against simulated workers: exact, complete, and whole again after faults."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers, schedules, space
from hippo_core.engine.commands import (
    CollectCheckpoints,
    DeleteStudy,
    DrainWorker,
    ExtendStudy,
    Heartbeat,
    PauseStudy,
    ResumeStudy,
    SaveFailedReport,
    StopStudy,
    SubmitStudy,
    Tick,
)
from hippo_core.engine.consultations import ConsultPolicy
from hippo_core.engine.events import SavePointAnswered, StepsTrained
from hippo_core.engine.orders import RemoveCheckpoint
from hippo_core.engine.proposals import MakeProposal
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.study_views import study_view
from hippo_core.engine.terminators import MakeJudgement
from hippo_core.engine.trial_detail import RepeatView, trial_detail
from hippo_core.engine.trial_views import trial_views
from hippo_core.objective import Objective
from hippo_core.points import point_to_json
from hippo_core.program import Program, Resources
from hippo_core.study import StudySpec
from tests.unit.engine.cluster import SETTINGS, Cluster, alone

PIECES = [
    0.1,
    schedules.piecewise([0.1, 0.01], [3]),
    schedules.piecewise([0.1, 0.03], [5]),
    schedules.piecewise([0.1, 0.03, 0.001], [5, 7]),
    schedules.cosine(0.1, 0.0, 8),
    schedules.warmup(2, schedules.exponential(0.1, 0.5)),
]
BATCHES = [32, schedules.piecewise([32, 64], [4]), 64]
MOMENTA = [0.9, schedules.piecewise([0.9, 0.95], [6])]
POINTS = [
    point_to_json({"lr": rate, "batch": batch, "m": 0.9}, "point")
    for rate in PIECES[1:3]
    for batch in BATCHES[:2]
]


def spec(
    name: str = "study",
    rates: list[Any] = PIECES,
    max_steps: int = 9,
    policy: policies.PolicySpec | None = None,
    evaluate_every: int = 1,
    checkpoint_every: int | None = None,
    seed: int = 0,
) -> StudySpec:
    searched = space.Space(
        {"lr": space.choice(rates), "batch": space.choice(BATCHES), "m": space.choice(MOMENTA)}
    )
    return StudySpec(
        name=name,
        space=searched,
        objectives=(Objective(metric="accuracy", maximize=True),),
        max_trials=len(rates) * len(BATCHES) * len(MOMENTA),
        max_steps=max_steps,
        sampler=samplers.grid(),
        policy=policy or policies.full(),
        program=Program(
            trainer="t:T", code_digest="c", seed=seed, evaluate_every=evaluate_every, kinds=searched.kinds
        ),
        checkpoint_every=checkpoint_every,
    )


def submit(cluster: Cluster, study: StudySpec) -> None:
    cluster.tell(SubmitStudy(project="default", user="u", spec=study))


def expect_as_trained_alone(cluster: Cluster, name: str, project: str = "default") -> None:
    """Every trial's history is what it would have been, trained alone."""
    study = cluster.engine.state.study_named(project, name)
    assert study is not None
    every, seed = study.spec.program.evaluate_every, study.spec.program.seed
    for number in study.trials:
        detail = trial_detail(cluster.engine, project, name, number)
        expected = alone(list(detail.values), every, seed)
        if detail.repeats:
            repeats = [expect_repeat_as_trained_alone(study, number, each) for each in detail.repeats]
            expected = {step: fmean(each[step] for each in repeats) for step in expected}
            spread = {step: stdev(each[step] for each in repeats) for step in expected}
            assert {each.step: each.spread["accuracy"] for each in detail.history} == pytest.approx(spread)
        assert {each.step: each.metrics["accuracy"] for each in detail.history} == expected


def expect_repeat_as_trained_alone(study: Study, number: int, repeat: RepeatView) -> dict[int, float]:
    """A repeat's history is that of a study of its own, with its seed."""
    values = [study.trials[number].sequence.values(step) for step in range(repeat.step)]
    seed = study.spec.program.seed + repeat.repeat
    assert repeat.seed == seed
    expected = alone(list(values), study.spec.program.evaluate_every, seed)
    assert {each.step: each.metrics["accuracy"] for each in repeat.history} == expected
    return expected


def distinct_prefixes(cluster: Cluster, *names: str) -> int:
    """Brute force over the values of all trials, to the steps that they reached."""
    found = set()
    for name in names:
        study = cluster.engine.state.study_named("default", name)
        assert study is not None
        for trial in study.trials.values():
            prefix: tuple[Any, ...] = ()
            for step in range(trial.reached):
                prefix = (*prefix, tuple(sorted(trial.sequence.values(step).items())))
                found.add(prefix)
    return len(found)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("workers", [{"a": 1}, {"a": 2}, {"a": 2, "b": 1}])
def test_a_grid_trains_each_distinct_prefix_once(seed: int, workers: dict[str, int]) -> None:
    cluster = Cluster(seed, workers)
    submit(cluster, spec())
    cluster.run()
    view = study_view(cluster.engine, "default", "study")
    assert view.state is StudyState.COMPLETED
    assert view.trial_counts == {"completed": 36}
    expect_as_trained_alone(cluster, "study")
    assert view.savings.steps_trained == cluster.trained == distinct_prefixes(cluster, "study")
    assert view.savings.steps_retrained == 0
    assert view.savings.steps_without_sharing == 36 * 9


@pytest.mark.parametrize("seed", range(12))
def test_asha_promotes_and_every_history_is_exact(seed: int) -> None:
    cluster = Cluster(seed, {"a": 2, "b": 1})
    submit(cluster, spec(policy=policies.asha(min_steps=1, reduction_factor=3)))
    cluster.run()
    view = study_view(cluster.engine, "default", "study")
    assert view.state is StudyState.COMPLETED
    assert set(view.trial_counts) == {"completed", "stopped"}
    expect_as_trained_alone(cluster, "study")
    assert view.savings.steps_trained == cluster.trained
    assert view.savings.steps_trained - view.savings.steps_retrained == distinct_prefixes(cluster, "study")
    study = cluster.engine.state.study_named("default", "study")
    assert study is not None
    promoted = [trial for trial in study.trials.values() if trial.asked > 1]
    assert len(promoted) >= 36 // 3, "at least the best third; asynchrony may let some more through"


@pytest.mark.parametrize("seed", range(30))
def test_a_late_study_joins_what_is_in_flight(seed: int) -> None:
    """1. A study runs. 2. Another that overlaps comes at any moment. 3. What is trained again is counted, exactly."""
    cluster = Cluster(seed, {"a": 1, "b": 1})
    submit(cluster, spec("first", PIECES[:2]))
    for _ in range(10 + 7 * seed):
        cluster.act()
    submit(cluster, spec("second", PIECES))
    cluster.run()
    for name in ("first", "second"):
        expect_as_trained_alone(cluster, name)
    again = sum(
        event.stop - event.start for event in cluster.journal if isinstance(event, StepsTrained)
    ) - distinct_prefixes(cluster, "first", "second")
    nodes = cluster.engine.state.nodes.values()
    assert again == sum(node.steps - (node.trained - node.start) for node in nodes)
    view = study_view(cluster.engine, "default", "second")
    assert view.savings.steps_retrained <= again


def test_forks_in_flight_are_answered_both_ways() -> None:
    answers: list[bool] = []
    for seed in range(30):
        cluster = Cluster(seed, {"a": 1})
        submit(cluster, spec("first", PIECES[:1]))
        for _ in range(5 + 3 * seed):
            cluster.act()
        submit(cluster, spec("second", PIECES[:4]))
        cluster.run()
        expect_as_trained_alone(cluster, "second")
        answers += [event.will for event in cluster.journal if isinstance(event, SavePointAnswered)]
    assert set(answers) == {True, False}


def test_an_equal_study_trains_nothing_and_reports_at_once() -> None:
    cluster = Cluster(0, {"a": 2})
    submit(cluster, spec("first"))
    cluster.run()
    trained = cluster.trained
    submit(cluster, spec("second"))
    view = study_view(cluster.engine, "default", "second")
    assert view.state is StudyState.COMPLETED
    assert view.savings.steps_trained == 0
    assert view.savings.merge_rate is None
    assert cluster.trained == trained
    expect_as_trained_alone(cluster, "second")


@pytest.mark.parametrize("other", [{"seed": 1}, {"evaluate_every": 3}])
def test_another_program_shares_nothing(other: dict[str, int]) -> None:
    cluster = Cluster(0, {"a": 2})
    submit(cluster, spec("first"))
    cluster.run()
    submit(cluster, spec("second", **other))  # type: ignore[arg-type]
    cluster.run()
    first, second = (study_view(cluster.engine, "default", name) for name in ("first", "second"))
    assert second.savings.steps_trained == first.savings.steps_trained


@pytest.mark.parametrize("seed", range(6))
def test_extending_trains_only_what_is_new(seed: int) -> None:
    cluster = Cluster(seed, {"a": 2})
    submit(cluster, spec(max_steps=6))
    cluster.run()
    cluster.tell(ExtendStudy(project="default", name="study", max_steps=9))
    cluster.run()
    expect_as_trained_alone(cluster, "study")
    view = study_view(cluster.engine, "default", "study")
    assert view.trial_counts == {"completed": 36}
    assert cluster.trained == distinct_prefixes(cluster, "study") + view.savings.steps_retrained


def test_study_and_trials_tell_that_no_slot_can_ever_serve_them() -> None:
    """1. Without a worker. 2. With one whose slots are too small."""

    def told(cluster: Cluster) -> tuple[str, set[str]]:
        submit(cluster, large)
        view = study_view(cluster.engine, "default", "study")
        return view.reason, {each.reason for each in trial_views(cluster.engine, "default", "study")}

    large = replace(spec(), program=replace(spec().program, resources=Resources(cpus=99)))
    assert told(Cluster(0, {})) == ("no worker is there", {"no worker is there"})
    small = Cluster(0, {"a": 1})
    reason, reasons = told(small)
    assert reason.startswith("no slot fits: the study asks for cpus 99")
    assert reasons == {reason}
    assert trial_detail(small.engine, "default", "study", 0).trial.reason == reason


@pytest.mark.parametrize("seed", range(8))
def test_a_pause_saves_and_a_resume_goes_on(seed: int) -> None:
    cluster = Cluster(seed, {"a": 2})
    submit(cluster, spec())
    for _ in range(30 + 5 * seed):
        cluster.act()
    cluster.tell(PauseStudy(project="default", name="study"))
    while cluster.engine.state.leases:
        cluster.act()
    cluster.tell(ResumeStudy(project="default", name="study"))
    cluster.run()
    expect_as_trained_alone(cluster, "study")
    assert study_view(cluster.engine, "default", "study").savings.steps_retrained == 0


def test_an_offer_that_comes_after_the_end_of_the_path_is_passed() -> None:
    """1. A path is offered a save point. 2. Its worker looks only at the end. 3. The gap is trained again."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec("first", PIECES[:1]))
    worker = cluster.workers["a"]
    cluster.receive(worker)
    (running,) = worker.running.values()
    cluster.train(worker, running)
    cluster.report(worker, running)
    submit(cluster, spec("second", PIECES[:4]))
    assert cluster.engine.directives("a").offers
    while not running.done:
        cluster.train(worker, running)
    while running.spool:
        cluster.publish(running)
    cluster.report(worker, running)
    cluster.run()
    expect_as_trained_alone(cluster, "second")
    assert not all(event.will for event in cluster.journal if isinstance(event, SavePointAnswered))


FAULTS = (
    "kill_worker",
    "lose_worker",
    "kill_runner",
    "restart_server",
    "lose_checkpoint",
    "fail_save",
    "hold_up_save",
)


@settings(max_examples=120)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(st.integers(1, 120), st.sampled_from(FAULTS), st.sampled_from(["a", "b"])), max_size=8
    ),
    st.sampled_from([policies.full(), policies.asha(min_steps=1, reduction_factor=3)]),
    st.sampled_from([None, 2]),
    st.sampled_from([1, 3]),
)
def test_after_any_faults_every_history_is_that_of_a_run_without(
    seed: int,
    faults: list[tuple[int, str, str]],
    policy: policies.PolicySpec,
    checkpoint_every: int | None,
    evaluate_every: int,
) -> None:
    """1. A study runs. 2. Faults strike at random moments, a second study comes between. 3. All ends, and is exact."""
    cluster = Cluster(seed, {"a": 2, "b": 1})
    made = {"policy": policy, "checkpoint_every": checkpoint_every, "evaluate_every": evaluate_every}
    submit(cluster, spec("first", PIECES[:3], **made))  # type: ignore[arg-type]
    for count, fault, worker in faults:
        for _ in range(count):
            cluster.act()
        strike = getattr(cluster, fault)
        strike(*([worker] if fault not in {"restart_server", "lose_checkpoint"} else []))
    submit(cluster, spec("second", PIECES, **made))  # type: ignore[arg-type]
    cluster.run()
    for name in ("first", "second"):
        expect_as_trained_alone(cluster, name)
        study = cluster.engine.state.study_named("default", name)
        assert study is not None
        assert study.state is StudyState.COMPLETED
        assert {trial.state for trial in study.trials.values()} <= {TrialState.COMPLETED, TrialState.STOPPED}
        assert not any(node.not_reproducible for node in cluster.engine.state.nodes.values())


def first_running(cluster: Cluster) -> tuple[Any, Any]:
    """The first worker with the first lease that it trains."""
    worker = next(iter(cluster.workers.values()))
    cluster.receive(worker)
    return worker, next(running for running in worker.running.values() if not running.done)


def save_nothing_for_lack_of_space(cluster: Cluster) -> None:
    """Trains the path that is leased to its end, of which no state can be saved."""
    worker, running = first_running(cluster)
    while not running.done:
        cluster.train(worker, running)
        for node, step in list(running.spool):
            running.tell(SaveFailedReport(node=node, step=step, reason="The storage is full.", full=True))
        running.spool.clear()
        cluster.report(worker, running)


def let_time_pass(cluster: Cluster, seconds: float) -> None:
    """So many seconds, with the workers' signs of life."""
    end = cluster.now + seconds
    while cluster.now < end:
        cluster.now = min(end, cluster.now + SETTINGS.heartbeat_seconds)
        for worker in cluster.workers.values():
            cluster.tell(Heartbeat(worker=worker.name, incarnation=str(worker.incarnation)))
        cluster.tell(Tick())


def test_what_is_removed_from_a_full_storage_lets_a_study_go_on_at_once() -> None:
    """1. A study is held back, for a long time already. 2. What another study left is let go. 3. Once the files are
    gone a path begins; if there is still no space, the next pause is longer yet."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec("other", rates=[0.3], seed=1))
    cluster.run()
    submit(cluster, spec(checkpoint_every=3))
    for pause in (5.0, 10.0):
        save_nothing_for_lack_of_space(cluster)
        let_time_pass(cluster, pause)
    save_nothing_for_lack_of_space(cluster)
    cluster.tell(CollectCheckpoints(project="default", name="other", to_bytes=0))
    cluster.tell(Tick())
    assert not cluster.engine.state.leases, "the files are there still"
    gone = [each for each in cluster.engine.wanted() if isinstance(each, RemoveCheckpoint)]
    assert gone
    cluster.engine.removed(gone)
    deadline = cluster.engine.next_deadline()
    assert deadline is not None
    assert deadline <= cluster.now
    cluster.tell(Tick())
    assert cluster.engine.state.leases
    save_nothing_for_lack_of_space(cluster)
    let_time_pass(cluster, 39.5)
    assert not cluster.engine.state.leases
    let_time_pass(cluster, 1.0)
    assert cluster.engine.state.leases
    cluster.run()
    expect_as_trained_alone(cluster, "study")


def test_what_a_running_path_lets_go_makes_no_space() -> None:
    """It has saved as much in its place."""
    cluster = Cluster(0, {"a": 1, "b": 1})
    submit(cluster, spec(checkpoint_every=3))
    save_nothing_for_lack_of_space(cluster)
    (running,) = cluster.engine.state.leases
    pause = cluster.engine.next_deadline()
    cluster.engine.removed([RemoveCheckpoint(plan=1, node=1, step=3, fence=running)])
    assert cluster.engine.next_deadline() == pause
    cluster.engine.removed([RemoveCheckpoint(plan=1, node=1, step=3, fence=running + 1)])
    assert cluster.engine.next_deadline() == -math.inf


def test_a_full_storage_holds_a_study_back_for_longer_each_time_and_is_told_until_a_state_is_saved() -> None:
    """1. Every save of every path fails. 2. After each attempt nothing is leased for twice as long, up to a minute,
    though other paths wait. 3. That is told also while a path trains. 4. Saves succeed: all goes on at once."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(checkpoint_every=3))

    def reason() -> str:
        return study_view(cluster.engine, "default", "study").reason

    for pause in (5.0, 10.0, 20.0, 40.0, 60.0, 60.0):
        save_nothing_for_lack_of_space(cluster)
        assert reason() == "blocked: The storage is full."
        let_time_pass(cluster, pause - 0.1)
        assert not cluster.engine.state.leases
        let_time_pass(cluster, 0.1)
        assert cluster.engine.state.leases
        assert "The storage is full." in reason()
    worker, running = first_running(cluster)
    while not running.spool:
        cluster.train(worker, running)
    cluster.publish(running)
    cluster.report(worker, running)
    assert "full" not in reason()
    cluster.run()
    expect_as_trained_alone(cluster, "study")


def test_after_a_pause_one_path_tries_whether_there_is_space_and_then_all_go_on() -> None:
    cluster = Cluster(0, {"a": 3})
    submit(cluster, spec(checkpoint_every=3))
    worker = cluster.workers["a"]
    while cluster.engine.state.leases:
        save_nothing_for_lack_of_space(cluster)
    let_time_pass(cluster, 5.0)
    assert len(cluster.engine.state.leases) == 1
    _, running = first_running(cluster)
    while not running.spool:
        cluster.train(worker, running)
    cluster.report(worker, running)
    assert len(cluster.engine.state.leases) == 1, "whether it is saved is not known"
    cluster.publish(running)
    cluster.report(worker, running)
    assert len(cluster.engine.state.leases) == 3


def test_a_restarted_server_still_tells_that_the_storage_is_full_and_waits_once_more() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(checkpoint_every=3))
    save_nothing_for_lack_of_space(cluster)
    cluster.restart_server()
    assert "The storage is full." in study_view(cluster.engine, "default", "study").reason
    assert not cluster.engine.state.leases
    cluster.run()
    assert study_view(cluster.engine, "default", "study").state is StudyState.COMPLETED
    expect_as_trained_alone(cluster, "study")


def test_a_trainer_that_always_fails_fails_its_trials_after_one_retry() -> None:
    """1. Every step fails. 2. Each path is tried twice. 3. All trials fail, and so does the study."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(policy=policies.asha(min_steps=1, reduction_factor=3)))
    failures = 0
    while cluster.engine.state.active:
        worker, running = first_running(cluster)
        cluster.fail_training("a")
        cluster.report(worker, running)
        failures += 1
    view = study_view(cluster.engine, "default", "study")
    assert view.state is StudyState.FAILED
    assert view.trial_counts == {"failed": 36}
    roots = [node for node in cluster.engine.state.nodes.values() if node.parent is None]
    assert failures == 2 * len(roots)


def test_failures_at_ever_other_steps_are_retried_once_in_all() -> None:
    """1. A path fails at step 2. 2. Tried again, it fails at step 4. 3. Nothing was saved beyond: its trials fail."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=[0.1]))
    for steps in (2, 4):
        worker, running = first_running(cluster)
        for _ in range(steps):
            cluster.train(worker, running)
        running.spool.clear()
        cluster.report(worker, running)
        cluster.fail_training("a")
        cluster.report(worker, running)
    assert study_view(cluster.engine, "default", "study").trial_counts["failed"] > 0


@pytest.mark.parametrize("seed", range(6))
def test_a_failed_save_of_a_path_s_end_is_trained_again(seed: int) -> None:
    """1. Paths end, and what they save is lost. 2. Forks there start from before, not from what a slot remembers."""
    cluster = Cluster(seed, {"a": 1, "b": 1})
    submit(cluster, spec(policy=policies.asha(min_steps=1, reduction_factor=3)))
    for _ in range(12):
        for _ in range(25):
            cluster.act()
        cluster.fail_save("a")
        cluster.fail_save("b")
    cluster.run()
    expect_as_trained_alone(cluster, "study")


def test_a_trial_is_done_when_its_state_is_saved() -> None:
    """1. A path is trained and evaluated to its end. 2. Its worker dies before the end is published. 3. The end is
    trained again: each trial that completed has its last state."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec(rates=[0.1]))
    worker, running = first_running(cluster)
    while not running.done:
        cluster.train(worker, running)
    cluster.report(worker, running)
    assert study_view(cluster.engine, "default", "study").trial_counts.get("completed") is None
    cluster.kill_worker("a")
    cluster.restart_server()
    cluster.run()
    expect_as_trained_alone(cluster, "study")
    for number in range(6):
        kept = trial_detail(cluster.engine, "default", "study", number).checkpoints
        assert max(each.step for each in kept) == 9
    assert study_view(cluster.engine, "default", "study").savings.steps_retrained > 0


def test_the_trials_of_a_paused_study_tell_what_they_wait_for() -> None:
    cluster = Cluster(0, {})
    submit(cluster, spec())
    assert {each.reason for each in trial_views(cluster.engine, "default", "study")} == {"no worker is there"}
    cluster.tell(PauseStudy(project="default", name="study"))
    paused = trial_views(cluster.engine, "default", "study")
    assert {(each.state, each.reason) for each in paused} == {(TrialState.WAITING, "the study is paused")}
    cluster.tell(ResumeStudy(project="default", name="study"))
    assert {each.reason for each in trial_views(cluster.engine, "default", "study")} == {"no worker is there"}


def test_a_paused_study_whose_objective_is_missing_fails() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, replace(spec(), objectives=(Objective(metric="accurracy", maximize=True),)))
    worker, running = first_running(cluster)
    cluster.train(worker, running)
    cluster.tell(PauseStudy(project="default", name="study"))
    cluster.report(worker, running)
    view = study_view(cluster.engine, "default", "study")
    assert view.state is StudyState.FAILED
    assert view.reason == (
        "the study optimises 'accurracy', but the trainer's evaluate() reported: accuracy; did you mean 'accuracy'? "
        "Change maximize='accurracy' in the study, or let evaluate() report 'accurracy'."
    )


def test_the_argument_that_names_the_missing_objective_is_told() -> None:
    cluster = Cluster(0, {"a": 1})
    objectives = (Objective(metric="accuracy", maximize=True), Objective(metric="f1", maximize=False))
    submit(cluster, replace(spec(), objectives=objectives))
    worker, running = first_running(cluster)
    cluster.train(worker, running)
    cluster.report(worker, running)
    reason = study_view(cluster.engine, "default", "study").reason
    assert "optimises 'f1', but the trainer's evaluate() reported: accuracy. Change minimize='f1'" in reason


def test_deleting_a_stopped_study_revokes_what_runs_for_it() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec())
    first_running(cluster)
    cluster.tell(StopStudy(project="default", name="study"))
    cluster.tell(DeleteStudy(project="default", name="study"))
    assert not cluster.engine.state.leases
    assert cluster.engine.state.workers["a"].slots[0].fence is None


class Unread(dict[tuple[int, int, int], int]):
    """May be very large, and is not looked through."""

    def items(self) -> NoReturn:
        raise AssertionError("it was looked through")


def test_who_asks_for_points_and_answers_does_not_look_through_the_files_that_are_to_go() -> None:
    """It is looked for answers after each report."""
    cluster = Cluster(0, {"a": 2})
    cluster.engine.state.dropped = Unread({(1, 1, 1): 1})
    assert cluster.engine.wanted_of(ConsultPolicy) == ()
    assert cluster.engine.wanted_of(MakeProposal) == ()
    assert cluster.engine.wanted_of(MakeJudgement) == ()
    with pytest.raises(AssertionError):
        cluster.engine.wanted_of(RemoveCheckpoint)


def test_the_states_of_a_plan_go_with_its_last_study_and_an_equal_study_trains_anew() -> None:
    """1. Two studies share all. 2. One is deleted: all states stay. 3. So is the other: all go. 4. An equal study is
    trained, and has its states, as if it were the first."""
    cluster = Cluster(0, {"a": 2})
    for name in ("first", "second"):
        submit(cluster, spec(name))
        cluster.run()
    cluster.tell(DeleteStudy(project="default", name="first"))
    assert not cluster.engine.wanted()
    kept = {
        (node.id, step, fence)
        for node in cluster.engine.state.nodes.values()
        for step, fences in node.checkpoints.items()
        for fence in fences
    }
    cluster.tell(DeleteStudy(project="default", name="second"))
    gone = cluster.engine.wanted_of(RemoveCheckpoint)
    assert gone == cluster.engine.wanted()
    assert {(each.node, each.step, each.fence) for each in gone} == kept
    assert kept
    cluster.storage = {place: state for place, state in cluster.storage.items() if place not in kept}
    submit(cluster, spec("third"))
    cluster.run()
    expect_as_trained_alone(cluster, "third")
    study = cluster.engine.state.study_named("default", "third")
    assert study is not None
    assert study.steps_trained == distinct_prefixes(cluster, "third")
    for trial in study.trials.values():
        assert trial.reached_node is not None
        assert trial.reached in trial.reached_node.checkpoints


def test_a_drain_is_not_forgotten_when_the_worker_comes_back() -> None:
    cluster = Cluster(0, {"a": 1})
    cluster.tell(DrainWorker(worker="a"))
    cluster.register("a")
    assert cluster.engine.directives("a").drain
    submit(cluster, spec())
    assert not cluster.engine.state.leases
    cluster.kill_worker("a")
    assert cluster.engine.state.leases


def test_after_an_extension_the_best_is_among_those_that_went_on() -> None:
    """1. All complete step 2. 2. ASHA's limit is raised: few go on to 8. 3. The best is one of those."""
    cluster = Cluster(3, {"a": 2})
    submit(cluster, spec(max_steps=2, policy=policies.asha(min_steps=1, reduction_factor=3)))
    cluster.run()
    cluster.tell(ExtendStudy(project="default", name="study", max_steps=8))
    cluster.run()
    view = study_view(cluster.engine, "default", "study")
    assert view.best_trial is not None
    assert view.best_trial.step == 8
    study = cluster.engine.state.study_named("default", "study")
    assert study is not None
    assert all(trial.reached == 8 for trial in study.trials.values() if trial.state is TrialState.COMPLETED)
