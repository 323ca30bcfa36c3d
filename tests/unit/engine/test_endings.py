"""Endings: when one holds, what it leaves, and how a study is taken up again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import endings, policies
from hippo_core.endings import Ending, MaxSlotHours, Plateau, Target, Timeout
from hippo_core.engine.commands import (
    ExtendStudy,
    ExtendTrial,
    FailJudgement,
    ForkTrial,
    GiveJudgement,
    PauseStudy,
    ResumeStudy,
    StopStudy,
    SubmitStudy,
    Tick,
)
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import (
    EndingHeld,
    Event,
    JudgementWanted,
    LeaseGranted,
    LeaseStopped,
    RequestClosed,
    StudyCredited,
    StudyRan,
    StudyStateChanged,
    TrialStateChanged,
)
from hippo_core.engine.states import RequestState, StudyState, TrialState
from hippo_core.engine.studies import Submitted
from hippo_core.engine.study_views import StudyView, study_view
from hippo_core.engine.terminators import TRIES, MakeJudgement
from hippo_core.engine.trial_detail import trial_detail
from hippo_core.engine.trial_views import trial_views
from hippo_core.errors import Conflict
from hippo_core.study import StudySpec
from tests.unit.engine.cluster import SETTINGS, Cluster
from tests.unit.engine.test_cluster import (
    FAULTS,
    PIECES,
    distinct_prefixes,
    expect_as_trained_alone,
    let_time_pass,
    submit,
)
from tests.unit.engine.test_cluster import spec as plain_spec
from tests.unit.engine.test_policies import study_of


def spec(*given: Ending, **changes: Any) -> StudySpec:
    return replace(plain_spec(**changes), endings=given)


def running(*given: Ending, seed: int = 0, slots: int = 2, **changes: Any) -> Cluster:
    cluster = Cluster(seed, {"a": slots})
    submit(cluster, spec(*given, **changes))
    return cluster


def view(cluster: Cluster) -> StudyView:
    return study_view(cluster.engine, "default", "study")


def settle(cluster: Cluster) -> None:
    """Runs until the study has ended and its paths have let go."""
    cluster.run()
    while cluster.engine.state.leases:
        cluster.act()


def value_at(cluster: Cluster, trial: int, step: int) -> float | None:
    detail = trial_detail(cluster.engine, "default", "study", trial)
    return {each.step: each.metrics["accuracy"] for each in detail.history}.get(step)


def extend(cluster: Cluster, **changes: Any) -> None:
    cluster.tell(ExtendStudy(project="default", name="study", **changes))


# A target


def test_a_target_ends_the_study_where_a_trial_stands_on_its_way() -> None:
    """1. Trials go to step 9. 2. One reaches the target before. 3. It is completed there, and best; others stop."""
    cluster = running(endings.target(0.9), slots=1)
    settle(cluster)
    found = view(cluster)
    assert found.state is StudyState.COMPLETED
    assert found.ending == "target"
    best = found.best_trial
    assert best is not None
    assert 0 < best.step < 9
    assert best.metrics["accuracy"] >= 0.9
    assert (
        found.reason == f"target 0.9 reached: trial {best.number} has accuracy "
        f"{best.metrics['accuracy']:.6g} at step {best.step}"
    )
    assert best.state is TrialState.COMPLETED
    assert best.reason == f"the study ended: {found.reason}"
    assert found.trial_counts["completed"] == 1
    assert found.trial_counts["completed"] + found.trial_counts["stopped"] == 36
    expect_as_trained_alone(cluster, "study")


def test_a_target_is_reached_by_the_smaller_value_where_it_is_minimized() -> None:
    made = spec(endings.target(0.05))
    made = replace(made, objectives=(replace(made.objectives[0], maximize=False),))
    cluster = Cluster(0, {"a": 1})
    submit(cluster, made)
    settle(cluster)
    best = view(cluster).best_trial
    assert best is not None
    assert best.metrics["accuracy"] <= 0.05


def test_a_target_that_an_earlier_study_has_reached_is_reached_at_once() -> None:
    """What trials of equal values have shown is known when the request is opened, and nothing is trained."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, plain_spec("first"))
    cluster.run()
    trained = cluster.trained
    submit(cluster, spec(endings.target(0.9)))
    assert view(cluster).state is StudyState.COMPLETED
    assert view(cluster).ending == "target"
    assert cluster.trained == trained


