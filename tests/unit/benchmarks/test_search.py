"""The benchmark of searches: its memo, its accounts, and that both its harnesses count alike."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from benchmarks.search import ours
from benchmarks.search.comparison import signed_rank
from benchmarks.search.memo import Memo, Memoised
from benchmarks.search.peers import Workers
from benchmarks.search.problems import PROBLEMS, Problem
from benchmarks.search.progress import Improvement, Progress, median
from hippo_core import policies, samplers


class Sums:
    """A network whose state is the sum of its rates, and which counts what it trains."""

    def __init__(self) -> None:
        self.trained = 0

    def identity(self) -> str:
        return "sums"

    def untrained(self) -> float:
        return 0.0

    def train(self, state: float, step: int, values: Any) -> float:
        self.trained += 1
        return state + (step + 1) * values["lr"]

    def losses(self, state: float) -> tuple[float, float]:
        return state, -state


@pytest.fixture
def problem(tmp_path: Path) -> Problem:
    """S2, whose trials share, with losses that cost nothing."""
    found = replace(PROBLEMS["S2"], make=Sums)
    found.__dict__["memo"] = Memo(tmp_path / "losses.sqlite")
    return found


def test_a_loss_is_that_of_its_history_and_trained_once(tmp_path: Path) -> None:
    """Equal histories are one, however they are asked for; another process finds them on disk."""
    network = Sums()
    memo = Memo(tmp_path / "losses.sqlite")
    response = Memoised(network, memo)
    runs = []
    for rates in ([0.1, 0.2, 0.3], [0.1, 0.2, 0.4], [0.1, 0.2, 0.3]):
        run = response.begin(0)
        for step, rate in enumerate(rates):
            run = response.train(run, step, {"lr": rate})
        runs.append(run)
    assert [response.losses(run)[0] for run in runs] == pytest.approx([1.4, 1.7, 1.4])
    assert network.trained == 6  # the third one has no step of its own; prefixes are trained for each run
    memo.write()
    other = Sums()
    again = Memoised(other, Memo(tmp_path / "losses.sqlite"))
    assert [again.losses(run) for run in runs] == [response.losses(run) for run in runs]
    assert other.trained == 0
    assert memo.lowest(3) == pytest.approx(1.4)
    assert memo.lowest(4) == math.inf


def test_values_of_other_names_or_steps_are_other_histories(tmp_path: Path) -> None:
    response = Memoised(Sums(), Memo(tmp_path / "losses.sqlite"))
    begun = response.begin(0)
    one, two = {"lr": 0.1, "momentum": 0.2}, {"lr": 0.2, "momentum": 0.1}
    histories = {
        response.train(begun, 0, one).history,
        response.train(begun, 0, two).history,
        response.train(begun, 0, {"lr": 0.1}).history,
        response.train(response.train(begun, 0, one), 1, one).history,
        begun.history,
    }
    assert len(histories) == 5


def test_the_digits_are_trained_alike_each_time_and_states_stay_as_they_are() -> None:
    network = PROBLEMS["S1"].make()
    begun = network.untrained()
    before = network.losses(begun)
    values = {"lr": 0.3, "momentum": 0.5}
    one, two = (network.train(begun, 0, values) for _ in range(2))
    assert network.losses(one) == network.losses(two) != before
    assert network.losses(begun) == before
    assert (
        network.losses(network.train(one, 1, {"lr": 1e6, "momentum": 0.9}))[0] <= 4.0
    )  # what diverges is bounded


@pytest.mark.parametrize("slots", [1, 3])
def test_both_harnesses_count_the_same_search_alike(problem: Problem, slots: int) -> None:
    """1. Hippo trains random points to the end. 2. Optuna is given the same ones. 3. All accounts agree."""
    trials = 12
    spec = ours.study(problem, policies.full(), samplers.random(), 7, trials, plain=False)
    found = ours.search(problem, spec, slots)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    asked = optuna.create_study(pruner=optuna.pruners.NopPruner())
    for number in range(trials):
        asked.enqueue_trial(dict(spec.point(number)))
    workers = Workers(problem, asked, slots)
    while workers.progress.full < trials:
        workers.go_on()
    assert found.full == workers.progress.full == trials
    assert found.alone == trials * problem.max_steps
    keys = {
        tuple(spec.sequence(spec.point(number)).key(step) for step in range(end + 1))
        for number in range(trials)
        for end in range(problem.max_steps)
    }
    assert found.trained == len(keys) < found.alone
    assert workers.progress.improvements[-1].loss == found.improvements[-1].loss
    if slots == 1:  # else others have begun on further points when the last of these comes to its end
        assert workers.progress.trained == len(keys)
        assert workers.progress.alone == found.alone


def test_a_loss_at_some_steps_is_that_of_the_best_full_trial_by_then() -> None:
    progress = Progress()
    for trained, alone, loss in [(27, 27, 0.9), (40, 54, 0.95), (60, 81, 0.7)]:
        progress.trained, progress.alone = trained, alone
        progress.finished(loss, -loss)
    assert progress.improvements == [Improvement(27, 27, 0.9, -0.9), Improvement(60, 81, 0.7, -0.7)]
    assert [progress.loss_at(at) for at in (26, 27, 59, 60)] == [math.inf, 0.9, 0.9, 0.7]
    assert progress.loss_at(60, alone=True) == 0.9
    assert progress.loss_at(100, test=True) == -0.7
    assert [progress.steps_to(loss) for loss in (0.9, 0.8, 0.6)] == [27, 60, math.inf]
    assert progress.steps_to(0.8, alone=True) == 81
    assert Progress.from_json(progress.to_json()) == progress


def test_no_result_ranks_behind_all_results() -> None:
    assert median([math.inf, 1.0, math.inf]) == math.inf
    assert median([math.inf, 1.0, 2.0, 3.0]) == 2.5
    assert signed_rank([1.0] * 8, [1.0] * 8) == 1.0
    assert signed_rank([0.1 * each for each in range(8)], [math.inf] * 8) < 0.05
