from __future__ import annotations

import json

from hippo_client.cli.live_progress import best_words, sharing_words
from hippo_client.cli.picture import MOST_ROWS, draw
from hippo_client.cli.summary import study_summary
from hippo_core.engine.states import TrialState
from hippo_wire.v1 import study_pb2
from tests.unit.cli.pictures import snapshot, trial
from tests.unit.client import messages


def test_the_header_tells_states_best_and_savings() -> None:
    picture = draw(snapshot([trial(0, "running", 4, 0.9), trial(1, "completed", 27, 0.97)], best=1))
    assert (picture.name, picture.state, picture.metric) == ("digits", "running", "accuracy")
    assert {state: count for state, count in picture.trials.items() if count} == {
        "running": 1,
        "completed": 1,
    }
    assert picture.best is not None
    assert (picture.best.number, picture.best_value) == (1, 0.97)
    assert picture.saved_fraction == 1 - 101 / 264
    assert picture.seconds_left == 30.0


def test_a_failed_study_saved_nothing() -> None:
    """Its trials share the steps that led to no result: nobody was spared anything."""
    failed = snapshot([trial(0, "failed", 4), trial(1, "failed", 4)], state=study_pb2.STUDY_STATE_FAILED)
    assert failed.study.savings.steps_without_sharing > failed.study.savings.steps_trained
    assert draw(failed).saved_fraction is None
    assert sharing_words(draw(failed)) == "101 trained"
    assert study_summary(failed.study).splitlines() == [
        "Study digits failed: 2 trials, 2 failed.",
        "`hippo trial ls digits` tells why 2 trials failed.",
        "",
        "Trained: 101 steps in 17.1 slot seconds.",
    ]


def test_nothing_is_said_of_sharing_where_a_failed_study_trained_nothing() -> None:
    failed = snapshot([trial(0, "failed", 4)], state=study_pb2.STUDY_STATE_FAILED).study
    failed.savings.steps_trained = 0
    assert study_summary(failed).splitlines() == [
        "Study digits failed: 1 trial, 1 failed.",
        "`hippo trial ls digits` tells why 1 trial failed.",
    ]


def test_a_study_whose_steps_had_all_been_trained_saved_all() -> None:
    known = snapshot([trial(0, "completed", 27, 0.9)], state=study_pb2.STUDY_STATE_COMPLETED)
    known.study.savings.steps_trained = 0
    assert sharing_words(draw(known)) == "0 trained, 264 without sharing · 100% saved"


def test_what_is_infeasible_comes_after_what_is_not() -> None:
    trials = [trial(number, "completed", 27, number / 10) for number in range(4)]
    for each, violated in zip(trials, [0.0, 0.0, 0.1, 0.5], strict=True):
        each.violation = violated
    picture = draw(snapshot(trials, best=1))
    assert [row.trial for row in picture.rows] == [1, 0, 2, 3]
    assert best_words(picture) == "accuracy 0.1 · trial 1 at step 27 · feasible"
    front = draw(snapshot([trials[2], trials[3]], front=[2]))
    assert best_words(front) == "1 in the front · infeasible by 0.1"


def test_at_most_ten_rows_running_first_then_the_best() -> None:
    running = [trial(number, "running", 1, 0.1) for number in range(12)]
    paused = [trial(number, "paused", 3, number / 100) for number in range(12, 60)]
    picture = draw(snapshot([*running, *paused], best=20))
    assert len(picture.rows) == MOST_ROWS
    assert [row.state for row in picture.rows] == [TrialState.RUNNING] * 7 + [TrialState.PAUSED] * 3
    assert [row.trial for row in picture.rows[7:]] == [20, 59, 58], "the study's best, then by value"
    assert picture.rows_left_out == 50


def test_with_several_objectives_the_front_leads_and_is_marked() -> None:
    trials = [trial(number, "completed", 27, number / 100) for number in range(40)]
    picture = draw(snapshot(trials, front=[20, 7, 3]))
    assert picture.front == 3
    assert [row.trial for row in picture.rows[:4]] == [20, 7, 3, 39]
    assert [row.trial for row in picture.rows if row.best] == [20, 7, 3]
    assert best_words(picture) == "3 in the front"


def test_few_trials_are_all_shown() -> None:
    picture = draw(snapshot([trial(0, "waiting", 0), trial(1, "waiting", 0)]))
    assert [row.trial for row in picture.rows] == [0, 1]
    assert picture.rows_left_out == 0


def test_the_three_parameters_that_vary_most_are_shown_most_first() -> None:
    trials = [
        trial(n, "waiting", 0, None, {"a": 1, "b": n % 2, "c": n, "d": n // 2, "e": 7}) for n in range(6)
    ]
    picture = draw(snapshot(trials))
    assert picture.parameter_names == ("c", "d", "b")
    assert picture.varying_count == 3


def test_a_parameter_that_only_some_trials_have_varies() -> None:
    trials = [trial(0, "waiting", 0, None, {"a": 1}), trial(1, "waiting", 0, None, {"a": 1, "b": 3})]
    picture = draw(snapshot(trials))
    assert (picture.parameter_names, picture.varying_count) == (("b", "a"), 1)


def test_a_conditional_parameter_that_a_trial_lacks_is_blank() -> None:
    trials = [trial(0, "waiting", 0, None, {"a": 1}), trial(1, "waiting", 0, None, {"a": 2, "b": 3})]
    assert [row.parameters for row in draw(snapshot(trials)).rows] == [("1", ""), ("2", "3")]


def test_nothing_is_estimated_where_nothing_is_trained() -> None:
    idle = snapshot([trial(0, "waiting", 2)], reason="no worker is there")
    idle.study.slots_busy = idle.study.slots_total = 0
    assert draw(idle).seconds_left is None
    assert draw(idle).reason.startswith("no worker is there; `hippo")


def test_a_paused_study_tells_how_it_goes_on_and_not_when_it_will_be_done() -> None:
    paused = snapshot([trial(0, "waiting", 2)], state=study_pb2.STUDY_STATE_PAUSED, reason="paused by a user")
    assert draw(paused).seconds_left is None
    assert study_summary(paused.study).splitlines()[:2] == [
        "Study digits paused: 1 trial, 1 waiting.",
        "paused by a user; `hippo study resume digits` goes on",
    ]


def test_trials_beside_max_trials_are_told() -> None:
    """Forks and enqueued points are trials that the study's max_trials does not count."""
    spec = json.dumps({**json.loads(messages.SPEC), "max_trials": 2})
    told = messages.study(spec_json=spec, trial_counts={"completed": 2, "stopped": 3})
    first = study_summary(told).splitlines()[0]
    assert first == "Study digits running: 5 trials, 3 of them beside max_trials=2, 2 completed, 3 stopped."