def test_a_target_that_is_set_below_what_was_reached_ends_the_study_at_the_best() -> None:
    cluster = running(slots=1)
    while max((trial.value or 0.0 for trial in study_of(cluster).trials.values()), default=0.0) < 0.5:
        cluster.act()
    extend(cluster, endings=(endings.target(0.5),))
    found = view(cluster)
    assert (found.state, found.ending) == (StudyState.COMPLETED, "target")
    assert found.best_trial is not None
    assert found.best_trial.metrics["accuracy"] == max(
        value_at(cluster, trial.number, trial.reached) or 0.0
        for trial in study_of(cluster).trials.values()
        if trial.state is TrialState.COMPLETED
    )
    assert found.best_trial.metrics["accuracy"] >= 0.5


def test_what_becomes_known_during_a_pause_ends_the_study_when_it_is_resumed() -> None:
    """1. A study pauses, another one of equal values goes on and passes the target. 2. Nothing ends. 3. It resumes."""
    cluster = running(endings.target(0.9), slots=1)
    submit(cluster, plain_spec("other"))
    cluster.tell(PauseStudy(project="default", name="study"))
    cluster.run()
    assert view(cluster).state is StudyState.PAUSED
    cluster.tell(ResumeStudy(project="default", name="study"))
    assert (view(cluster).state, view(cluster).ending) == (StudyState.COMPLETED, "target")


def test_a_winner_at_a_rung_has_reached_it_and_the_search_goes_on_from_there_when_taken_up() -> None:
    """1. The target is reached at the very step of a rung. 2. It is raised. 3. The rung is full, and promotes."""
    cluster = running(endings.target(0.5), slots=1, policy=policies.sha(1, 3))
    settle(cluster)
    winner = view(cluster).best_trial
    assert winner is not None
    assert winner.step == 1
    extend(cluster, endings=(endings.target(2.0),))
    settle(cluster)
    assert view(cluster).state is StudyState.COMPLETED
    assert view(cluster).trial_counts["completed"] == 4


def test_metrics_that_come_after_the_target_in_one_report_are_not_where_the_winner_stands() -> None:
    """1. A whole path is reported at once, and a state on the way reaches the target. 2. The winner stands there."""
    cluster = running(endings.target(0.7), slots=1)
    worker = cluster.workers["a"]
    cluster.receive(worker)
    (path,) = worker.running.values()
    while not path.done:
        cluster.train(worker, path)
    cluster.report(worker, path)
    best = view(cluster).best_trial
    assert best is not None
    assert best.metrics["accuracy"] >= 0.7
    assert view(cluster).reason.endswith(f"at step {best.step}")


# Time and slot hours


def test_a_timeout_counts_while_the_study_runs_and_over_restarts_but_no_pause() -> None:
    cluster = Cluster(0, {})
    submit(cluster, spec(endings.timeout(seconds=100)))
    let_time_pass(cluster, 40.0)
    cluster.tell(PauseStudy(project="default", name="study"))
    let_time_pass(cluster, 1000.0)
    cluster.tell(ResumeStudy(project="default", name="study"))
    let_time_pass(cluster, 30.0)
    cluster.tell(Tick(last=True))
    cluster.now += 5000.0  # no server is there
    cluster.restart_server()
    assert cluster.engine.next_timeout() == pytest.approx(cluster.now + 30.0)
    assert view(cluster).endings == ("timeout: ran 1 min 10 s of 1 min 40 s",)
    let_time_pass(cluster, 29.9)
    assert view(cluster).state is StudyState.RUNNING
    let_time_pass(cluster, 0.1)
    found = view(cluster)
    assert found.ending == "timeout"
    assert found.state is StudyState.FAILED
    assert found.reason == "timeout: ran 1 min 40 s of 1 min 40 s, and no trial has a value"
    assert cluster.engine.next_timeout() is None


def test_a_study_shows_how_long_it_has_been_running_until_now() -> None:
    """1. Time passes, and none of it is counted yet. 2. A view of that time knows it. 3. A pause does not count."""
    cluster = Cluster(0, {})
    submit(cluster, spec(endings.timeout(seconds=20)))
    now = cluster.now + 8.0

    def shown(now: float) -> tuple[str, ...]:
        return study_view(cluster.engine, "default", "study", now).endings

    assert study_of(cluster).ran_seconds == 0.0
    assert shown(now) == ("timeout: ran 8 s of 20 s",)
    cluster.now = now
    cluster.tell(PauseStudy(project="default", name="study"))
    assert shown(now + 100.0) == ("timeout: ran 8 s of 20 s",)


