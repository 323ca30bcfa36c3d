"""Policies that watch curves are told of every evaluation when its time has come, as in production."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hippo_core import endings, policies, schedules, space
from hippo_core.simulation import Costs, Host, RecordedMetrics, simulate
from hippo_core.study import StudySpec
from tests.studies import grid

HOSTS = [Host(name="host", slots=2)]


def recorded(curves: dict[float, list[float]]) -> RecordedMetrics:
    """By constant learning rate, the accuracies after each step."""
    return RecordedMetrics(
        ([{"lr": rate}] * len(seen), {step: {"accuracy": value} for step, value in enumerate(seen, start=1)})
        for rate, seen in curves.items()
    )


def rates(policy: policies.PolicySpec, *values: float) -> StudySpec:
    return grid({"lr": space.choice(list(values))}, max_steps=9, policy=policy)


def test_a_trial_below_the_threshold_is_stopped_at_that_step() -> None:
    """1. A trial falls at step 4. 2. Nothing beyond is recorded, so that a step more would be an error."""
    response = recorded({0.1: [0.5, 0.5, 0.5, 0.1], 0.2: [0.5] * 9})
    policy = policies.threshold_stopping(threshold=0.3)
    found = simulate([rates(policy, 0.1, 0.2)], HOSTS, response=response, checked=True)
    assert found.studies[0].trials == {"completed": 1, "stopped": 1}
    assert found.steps_trained == 4 + 9
    assert found.slot_seconds == {
        "training": 13.0, "evaluation": 0.0, "save": 0.0, "load": 0.0, "setup": 0.0, "idle": 5.0, "lost": 0.0,
    }  # fmt: skip


def test_a_stop_in_the_middle_of_a_step_ends_the_path_after_it() -> None:
    """1. A quick trial is half through its second step when a slow one reaches the study's target, at 3 seconds. 2. It
    is stopped when its step ends, at 4. Another study goes on meanwhile."""
    response = recorded({0.1: [0.1, 0.1], 0.2: [0.9], 0.3: [0.5] * 9})
    costs = Costs(step_seconds=lambda values: 2.0 if values["lr"] == 0.1 else 3.0)
    spec = replace(rates(policies.full(), 0.1, 0.2), endings=(endings.target(0.8),))
    other = replace(rates(policies.full(), 0.3), name="other")
    hosts = [Host(name="host", slots=3)]
    found = simulate([spec, other], hosts, response=response, costs=costs, checked=True)
    assert found.studies[0].trials == {"completed": 1, "stopped": 1}
    assert found.steps_trained == 2 + 1 + 9
    assert found.slot_seconds["training"] == 2 * 2.0 + (1 + 9) * 3.0
    assert max(span.end for span in found.spans if span.fence == 1) == 4e9


@pytest.mark.parametrize("sharing", [True, False])
def test_a_trunk_is_trained_on_for_those_that_are_not_stopped(sharing: bool) -> None:
    """1. Two trials part at step 3, and one loses patience at step 6. 2. The other is trained to its end."""
    forked = schedules.piecewise([0.1, 0.01], [3])
    spec = grid({"lr": space.choice([0.1, forked])}, max_steps=9, policy=policies.patience(evaluations=3))
    stays = [{"lr": 0.1}] * 9
    parts = [{"lr": 0.1}] * 3 + [{"lr": 0.01}] * 6
    response = RecordedMetrics(
        [
            (stays[:6], {step: {"accuracy": min(step, 3) / 10} for step in range(1, 7)}),
            (parts, {step: {"accuracy": step / 10} for step in range(1, 10)}),
        ]
    )
    found = simulate([spec], HOSTS, response=response, sharing=sharing, checked=True)
    assert found.studies[0].trials == {"completed": 2}
    assert found.steps_without_sharing == 6 + 9
    assert found.steps_trained == (6 + 6 if sharing else 6 + 9)
