"""Points that a person writes, read as assignments."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippo_core import samplers, schedules, space
from hippo_core.errors import InvalidStudy
from hippo_core.points import point_to_json, read_point
from hippo_core.space import Space
from tests.studies import study

RATE = space.loguniform(1e-4, 5e-2)
EVERYTHING: dict[str, Any] = {
    "lr": space.choice(
        [
            0.1,
            schedules.cosine(0.1, 0.0, period=24),
            schedules.piecewise([0.1, RATE], milestones=[9]),
            schedules.warmup(3, schedules.exponential(space.uniform(0.1, 1.0), 0.5)),
        ]
    ),
    "batch_size": space.choice([32, schedules.piecewise([32, 128], milestones=[18])]),
    "momentum": 0.9,
    "betas": space.choice([(0.9, 0.99), (0.9, 0.999)]),
    "width": space.logint(4, 512),
    "drop": space.quniform(0.0, 0.5, 0.1),
    "optimizer": space.choice(
        [
            {"name": "sgd", "momentum": space.uniform(0.0, 0.99), "nesterov": space.choice([True, False])},
            {"name": "adam", "extra": {"eps": space.choice([1e-8, 1e-6])}},
            {"name": "lion"},
        ]
    ),
}


@given(st.integers(0, 10_000))
def test_what_a_trial_has_can_be_given_back(number: int) -> None:
    """Its hyper-parameters, through JSON, read as a point, are what was drawn for it."""
    spec = study(EVERYTHING, sampler=samplers.random(), max_trials=1)
    assignment = samplers.random().point(spec.space, 0, number)
    shown = json.loads(json.dumps(spec.hyperparameters(assignment)))
    read = read_point(spec.space, shown, "initial[0]")
    assert spec.hyperparameters(read) == spec.hyperparameters(assignment)
    assert read == assignment


def read(searched: dict[str, Any], point: Any) -> dict[str, Any]:
    return read_point(Space(searched), point, "initial[0]")


def test_a_point_is_written_as_the_space_is() -> None:
    found = read(
        EVERYTHING,
        {
            "lr": schedules.piecewise([0.1, 0.02], milestones=[9]),
            "batch_size": 32,
            "betas": (0.9, 0.999),
            "width": 64,
            "drop": 0.3,
            "optimizer": {"name": "adam", "extra": {"eps": 1e-6}},
        },
    )
    assert found == {
        "lr": 2,
        "lr/2/values/1": 0.02,
        "batch_size": 0,
        "betas": 1,
        "width": 64,
        "drop": 0.3,
        "optimizer": 1,
        "optimizer/1.extra.eps": 1,
    }


@given(st.integers(0, 10_000))
def test_a_point_written_as_json_reads_as_itself(number: int) -> None:
    """Schedules, tuples and what NumPy holds are written such that the same point is read."""
    spec = study(EVERYTHING, sampler=samplers.random(), max_trials=1)
    assignment = samplers.random().point(spec.space, 0, number)
    point = {
        name: np.float64(part) if isinstance(part, float) else part
        for name, part in spec.space.resolve(assignment).items()
    }
    written = json.loads(json.dumps(point_to_json(point, "point")))
    assert read_point(spec.space, written, "point") == read_point(spec.space, point, "point") == assignment


def test_names_may_be_nested_or_joined() -> None:
    searched = {"a": {"b": space.uniform(0, 1)}}
    assert read(searched, {"a": {"b": 0.5}}) == read(searched, {"a.b": 0.5}) == {"a.b": 0.5}


def test_one_draw_that_stands_in_two_places_has_one_value() -> None:
    rate = space.uniform(0, 1)
    searched = {"a": rate, "b": schedules.exponential(rate, 0.5)}
    assert read(searched, {"a": 0.5, "b": schedules.exponential(0.5, 0.5)}) == {"a": 0.5}
    with pytest.raises(InvalidStudy, match=r"'a' is one draw, but is given as 0\.5 and as 0\.25"):
        read(searched, {"a": 0.5, "b": schedules.exponential(0.25, 0.5)})


SMALL = {"x": space.uniform(0, 1), "c": space.choice([1, 2]), "fixed": 3, "q": space.quniform(0, 1, 0.25)}
GOOD = {"x": 0.5, "c": 2, "q": 0.25}


@pytest.mark.parametrize(
    ("point", "field", "words"),
    [
        (3, "initial[0]", "must be a dict"),
        ({1: 2}, "initial[0]", "names are text"),
        ({**GOOD, "y": 1}, "initial[0]['y']", "no such hyper-parameter"),
        ({"c": 2, "q": 0.25}, "initial[0]['x']", "is missing"),
        ({**GOOD, "x": 2}, "initial[0]['x']", "2 is not within 0.0 and 1.0"),
        ({**GOOD, "x": "much"}, "initial[0]['x']", "must be a number"),
        ({**GOOD, "c": 3}, "initial[0]['c']", "3 is none of its options"),
        ({**GOOD, "c": True}, "initial[0]['c']", "True is none of its options"),
        ({**GOOD, "q": 0.3}, "initial[0]['q']", "0.3 is none of 0.0 + k * 0.25"),
        ({**GOOD, "fixed": 4}, "initial[0]['fixed']", "is 3 in every trial, not 4"),
        ({**GOOD, "c": schedules.cosine(1, 0, 3)}, "initial[0]['c']", "this cosine is none"),
    ],
)
def test_a_wrong_point_names_the_place(point: Any, field: str, words: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        read(SMALL, point)
    assert caught.value.field == field
    assert words in str(caught.value)


def test_an_unknown_name_is_told_with_what_is_missing() -> None:
    with pytest.raises(
        InvalidStudy, match=r"\['x'\]: is missing; and there is no hyper-parameter 'xx'"
    ) as caught:
        read(SMALL, {"c": 2, "q": 0.25, "xx": 0.5})
    assert caught.value.field == "initial[0]['x']"
    assert "x" in caught.value.hint


def test_a_schedule_whose_fixed_part_is_another_is_told_what_to_write_there() -> None:
    searched = {"lr": schedules.piecewise([0.05, space.uniform(0, 1)], milestones=[3])}
    with pytest.raises(InvalidStudy) as caught:
        read(searched, {"lr": schedules.piecewise([0.2, 0.5], milestones=[3])})
    assert caught.value.message == "initial[0]['lr']: its values/0 is 0.05 in every trial, not 0.2"
    assert caught.value.hint == "Write 0.05 there, as in the space."
    read(searched, {"lr": schedules.piecewise([0.05, 0.5], milestones=[3])})


def test_a_number_where_a_schedule_is_is_told_the_form_of_one_that_is_read() -> None:
    searched = {"lr": schedules.piecewise([space.choice([0.5, 1.0]), space.uniform(0.25, 1)], [3])}
    with pytest.raises(InvalidStudy) as caught:
        read(searched, {"lr": 0.3})
    told = '{"schedule": "piecewise", "values": [0.5, 0.25], "milestones": [3]}'
    assert caught.value.hint == f"Write it like {told}."
    read(searched, {"lr": json.loads(told)})


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (space.uniform(0, 1), "this piecewise is no number, as the space has one here."),
        (space.integer(0, 1), "this piecewise is no number, as the space has one here."),
        (space.choice([0.25, 0.5]), "this piecewise is none of its options. Write it as in the space."),
        (schedules.cosine(space.uniform(0, 1), 0, 3), "this piecewise is not a cosine as in the space."),
    ],
)
def test_a_forked_trial_is_no_point_and_the_remedy_is_told(part: Any, words: str) -> None:
    forked = {"schedule": "piecewise", "values": [0.5, 0.25], "milestones": [3]}
    with pytest.raises(InvalidStudy) as caught:
        read({"x": part}, {"x": forked})
    remedy = (
        "The schedules of a forked trial are no part of the space: give what held before or after the fork."
    )
    assert str(caught.value) == f"initial[0]['x']: {words} {remedy}"


def test_constants_may_be_given_if_they_are_right() -> None:
    assert read(SMALL, {**GOOD, "fixed": 3.0}) == {"c": 1, "q": 0.25, "x": 0.5}


def test_a_sub_space_is_given_whole() -> None:
    with pytest.raises(InvalidStudy, match="fits none of its sub-spaces"):
        read({"o": space.choice([{"a": space.uniform(0, 1)}, {"b": 1}])}, {"o": {"a": 2.0}})


def test_a_point_satisfies_the_constraints() -> None:
    searched = {**SMALL, "rule": space.constraint("x < q")}
    with pytest.raises(InvalidStudy, match=r"initial\[0\]: does not satisfy 'x < q'"):
        read(searched, GOOD)
