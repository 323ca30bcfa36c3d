"""Random and quasi-random points without copies, and what is one and the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import samplers, schedules, space
from hippo_core.errors import InvalidStudy
from hippo_core.static_plan import plan_studies
from hippo_core.study import StudySpec
from tests.studies import study

RATES = [
    0.1,
    schedules.piecewise([0.1, 0.1], milestones=[2]),
    schedules.piecewise([0.1, 0.1], milestones=[4]),
    schedules.piecewise([0.1, 0.2], milestones=[30]),
    schedules.multistep(0.1, gamma=0.1, milestones=[5]),
    schedules.piecewise([0.1, 0.01], milestones=[5]),
    schedules.cosine(0.1, 0.0, period=27),
]
"""Of 27 steps; four are one, two are one."""

SPACE: dict[str, Any] = {
    "lr": space.choice(RATES),
    "batch": space.choice([32, schedules.piecewise([32, 64], milestones=[9])]),
}


def values(made: StudySpec, point: Any) -> str:
    """All values of a trial, by brute force."""
    sequence = made.sequence(point)
    return json.dumps([sorted(sequence.values(step).items()) for step in range(made.max_steps_of(point))])


@pytest.mark.parametrize("sampler", [samplers.random(), samplers.qmc()], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_a_finite_space_is_drawn_without_copies_as_long_as_there_are_points(
    sampler: samplers.Sampler, seed: int
) -> None:
    made = study(SPACE, sampler=sampler, max_trials=50, program_changes={"seed": seed})
    assert made.known_trials == 6
    found = [values(made, made.point(number)) for number in range(6)]
    assert len(set(found)) == 6
    with pytest.raises(InvalidStudy, match="there is no trial 6: the space has 6 points"):
        made.point(6)
    again = StudySpec.from_json(json.loads(json.dumps(made.to_json())))
    assert [again.point(number) for number in reversed(range(6))][::-1] == [
        made.point(number) for number in range(6)
    ]
    assert plan_studies([made]).studies[0].counts.trials == 6
    assert any(
        "max_trials=50, but the space has 6 points: none is tried twice" in words for words in made.warnings
    )


def test_the_first_points_are_those_that_were_drawn_anyway() -> None:
    wide = {f"x{index}": space.integer(0, 9) for index in range(4)}
    made = study(wide, max_trials=30)
    drawn = [dict(samplers.random().point(made.space, 0, number)) for number in range(30)]
    assert [made.point(number) for number in range(30)] == drawn


def test_given_points_are_not_drawn_again_and_their_copies_stand() -> None:
    made = study({"x": space.choice([1, 2, 3])}, max_trials=9, initial=[{"x": 1}, {"x": 1}])
    assert made.known_trials == 4
    assert [made.point(number)["x"] for number in range(2)] == [1, 1]
    assert sorted(made.point(number)["x"] for number in (2, 3)) == [0, 2]


def test_where_every_trial_has_a_continuous_draw_there_is_always_another_point() -> None:
    made = study({"x": space.uniform(0, 1), "c": space.choice([1, 2])}, max_trials=10**6)
    assert made.known_trials == 10**6
    assert made.point(999_999) == samplers.random().point(made.space, 0, 999_999)


def test_constraints_hold_for_what_is_listed_at_last() -> None:
    bound = {"a": space.integer(1, 30), "b": space.integer(1, 30), "rule": space.constraint("a + b < 6")}
    made = study(bound, max_trials=100)
    found = [made.point(number) for number in range(made.known_trials)]
    assert sorted((each["a"], each["b"]) for each in found) == sorted(
        (a, b) for a in range(1, 5) for b in range(1, 5) if a + b < 6
    )


@settings(max_examples=60)
@given(st.integers(0, 6), st.integers(0, 6), st.integers(1, 40))
def test_equal_identities_are_equal_values(one: int, other: int, steps: int) -> None:
    made = study({"lr": space.choice(RATES)}, max_steps=steps)
    points = {"lr": one}, {"lr": other}
    identities = [made.identity(point) for point in points]
    if identities[0] == identities[1]:
        assert values(made, points[0]) == values(made, points[1])
    elif 6 not in (one, other):  # a law that is no constant may have a constant's values for a few steps
        assert values(made, points[0]) != values(made, points[1])
