"""Endings as values: what they take, what they refuse, and what a study with them is."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from hippo_core import endings, space
from hippo_core.errors import InvalidStudy
from hippo_core.objective import Objective
from hippo_core.study import StudySpec
from hippo_core.study_changes import differences, extended, extends
from tests.studies import study

ALL = (
    endings.timeout(hours=1, minutes=30, seconds=1.5),
    endings.max_slot_hours(40),
    endings.max_trained_steps(1728),
    endings.target(0.97),
    endings.plateau(patience=10, min_change=0.001),
    endings.terminator("emmr", threshold=0.01, min_trials=30),
)


def spec(*given: endings.Ending, **changes: object) -> StudySpec:
    return study({"x": space.uniform(0, 1)}, endings=given, **changes)


def test_a_timeout_adds_its_units() -> None:
    assert ALL[0] == endings.Timeout(seconds=5401.5)


def test_they_survive_json_in_their_order_whatever_the_order_given() -> None:
    made = spec(*reversed(ALL))
    assert made.endings == ALL
    assert StudySpec.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert made == spec(*ALL)


def test_an_ending_is_found_by_its_kind() -> None:
    assert spec(*ALL).ending(endings.Target) == endings.target(0.97)
    assert spec().ending(endings.Target) is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: endings.timeout(), "endings.timeout: 0 seconds end no study"),
        (lambda: endings.timeout(hours=-1), r"endings.timeout.hours: must be at least 0, not -1"),
        (lambda: endings.timeout(max_time=3), "has no argument 'max_time'.*hours, minutes or seconds"),
        (lambda: endings.max_slot_hours(0), r"max_slot_hours.hours: must be more than 0, not 0"),
        (lambda: endings.max_trained_steps(0), r"max_trained_steps.steps: must be at least 1, not 0"),
        (lambda: endings.max_trained_steps(2.5), r"max_trained_steps.steps: must be an int, not 2.5"),
        (lambda: endings.max_trained_steps(budget=9), "has no argument 'budget'.*Use steps"),
        (lambda: endings.target("high"), "endings.target.value: must be a number"),
        (lambda: endings.target(float("nan")), "endings.target.value"),
        (lambda: endings.plateau(0), "endings.plateau.patience: must be at least 1, not 0"),
        (lambda: endings.plateau(3, -0.5), r"min_change: must be at least 0, not -0.5"),
        (lambda: endings.plateau(trials=3), "has no argument 'trials'.*Use patience"),
        (lambda: endings.terminator("RegretBoundEvaluator"), "there is no .*Use 'regret_bound'"),
        (
            lambda: endings.terminator("best_value_stagnation"),
            "patience: is needed of 'best_value_stagnation'",
        ),
        (lambda: endings.terminator(patience=3), "patience: is no matter of 'regret_bound'"),
        (lambda: endings.terminator(threshold=-1), "threshold: must be at least 0, not -1"),
        (lambda: endings.terminator(min_n_trials=3), "has no argument 'min_n_trials'.*Use min_trials"),
    ],
)
def test_what_ends_no_study_is_refused_in_words(make: Callable[[], object], words: str) -> None:
    with pytest.raises(InvalidStudy, match=words):
        make()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (endings.target(1), "endings: must be a list"),
        ("target", "endings: must be a list"),
        ([endings.plateau], r"is no ending.*Call it: endings.plateau\(...\)"),
        ([0.97], r"0.97 is no ending.*endings.target\(0.97\)"),
        ([endings.target(1), endings.target(2)], "target is there twice"),
    ],
)
def test_what_is_no_list_of_different_endings_is_refused(given: object, words: str) -> None:
    with pytest.raises(InvalidStudy, match=words):
        endings.checked(given)


@pytest.mark.parametrize("json", [{}, [{"ending": "goal"}], ["target"], [{"ending": "target", "step": 3}]])
def test_json_that_is_no_list_of_endings_is_refused(json: object) -> None:
    with pytest.raises(InvalidStudy):
        endings.from_json(json)


@pytest.mark.parametrize("ending", ALL[3:])
def test_with_several_objectives_what_looks_at_values_is_refused(ending: endings.Ending) -> None:
    several = (Objective(metric="a", maximize=True), Objective(metric="b", maximize=False))
    with pytest.raises(InvalidStudy, match=f"{ending.word} looks at one objective, but there are 2: a, b"):
        spec(ending, objectives=several)
    spec(*ALL[:3], objectives=several)


def test_other_endings_extend_a_study_and_are_no_conflict() -> None:
    before = spec(endings.target(0.9), endings.timeout(hours=1))
    assert extends(spec(endings.target(0.95)), before)
    assert differences(spec(endings.target(0.95)), before)
    changed = extended(before, endings=[endings.timeout(hours=2)])
    assert changed.endings == (endings.timeout(hours=2), endings.target(0.9))
    assert extended(before, priority=1).endings == before.endings
