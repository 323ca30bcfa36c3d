from __future__ import annotations

from typing import Any

import pytest

from hippo_core.words import (
    counts,
    duration,
    exact_hyperparameter,
    hyperparameter,
    number,
    percent,
    plural,
    short_hyperparameter,
    time_taken,
)

MULTISTEP = {"schedule": "multistep", "initial": 0.05, "gamma": 0.1, "milestones": [9, 18]}


@pytest.mark.parametrize(
    ("value", "words", "short"),
    [
        (32, "32", "32"),
        (0.1, "0.1", "0.1"),
        (True, "True", "True"),
        (None, "None", "None"),
        ("adam", "adam", "adam"),
        ([3, 3], "[3, 3]", "[3, 3]"),
        (MULTISTEP, "multistep(0.05, gamma=0.1, milestones=[9, 18])", "multistep(0.05, 0.1, [9, 18])"),
        (
            {"schedule": "warmup", "period": 3, "after": MULTISTEP, "initial": 0.0},
            "warmup(3, multistep(0.05, gamma=0.1, milestones=[9, 18]), initial=0)",
            "warmup(3, multistep(0.05, 0.1, [9, 18]), 0)",
        ),
        (
            {"schedule": "table", "values": list(range(120))},
            "table([0, 1, 2, 3, ..., 119; 120 values])",
            "table([0, 1, 2, 3, ..., 119; 120 values])",
        ),
        (
            {"schedule": "table", "values": [{"domain": "uniform", "low": 0.1, "high": 0.9, "name": "x"}, 1]},
            "table([uniform(0.1, 0.9), 1])",
            "table([uniform(0.1, 0.9), 1])",
        ),
        (
            {"domain": "choice", "options": [0.1, MULTISTEP], "type": "float"},
            "choice([0.1, multistep(0.05, gamma=0.1, milestones=[9, 18])], type=float)",
            "choice([0.1, multistep(0.05, 0.1, [9, 18])], type=float)",
        ),
    ],
)
def test_hyperparameters_read_as_in_the_study_file(value: Any, words: str, short: str) -> None:
    assert hyperparameter(value) == words
    assert short_hyperparameter(value) == short


def test_for_programs_nothing_is_rounded_or_left_out() -> None:
    table = {"schedule": "table", "values": [0.1234567890123 + n for n in range(8)]}
    words = exact_hyperparameter(table)
    assert words == f"table({table['values']})"
    assert number(0.1234567890123, digits=None) == "0.1234567890123"


def test_percents_are_whole_only_where_all_or_nothing_is() -> None:
    fractions = (0.0, 0.001, 0.617, 263 / 264, 1.0)
    assert [percent(fraction) for fraction in fractions] == ["0%", "1%", "62%", "99%", "100%"]


def test_numbers_durations_and_counts() -> None:
    assert [number(value) for value in (0.97222222, 1234567.0, None)] == ["0.972222", "1.23457e+06", "-"]
    assert [time_taken(value) for value in (0.25, 90, 7500, 4 * 86_400)] == [
        "0.25 s",
        "90 s",
        "2 h 05 min",
        "4 d 0 h",
    ]
    assert [duration(value) for value in (0.4, 75, 36_061)] == ["0:00:00", "0:01:15", "10:01:01"]
    assert counts({"running": 2, "failed": 0, "stopped": 1}) == "2 running, 1 stopped"
    assert counts({"running": 0}) == "none"
    assert [plural(count, "trial") for count in (0, 1, 2)] == ["0 trials", "1 trial", "2 trials"]
