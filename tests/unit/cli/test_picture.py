from __future__ import annotations

from hippo_client.cli.picture import MOST_ROWS, draw
from hippo_core.engine.states import TrialState
from tests.unit.cli.pictures import snapshot, trial


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


def test_at_most_ten_rows_running_first_then_the_best() -> None:
    running = [trial(number, "running", 1, 0.1) for number in range(12)]
    paused = [trial(number, "paused", 3, number / 100) for number in range(12, 60)]
    picture = draw(snapshot([*running, *paused], best=20))
    assert len(picture.rows) == MOST_ROWS
    assert [row.state for row in picture.rows] == [TrialState.RUNNING] * 7 + [TrialState.PAUSED] * 3
    assert [row.trial for row in picture.rows[7:]] == [20, 59, 58], "the study's best, then by value"
    assert picture.rows_left_out == 50


def test_few_trials_are_all_shown() -> None:
    picture = draw(snapshot([trial(0, "waiting", 0), trial(1, "waiting", 0)]))
    assert [row.trial for row in picture.rows] == [0, 1]
    assert picture.rows_left_out == 0


def test_the_three_parameters_that_vary_most_are_shown_most_first() -> None:
    trials = [
        trial(n, "waiting", 0, None, {"a": 1, "b": n % 2, "c": n, "d": n // 2, "e": 7}) for n in range(6)
    ]
    assert draw(snapshot(trials)).parameter_names == ("c", "d", "b")


def test_a_conditional_parameter_that_a_trial_lacks_is_blank() -> None:
    trials = [trial(0, "waiting", 0, None, {"a": 1}), trial(1, "waiting", 0, None, {"a": 2, "b": 3})]
    assert [row.parameters for row in draw(snapshot(trials)).rows] == [("1", ""), ("2", "3")]
