"""What Optuna's terminators say of a history: a function of the task alone, and what Optuna's own study says."""

from __future__ import annotations

import json
import math
from typing import Any

import optuna
import pytest
from optuna import terminator as theirs

from hippo_core import endings, samplers, space
from hippo_core.engine.proposals import PastTrial
from hippo_core.engine.states import TrialState
from hippo_core.engine.terminators import JudgementTask
from hippo_core.objective import Objective
from hippo_core.study import StudySpec
from hippo_server.proposals.judging import judge, require_terminator
from hippo_server.proposals.messages import encode, judgement_message, judgement_of
from tests.studies import study

SEARCHED = {"x": space.uniform(-5, 5), "k": space.choice(["a", "b"])}


def spec(terminator: endings.Terminator, entries: Any = None, maximize: bool = False) -> StudySpec:
    return study(
        SEARCHED if entries is None else entries,
        sampler=samplers.random(),
        objectives=(Objective(metric="loss", maximize=maximize),),
        endings=(terminator,),
        max_trials=100,
    )


def history(study_spec: StudySpec, count: int, sign: float = 1.0) -> tuple[PastTrial, ...]:
    """A search that comes closer and closer to the middle."""
    found = []
    for number in range(count):
        assignment = {**study_spec.point(number)}
        if "x" in assignment:
            assignment["x"] = assignment["x"] / (1 + number)
        value = sign * (assignment.get("x", 0.1 * number) ** 2 + 0.1)
        found.append(
            PastTrial(
                trial=number,
                assignment=assignment,
                notes={},
                state=TrialState.COMPLETED,
                values={1: (9.0,), 9: (value,)},
                reached=9,
                sequence=number + 1,
            )
        )
    return tuple(found)


def task(terminator: endings.Terminator, count: int = 24, **changes: Any) -> JudgementTask:
    made = spec(terminator, **changes)
    sign = -1.0 if made.objectives[0].maximize else 1.0
    return JudgementTask(spec=made, terminator=terminator, history=history(made, count, sign))


def told(values: list[float], improvement: Any, error: Any) -> bool:
    """Whether Optuna itself would stop a study that has come to these values."""
    made = optuna.create_study(direction="minimize")
    for value in values:
        made.add_trial(
            optuna.trial.create_trial(
                params={"x": value},
                distributions={"x": optuna.distributions.FloatDistribution(-5, 5)},
                value=value,
            )
        )
    return bool(theirs.Terminator(improvement, error, min_n_trials=1).should_terminate(made))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", range(1, 8))
def test_stagnation_is_optuna_s(count: int) -> None:
    values = [3.0, 1.0, 2.0, 0.5, 0.9, 0.8, 0.7][:count]
    terminator = endings.terminator("best_value_stagnation", patience=2)
    made = spec(terminator, {"x": space.uniform(-5, 5)})
    seen = tuple(
        PastTrial(
            trial=number,
            assignment={"x": value},
            notes={},
            state=TrialState.COMPLETED,
            values={9: (value,)},
            reached=9,
            sequence=number + 1,
        )
        for number, value in enumerate(values)
    )
    gain, threshold = judge(JudgementTask(spec=made, terminator=terminator, history=seen))
    expected = told(values, theirs.BestValueStagnationEvaluator(2), theirs.StaticErrorEvaluator(0))
    assert (gain < threshold) is expected
    assert threshold == 0.0


@pytest.mark.parametrize("improvement", ["regret_bound", "emmr"])
def test_a_judgement_is_a_function_of_the_task(improvement: Any) -> None:
    terminator = endings.terminator(improvement, threshold=0.25, min_trials=5)
    asked = task(terminator)
    gain, threshold = judge(asked)
    assert math.isfinite(gain)
    assert threshold == 0.25
    assert judge(asked) == (gain, threshold)
    line = json.loads(encode(judgement_message(asked)))
    assert judge(judgement_of(line, asked.spec)) == (gain, threshold)


@pytest.mark.parametrize("improvement", ["regret_bound", "emmr"])
def test_the_direction_is_the_study_s(improvement: Any) -> None:
    terminator = endings.terminator(improvement, threshold=0.25, min_trials=5)
    down, up = judge(task(terminator)), judge(task(terminator, maximize=True))
    assert down == pytest.approx(up, rel=1e-3)


def test_less_can_be_gained_the_further_a_search_has_come() -> None:
    terminator = endings.terminator("regret_bound", threshold=0.25, min_trials=5)
    early, _ = judge(task(terminator, count=6))
    late, _ = judge(task(terminator, count=60))
    assert late < early


def test_without_a_threshold_optuna_s_median_rule_waits_for_thirty_trials() -> None:
    terminator = endings.terminator("emmr", min_trials=5)
    _, threshold = judge(task(terminator, count=29))
    assert threshold < 0
    _, threshold = judge(task(terminator, count=30))
    assert threshold > 0


def test_what_optuna_cannot_judge_is_an_error() -> None:
    with pytest.raises(ValueError, match="no trial has been completed"):
        judge(task(endings.terminator("regret_bound", threshold=0.1), count=0))


def test_what_is_installed_here_suffices() -> None:
    for terminator in (
        endings.terminator(),
        endings.terminator("emmr"),
        endings.terminator("best_value_stagnation", patience=3),
    ):
        require_terminator(terminator)
