"""Paths that end early: because a trial diverges, because nobody needs them, because what follows is not known."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hippo_core import schedules, space
from hippo_core.errors import InvalidStudy
from hippo_core.objective import Objective
from hippo_core.simulation import Costs, Host, PowerLaw, RecordedMetrics, simulate
from hippo_core.study import StudySpec
from tests.studies import grid

LOSS = Objective(metric="loss", maximize=False)
HOSTS = [Host(name="host", slots=2)]
Curve = tuple[float, list[float]]


def recorded(*curves: Curve) -> RecordedMetrics:
    """By constant learning rate, the accuracies after each step."""
    return RecordedMetrics(
        ([{"lr": rate}] * len(seen), {step: {"accuracy": value} for step, value in enumerate(seen, start=1)})
        for rate, seen in curves
    )


def rates(*values: Any, **changes: Any) -> StudySpec:
    return grid({"lr": space.choice(list(values))}, **{"max_steps": 9, **changes})


@pytest.mark.parametrize("save_seconds", [0.0, 0.5])
def test_a_trial_that_diverges_is_trained_no_further(save_seconds: float) -> None:
    """1. A trial diverges at step 4, before anything is saved. 2. Its slot is free then; the other goes on."""
    response = recorded((0.1, [0.1, 0.2, 0.3, math.nan]), (0.2, [0.5] * 9))
    costs = Costs(save_seconds=save_seconds)
    found = simulate([rates(0.1, 0.2)], HOSTS, response=response, costs=costs, checked=True)
    assert found.studies[0].trials == {"completed": 1, "diverged": 1}
    assert found.steps_trained == 4 + 9
    assert found.makespan_seconds == 9 + save_seconds
    assert found.slot_seconds["lost"] == 0


def test_where_one_of_two_that_share_diverges_the_other_is_trained_on() -> None:
    """1. Two trials part at step 6. 2. Their trunk is not finite at step 4: both end. 3. A third trial does not."""
    forked = schedules.piecewise([0.1, 0.01], [6])
    response = recorded((0.1, [0.1, 0.2, 0.3, math.inf]), (0.2, [0.5] * 9))
    found = simulate([rates(0.1, forked, 0.2)], HOSTS, response=response, checked=True)
    assert found.studies[0].trials == {"completed": 1, "diverged": 2}
    assert found.steps_trained == 4 + 9


def test_a_study_whose_objective_is_not_reported_fails_and_frees_its_slots() -> None:
    found = simulate([rates(0.1)], HOSTS, response=PowerLaw([LOSS]), checked=True)
    assert found.studies[0].state == "failed"
    assert found.studies[0].trials == {"failed": 1}
    assert found.steps_trained == 1


def test_what_is_not_known_matters_only_when_its_time_comes() -> None:
    """1. What follows step 5 is not recorded. 2. With steps enough for the study nobody asks for it."""
    response = recorded((0.1, [0.5] * 5))
    assert simulate([rates(0.1, max_steps=5)], HOSTS, response=response).steps_trained == 5
    with pytest.raises(InvalidStudy, match="no metrics are recorded for step 5"):
        simulate([rates(0.1, max_steps=6)], HOSTS, response=response)
