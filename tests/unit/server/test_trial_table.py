"""The table of trials: columns, conditions and order as an address says them."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.datastructures import QueryParams

from hippo_core.engine.states import TrialState
from hippo_core.engine.trial_views import TrialView
from hippo_core.errors import InvalidStudy
from hippo_core.objective import Objective
from hippo_server.web.trial_table import MOST_CONDITIONS, Asked, columns_of

SCRIPT = "<script>alert(1)</script>"
COSINE = {"schedule": "cosine", "initial": 0.1, "final": 0.0, "period": 24}
KNOWN = columns_of(["loss", "state"], ["lr", "act", "state"])


def trial(number: int, loss: float | None, lr: Any, **changes: Any) -> TrialView:
    fields: dict[str, Any] = {
        "number": number,
        "state": TrialState.COMPLETED,
        "step": 3,
        "max_steps": 9,
        "metrics": {"loss": loss},
        "spread": {},
        "violation": None,
        "hyperparameters": {"lr": lr, "act": SCRIPT if number % 2 else "ReLU"},
        "horizon": None,
        "parent": None,
        "forked_at": None,
        "instead_of": None,
        "reason": "",
    }
    return TrialView(**(fields | changes))


TRIALS = [
    trial(0, 0.5, 0.1),
    trial(1, None, 0.02, state=TrialState.FAILED, reason="ValueError: no"),
    trial(2, 0.25, COSINE),
    trial(3, 0.25, 0.5, violation=2.0),
    trial(4, 0.75, 0.1, parent=0, step=9),
]


def listed(address: str, *, maximize: bool = False) -> list[int]:
    """The numbers of the trials that an address means, in its order."""
    asked = Asked.of(QueryParams(address), KNOWN)
    rank = asked.rank(KNOWN, Objective(metric="loss", maximize=maximize))
    return asked.in_order([(rank(each), each.number) for each in reversed(TRIALS) if asked.fits(each)])


@pytest.mark.parametrize(
    ("address", "numbers"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("sort=-number", [4, 3, 2, 1, 0]),
        ("state=failed", [1]),
        ("name=metric.loss&is=<&value=0.5", [2, 3]),
        ("name=metric.loss&is=<%3D&value=0.5", [0, 2, 3]),
        ("name=metric.loss&is=%3D&value=5e-1", [0]),
        ("name=metric.loss&is=!%3D&value=0.5", [2, 3, 4]),
        ("name=hyperparameter.lr&is=>&value=0.02", [0, 3, 4]),
        ("name=hyperparameter.lr&is=contains&value=COSINE(", [2]),
        ("name=hyperparameter.act&is=%3D&value=relu", [0, 2, 4]),
        ("name=hyperparameter.act&is=contains&value=<script>", [1, 3]),
        ("name=reason&is=contains&value=valueerror", [1]),
        ("name=parent&is=>%3D&value=0", [4]),
        ("name=step&is=>&value=3&name=metric.loss&is=>&value=0.6", [4]),
        ("name=step&is=>&value=3&name=metric.loss&is=<&value=0.6", []),
        ("name=&is=<&value=&name=step&is=>&value=3", [4]),
        ("sort=hyperparameter.lr", [1, 0, 4, 3, 2]),
        ("sort=-hyperparameter.lr", [3, 4, 0, 1, 2]),
        ("sort=metric.loss", [2, 3, 0, 4, 1]),
        ("sort=-metric.loss", [4, 0, 3, 2, 1]),
        ("sort=hyperparameter.act", [1, 3, 0, 2, 4]),
        ("sort=-hyperparameter.act", [4, 2, 0, 3, 1]),
        ("sort=best", [2, 0, 4, 3, 1]),
    ],
)
def test_an_address_says_which_trials_and_in_which_order(address: str, numbers: list[int]) -> None:
    """Those that have nothing in a column fit no condition on it, and are last in either order."""
    assert listed(address) == numbers


def test_the_best_is_the_largest_where_the_study_says_so_and_feasible_ones_come_first() -> None:
    assert listed("sort=best", maximize=True) == [4, 0, 2, 3, 1]


def test_columns_are_shown_in_their_order_with_the_number_first() -> None:
    """Names of a metric, of a hyper-parameter and of the table's own are three columns."""
    asked = Asked.of(
        QueryParams("columns=hyperparameter.state&columns=state&columns=metric.state&columns=state"), KNOWN
    )
    assert [each.key for each in asked.columns] == ["number", "state", "metric.state", "hyperparameter.state"]
    assert [each.key for each in Asked.of(QueryParams(""), KNOWN).columns] == list(KNOWN)


def test_cells_are_text() -> None:
    column = KNOWN["hyperparameter.lr"]
    assert column.text(TRIALS[2]) == "cosine(0.1, 0, period=24)"
    assert column.text(trial(0, None, 0.123456789)) == "0.123457"
    assert column.text(trial(0, None, 0.123456789), exact=True) == "0.123456789"
    assert KNOWN["metric.loss"].text(TRIALS[1]) == ""
    assert KNOWN["hyperparameter.act"].text(TRIALS[1]) == SCRIPT


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r"])
def test_text_is_no_formula_in_a_file_and_numbers_stay_numbers(begins: str) -> None:
    column = KNOWN["hyperparameter.lr"]
    assert column.cell(trial(0, None, f"{begins}1+cmd|' /C calc'!A0")) == f"'{begins}1+cmd|' /C calc'!A0"
    assert column.cell(trial(0, None, f"a{begins}")) == f"a{begins}"
    assert [column.cell(trial(0, None, value)) for value in (-0.5, -3, 1e-07)] == [
        "-0.5",
        "-3",
        "1e-07",
    ]
    assert column.text(trial(0, None, None)) == "None"  # a value, which the trial was given
    assert KNOWN["hyperparameter.state"].text(TRIALS[1]) == ""


@pytest.mark.parametrize(
    ("address", "field", "words"),
    [
        ("columns=speed", "columns", "no column 'speed'"),
        ("columns=loss", "columns", "no column 'loss'"),
        ("sort=--number", "sort", "no column '-number'"),
        ("name=metric.f1&is=<&value=1", "name", "no column 'metric.f1'"),
        ("name=step&is=~&value=1", "is", "no comparison '~'"),
        ("name=step", "is", "no comparison ''"),
        ("name=step&is=<&value=many", "value", "'many' is no number, which '<' needs"),
        ("name=step&is=<&value=nan", "value", "'nan' is no number"),
        ("state=asleep", "state", "no state 'asleep'"),
        ("&".join(["name=step&is=<&value=1"] * (MOST_CONDITIONS + 1)), "name", "11 conditions"),
    ],
)
def test_what_there_is_not_is_one_error_that_names_it(address: str, field: str, words: str) -> None:
    with pytest.raises(InvalidStudy) as raised:
        Asked.of(QueryParams(address), KNOWN)
    assert raised.value.field == field
    assert words in raised.value.message