def test_the_next_deadline_is_when_a_timeout_is_due() -> None:
    cluster = Cluster(0, {})
    submit(cluster, spec(endings.timeout(seconds=2)))
    assert cluster.engine.next_deadline() == pytest.approx(cluster.now + 2.0)


def test_an_engine_that_dies_loses_no_more_than_the_time_between_two_counts() -> None:
    cluster = Cluster(0, {})
    submit(cluster, spec(endings.timeout(seconds=1000)))
    let_time_pass(cluster, 500.0)
    cluster.restart_server()
    assert 500.0 - SETTINGS.count_seconds <= study_of(cluster).ran_seconds <= 500.0


def test_where_nothing_has_come_to_its_end_the_best_at_the_deepest_step_is_completed() -> None:
    """1. Time is over while all trials are on their way. 2. The best of the deepest is complete where it stands."""
    cluster = running(endings.timeout(seconds=30))
    while cluster.trained < 8:
        cluster.act()
    let_time_pass(cluster, 30.0)
    settle(cluster)
    found = view(cluster)
    assert (found.state, found.ending) == (StudyState.COMPLETED, "timeout")
    assert found.trial_counts == {"completed": 1, "stopped": 35}
    assert found.best_trial is not None
    trials = trial_views(cluster.engine, "default", "study")
    deepest = max(trial.step for trial in trials)
    assert found.best_trial.step == deepest
    assert found.best_trial.metrics["accuracy"] == max(
        trial.metrics["accuracy"] for trial in trials if trial.step == deepest
    )


def test_slot_hours_end_the_study_when_they_are_used() -> None:
    cluster = running(endings.max_slot_hours(0.4 / 3600))
    settle(cluster)
    found = view(cluster)
    assert (found.state, found.ending) == (StudyState.COMPLETED, "max_slot_hours")
    assert 0.4 <= found.savings.seconds_trained <= 0.4 + 2 * 9 * 0.01
    assert found.reason.endswith("of 0.000111111 slot hours are used")


def test_trials_that_have_just_come_to_their_end_are_completed_not_stopped() -> None:
    """1. The report that uses the last of the slot hours also brings trials to their end. 2. They are completed."""
    cluster = running(endings.max_slot_hours(0.09 / 3600), slots=1)
    worker = cluster.workers["a"]
    cluster.receive(worker)
    (path,) = worker.running.values()
    while not path.done:
        cluster.train(worker, path)
    cluster.report(worker, path)
    found = view(cluster)
    assert found.ending == "max_slot_hours"
    assert all(
        trial.reason == "" for trial in trial_views(cluster.engine, "default", "study") if trial.step == 9
    )
    assert found.trial_counts["completed"] >= 1


# A plateau


def test_a_plateau_counts_trials_that_come_to_their_end_and_none_that_rests_on_the_way() -> None:
    """1. Of 36 trials 32 rest at rungs. 2. Only the four that come to step 9 count: the study ends after the last."""
    cluster = running(endings.plateau(1), policy=policies.sha(1, 3), slots=1)
    settle(cluster)
    found = view(cluster)
    at_end = [trial for trial in trial_views(cluster.engine, "default", "study") if trial.step == 9]
    assert found.best_trial is not None
    best = found.best_trial
    assert best in at_end
    assert found.ending == "plateau"
    since = len(at_end) - 1 - [trial.number for trial in at_end].index(best.number)
    assert since >= 1
    assert found.reason == (
        f"plateau: no improvement on accuracy {best.metrics['accuracy']:.6g} of trial {best.number} at step 9 in "
        f"{since} trial{' that came to its' if since == 1 else 's that came to their'} end, patience is 1"
    )


def test_a_plateau_says_that_nothing_has_come_to_its_end() -> None:
    cluster = running(endings.plateau(1), policy=policies.asha(min_steps=1, reduction_factor=3), slots=1)
    while not any(trial.state is TrialState.PAUSED for trial in study_of(cluster).trials.values()):
        cluster.act()
    assert view(cluster).endings == ("plateau: no trial has come to its end with a value of accuracy yet",)


def test_what_came_to_a_former_end_does_not_count_where_trials_may_go_further() -> None:
    """1. A plateau ends the study. 2. Trials may be trained further: none has come to its end yet, and all go on."""
    cluster = running(endings.plateau(1), slots=1)
    settle(cluster)
    assert view(cluster).ending == "plateau"
    extend(cluster, max_steps=12)
    assert view(cluster).endings == ("plateau: no trial has come to its end with a value of accuracy yet",)
    settle(cluster)
    found = view(cluster)
    assert found.best_trial is not None
    assert (found.ending, found.best_trial.step) == ("plateau", 12)


def test_training_a_trial_beyond_its_end_is_no_improvement() -> None:
    """1. A user has the best trial trained further. 2. What it comes to there is compared with nothing."""
    cluster = running(endings.plateau(30), slots=1)
    while study_of(cluster).completed < 3:
        cluster.act()
    before = view(cluster).endings
    best = view(cluster).best_trial
    assert best is not None
    cluster.tell(ExtendTrial(project="default", name="study", trial=best.number, to=40))
    assert view(cluster).endings == before
    settle(cluster)
    assert not any("at step 40" in words for words in view(cluster).endings)


# What holds after all of them


class Oracle:
    """Tells from the journal alone, and from what trials show, when an ending holds first.

    Args:
        cluster: With a study that has ended.
        ending: The ending.
    """

    def __init__(self, cluster: Cluster, ending: Ending) -> None:
        self.cluster = cluster
        self.ending = ending

    def holds_after(self, events: Iterable[Event]) -> bool:
        """Whether it holds after these events."""
        events = list(events)
        match self.ending:
            case Timeout():
                ran = sum(event.seconds for event in events if isinstance(event, StudyRan))
                return ran >= self.ending.seconds - 1e-3
            case MaxSlotHours():
                used = sum(event.seconds for event in events if isinstance(event, StudyCredited))
                return used >= self.ending.hours * 3600 - 1e-9
            case Plateau():
                return self._stagnates(events)
        raise AssertionError(self.ending)

    def _stagnates(self, events: list[Event]) -> bool:
        every = study_of(self.cluster).spec.program.evaluate_every
        limit = -(-9 // every) * every
        last: dict[int, RequestClosed] = {}
        ends: list[tuple[int, int]] = []
        for event in events:
            if isinstance(event, RequestClosed):
                last[event.trial] = event
                if (event.state, event.reached) == (RequestState.REACHED, limit):
                    ends.append((event.trial, limit))
            elif isinstance(event, TrialStateChanged) and event.state is TrialState.COMPLETED:
                closed = last[event.trial]
                cut = closed.state is RequestState.CANCELLED
                if cut and not event.reason.startswith("the study ended"):
                    known = closed.reached if closed.value is not None else closed.reached - 1
                    ends.append((event.trial, known // every * every))
        best, since = None, set()
        for trial, step in ends:
            value = value_at(self.cluster, trial, step)
            assert value is not None
            if best is None or value > best + self.ending.min_change:  # type: ignore[attr-defined]
                best, since = value, set()
            else:
                since.add(trial)
        return len(since) >= self.ending.patience  # type: ignore[attr-defined]


ENDINGS = st.one_of(
    st.floats(0.3, 6.0).map(lambda seconds: endings.timeout(seconds=seconds)),
    st.floats(0.05, 1.5).map(lambda seconds: endings.max_slot_hours(seconds / 3600)),
    st.floats(0.5, 1.0).map(endings.target),
    st.builds(endings.plateau, st.integers(1, 12), st.sampled_from([0.0, 0.05])),
)


@settings(max_examples=80)
@given(
    st.integers(0, 2**32),
    ENDINGS,
    st.lists(st.tuples(st.integers(1, 60), st.sampled_from(FAULTS), st.sampled_from(["a", "b"])), max_size=5),
    st.sampled_from(
        [
            policies.full(),
            policies.asha(min_steps=1, reduction_factor=3),
            policies.median_stopping(min_trials=2),
            policies.patience(2),
        ]
    ),
    st.sampled_from([1, 2]),
)
def test_whatever_happens_a_study_ends_when_its_ending_holds_and_is_granted_nothing_more(
    seed: int,
    ending: Ending,
    faults: list[tuple[int, str, str]],
    policy: policies.PolicySpec,
    evaluate_every: int,
) -> None:
    """1. A study runs; faults strike. 2. It ends as the journal says. 3. It is taken up again, and all is exact."""
    cluster = Cluster(seed, {"a": 2, "b": 1})
    submit(cluster, spec(ending, policy=policy, evaluate_every=evaluate_every))
    for count, fault, worker in faults:
        for _ in range(count):
            cluster.act()
        getattr(cluster, fault)(*([] if fault in {"restart_server", "lose_checkpoint"} else [worker]))
    settle(cluster)
    found = view(cluster)
    held = next((place for place, event in enumerate(cluster.journal) if isinstance(event, EndingHeld)), None)
    assert (held is None) is (found.ending == "")
    if held is not None:
        assert found.ending == ending.word
        assert found.reason
        assert not any(isinstance(event, LeaseGranted) for event in cluster.journal[held:])
    completed = [trial for trial in study_of(cluster).trials.values() if trial.state is TrialState.COMPLETED]
    assert (found.state is StudyState.COMPLETED) is bool(completed)
    assert (found.best_trial is None) is not completed
    if isinstance(ending, Target):
        every = [
            (each.metrics["accuracy"], number)
            for number in study_of(cluster).trials
            for each in trial_detail(cluster.engine, "default", "study", number).history
        ]
        reached = [number for value, number in every if value is not None and value >= ending.value]
        assert (held is not None) is bool(reached)
        if held is not None:
            assert found.best_trial is not None
            assert found.best_trial.metrics["accuracy"] >= ending.value
    else:
        # What a study has run until it ends is written once it has ended.
        ended = next(
            place for place, event in enumerate(cluster.journal) if isinstance(event, StudyStateChanged)
        )
        oracle = Oracle(cluster, ending)
        assert oracle.holds_after(cluster.journal[: ended if held is None else held]) is (held is not None)
    assert Engine.restore(cluster.journal, SETTINGS, cluster.now).snapshot() == cluster.engine.snapshot()
    if held is None:
        return
    resubmitted = SubmitStudy(
        project="default", user="u", spec=spec(policy=policy, evaluate_every=evaluate_every)
    )
    result = cluster.tell(resubmitted)
    assert isinstance(result, Submitted)
    assert result.outcome == "extended"
    settle(cluster)
    assert view(cluster).state is StudyState.COMPLETED
    assert view(cluster).ending == ""
    if policy == policies.full():
        assert view(cluster).trial_counts == {"completed": 36}
    expect_as_trained_alone(cluster, "study")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "ending",
    [endings.timeout(seconds=1), endings.max_slot_hours(0.3 / 3600), endings.target(0.8), endings.plateau(3)],
)
def test_a_study_that_is_taken_up_again_trains_nothing_twice(seed: int, ending: Ending) -> None:
    cluster = running(ending, seed=seed)
    settle(cluster)
    assert view(cluster).ending == ending.word
    trained = cluster.trained
    cluster.tell(SubmitStudy(project="default", user="u", spec=spec()))
    settle(cluster)
    assert view(cluster).trial_counts == {"completed": 36}
    assert view(cluster).savings.steps_retrained == 0
    assert trained < cluster.trained == distinct_prefixes(cluster, "study")


def test_another_study_that_shares_goes_on() -> None:
    """1. Two equal studies train together. 2. One ends. 3. No path is told to end before the other one is through."""
    cluster = running(endings.target(0.8), slots=1)
    submit(cluster, plain_spec("other"))
    while view(cluster).state is StudyState.RUNNING:
        cluster.act()
    assert not any(isinstance(event, LeaseStopped) for event in cluster.journal)
    cluster.run()
    assert study_view(cluster.engine, "default", "other").trial_counts == {"completed": 36}
    assert cluster.trained == distinct_prefixes(cluster, "other")


def test_paths_that_nobody_else_needs_save_what_they_have_and_let_go() -> None:
    cluster = running(endings.target(0.8))
    settle(cluster)
    stops = [event for event in cluster.journal if isinstance(event, LeaseStopped)]
    assert stops
    assert all(event.save for event in stops)


# Taking up again


def test_more_trials_do_not_take_up_what_would_end_at_once() -> None:
    cluster = running(endings.target(0.9), slots=1, rates=PIECES[:5])
    settle(cluster)
    before = cluster.engine.snapshot()
    with pytest.raises(Conflict, match=r"would end at once: target 0.9 reached: .*endings.target too"):
        extend(cluster, max_steps=12)
    assert cluster.engine.snapshot() == before
    extend(cluster, max_steps=12, endings=(endings.target(2.0),))
    settle(cluster)
    assert view(cluster).trial_counts == {"completed": 30}
    assert {trial.step for trial in trial_views(cluster.engine, "default", "study")} == {12}
    expect_as_trained_alone(cluster, "study")


def test_an_ending_that_is_changed_and_still_holds_is_refused() -> None:
    cluster = running(endings.target(0.9))
    settle(cluster)
    with pytest.raises(Conflict, match=r"would end at once: target 0.5 reached: "):
        extend(cluster, endings=(endings.target(0.5),))


def test_a_study_that_ended_takes_other_changes_and_stays_ended() -> None:
    cluster = running(endings.target(0.9))
    settle(cluster)
    extend(cluster, priority=3, endings=(endings.timeout(hours=9),))
    assert view(cluster).state is StudyState.COMPLETED
    assert view(cluster).ending == "target"
    assert study_of(cluster).spec.priority == 3


def test_an_ending_that_is_lowered_below_what_has_passed_ends_a_running_study() -> None:
    cluster = running(endings.max_slot_hours(9))
    while study_of(cluster).seconds < 0.2:
        cluster.act()
    extend(cluster, endings=(endings.max_slot_hours(0.1 / 3600),))
    assert view(cluster).ending == "max_slot_hours"


def test_a_stopped_study_is_taken_up_only_while_no_ending_holds() -> None:
    cluster = running(endings.max_slot_hours(0.2 / 3600))
    cluster.tell(StopStudy(project="default", name="study"))
    extend(cluster, max_steps=12)
    settle(cluster)
    assert view(cluster).ending == "max_slot_hours"


def test_a_user_can_have_single_trials_trained_further_and_the_search_stays_ended() -> None:
    """1. A target is reached. 2. The winner is trained further. 3. Nothing else is, and the reason stays."""
    cluster = running(endings.target(0.9))
    settle(cluster)
    reason, winner = view(cluster).reason, view(cluster).best_trial
    assert winner is not None
    granted = sum(isinstance(event, LeaseGranted) for event in cluster.journal)
    cluster.tell(ExtendTrial(project="default", name="study", trial=winner.number, to=12))
    assert view(cluster).state is StudyState.RUNNING
    cluster.restart_server()
    settle(cluster)
    assert (view(cluster).state, view(cluster).reason) == (StudyState.COMPLETED, reason)
    assert view(cluster).trial_counts == {"completed": 1, "stopped": 35}
    detail = trial_detail(cluster.engine, "default", "study", winner.number)
    assert (detail.trial.state, detail.trial.step) == (TrialState.COMPLETED, 12)
    assert sum(isinstance(event, LeaseGranted) for event in cluster.journal) > granted
    expect_as_trained_alone(cluster, "study")
    extend(cluster, endings=(endings.target(2.0),))
    settle(cluster)
    assert view(cluster).trial_counts == {"completed": 36}


def test_a_fork_needs_a_search_that_goes_on() -> None:
    cluster = running(endings.target(0.9))
    settle(cluster)
    with pytest.raises(Conflict, match=r"has ended: target 0.9 reached"):
        cluster.tell(ForkTrial(project="default", name="study", trial=0, at=3, hyperparameters={"lr": 0.5}))


# Terminators


def judging(**changes: Any) -> Cluster:
    given = {"improvement": "regret_bound", "threshold": 0.01, "min_trials": 3, **changes}
    return running(endings.terminator(**given))


def judgements(cluster: Cluster) -> list[MakeJudgement]:
    return [wanted for wanted in cluster.engine.wanted() if isinstance(wanted, MakeJudgement)]


def until_judging(cluster: Cluster) -> MakeJudgement:
    while not judgements(cluster):
        cluster.act()
    (wanted,) = judgements(cluster)
    return wanted


def give(cluster: Cluster, wanted: MakeJudgement, gain: float) -> None:
    cluster.tell(GiveJudgement(study=wanted.study, sequence=wanted.sequence, gain=gain, threshold=0.01))


def test_a_terminator_sees_what_has_completed_and_its_word_ends_the_study() -> None:
    cluster = judging()
    wanted = until_judging(cluster)
    task = cluster.engine.judgement_task(wanted)
    assert len(task.history) >= 3
    assert {past.state for past in task.history} == {TrialState.COMPLETED}
    assert [past.sequence for past in task.history] == sorted(past.sequence for past in task.history)
    give(cluster, wanted, 0.5)
    assert (
        view(cluster)
        .endings[0]
        .startswith("terminator regret_bound: 0.5 can be gained, 0.01 would be too little")
    )
    wanted = until_judging(cluster)
    give(cluster, wanted, 0.001)
    found = view(cluster)
    assert (found.state, found.ending) == (StudyState.COMPLETED, "terminator")
    assert found.reason.startswith(
        "terminator regret_bound: at most 0.001 can be gained, less than 0.01, after "
    )
    with pytest.raises(Conflict, match="would end at once: terminator"):
        extend(cluster, max_steps=12)
    extend(cluster, endings=(endings.terminator("emmr"),))
    settle(cluster)
    assert view(cluster).trial_counts == {"completed": 36}


def test_a_study_never_waits_for_its_terminator() -> None:
    """1. A terminator is asked and hangs. 2. All trials come to their end. 3. Its word comes too late."""
    cluster = judging()
    wanted = until_judging(cluster)
    settle(cluster)
    assert view(cluster).trial_counts == {"completed": 36}
    assert sum(isinstance(event, JudgementWanted) for event in cluster.journal) == 1
    give(cluster, wanted, 0.0)
    assert view(cluster).ending == ""


def test_a_terminator_that_fails_is_told_and_after_some_tries_asked_no_more() -> None:
    cluster = judging()
    for failures in range(1, TRIES + 1):
        wanted = until_judging(cluster)
        command = FailJudgement(study=wanted.study, sequence=wanted.sequence, reason="took longer\nthan 60 s")
        cluster.tell(command)
        cluster.tell(command)
        often = "once" if failures == 1 else f"{failures} times"
        assert f"terminator regret_bound has failed {often}: took longer than 60 s" in view(cluster).reason
        cluster.restart_server()
    assert "It is asked no more" in view(cluster).endings[0]
    settle(cluster)
    assert sum(isinstance(event, JudgementWanted) for event in cluster.journal) == TRIES
    assert view(cluster).trial_counts == {"completed": 36}


@pytest.mark.parametrize(
    ("gain", "threshold", "words"),
    [
        (-1.0, None, "no improvement in 5 completed trials, patience 4"),
        (3.0, None, "no improvement in 1 completed trial, patience 4"),
        (1.0, 2.0, "no improvement in 3 completed trials, patience 4, of which 2 are to be left"),
    ],
)
def test_stagnation_is_told_in_trials(gain: float, threshold: float | None, words: str) -> None:
    terminator = endings.terminator("best_value_stagnation", threshold, min_trials=1, patience=4)
    cluster = running(terminator)
    wanted = until_judging(cluster)
    command = GiveJudgement(
        study=wanted.study, sequence=wanted.sequence, gain=gain, threshold=threshold or 0.0
    )
    cluster.tell(command)
    assert view(cluster).endings == (f"terminator best_value_stagnation: {words}",)


@pytest.mark.parametrize("gain", [float("nan"), float("inf")])
def test_an_estimate_that_is_no_number_is_a_failure(gain: float) -> None:
    cluster = judging()
    give(cluster, until_judging(cluster), gain)
    assert "has failed once: it has estimated" in view(cluster).endings[0]


@pytest.mark.parametrize("seed", range(4))
def test_a_restart_asks_a_terminator_the_same(seed: int) -> None:
    cluster = running(endings.terminator("emmr", min_trials=2), seed=seed)
    asked = 0
    for _ in range(300):
        rebuilt = Engine.restore(cluster.journal, SETTINGS, cluster.now)
        assert rebuilt.wanted() == cluster.engine.wanted()
        for wanted in judgements(cluster):
            asked += 1
            assert rebuilt.judgement_task(wanted) == cluster.engine.judgement_task(wanted)
            if cluster.random.random() < 0.05:
                give(cluster, wanted, 0.5)
        if not cluster.engine.state.active:
            break
        cluster.act()
    assert asked
