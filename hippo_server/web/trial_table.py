"""The table of a study's trials: which columns, which trials, in which order, as an address says it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from starlette.datastructures import QueryParams

from hippo_core import words
from hippo_core.engine.states import TrialState
from hippo_core.engine.trial_glance import TrialGlance
from hippo_core.engine.trial_views import TrialView
from hippo_core.errors import InvalidStudy
from hippo_core.objective import Objective
from hippo_core.spreadsheets import cell

AnyTrial = TrialView | TrialGlance

MOST_CONDITIONS = 10
BEST = "best"

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
    "contains": lambda text, part: part in text,
}
"""How a value may be compared with another one. Texts are equal whatever their case, and have no order."""

_ORDERED = frozenset({"<", "<=", ">=", ">"})
_METRIC, _HYPERPARAMETER = "metric.", "hyperparameter."


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column.

    Attributes:
        key: Its name in addresses.
        label: Its heading.
        value: What a trial has there: a number, a text, a schedule's JSON, or None.
        right: Whether it is of numbers.
    """

    key: str
    label: str
    value: Callable[[AnyTrial], Any]
    right: bool = True

    def text(self, trial: AnyTrial, *, exact: bool = False) -> str:
        """What a trial has there, as people read it, or with every digit; empty: nothing."""
        value = self.value(trial)
        if value is None:
            return ""
        return words.exact_hyperparameter(value) if exact else words.hyperparameter(value)

    def cell(self, trial: AnyTrial) -> str:
        """What a trial has there, for a file that spreadsheets open."""
        text = self.text(trial, exact=True)
        return text if isinstance(self.value(trial), int | float) else cell(text)

    def rank(self, trial: AnyTrial) -> tuple[int, float, str]:
        """What to sort by: numbers before texts, and both before nothing."""
        value = self.value(trial)
        number = _number(value)
        if number is not None:
            return (0, number, "")
        return (2, 0.0, "") if value is None else (1, 0.0, words.exact_hyperparameter(value))


def columns_of(metrics: Sequence[str], hyperparameters: Sequence[str]) -> dict[str, Column]:
    """All columns that a study's table may have, by key, in order.

    Args:
        metrics: The names of what its trials report.
        hyperparameters: The names of what its trials are given.
    """
    found = [
        Column(key="number", label="Trial", value=lambda trial: trial.number),
        Column(key="state", label="State", value=lambda trial: trial.state.value, right=False),
        Column(key="step", label="Step", value=lambda trial: trial.step),
        *(
            Column(key=_METRIC + name, label=name, value=lambda trial, name=name: trial.metrics.get(name))  # type: ignore[misc]
            for name in metrics
        ),
        *(
            Column(
                key=_HYPERPARAMETER + name,
                label=name,
                value=lambda trial, name=name: _given(trial, name),  # type: ignore[misc]
            )
            for name in hyperparameters
        ),
        Column(key="horizon", label="Horizon", value=lambda trial: trial.horizon),
        Column(key="parent", label="Parent", value=lambda trial: trial.parent),
        Column(key="reason", label="Reason", value=lambda trial: trial.reason, right=False),
    ]
    return {each.key: each for each in found}


def _given(trial: AnyTrial, name: str) -> Any:
    """A hyper-parameter; that it is None is a value, unlike that the trial has none of that name."""
    value = trial.hyperparameters.get(name)
    return "None" if value is None and name in trial.hyperparameters else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a trial's value in a column has to be.

    Attributes:
        column: The column.
        comparison: One of ``COMPARISONS``.
        value: What it is compared with, as it was written.
    """

    column: Column
    comparison: str
    value: str

    def fits(self, trial: AnyTrial) -> bool:
        """Whether a trial has a value there that compares so."""
        found = self.column.value(trial)
        if found is None:
            return False
        compare = COMPARISONS[self.comparison]
        one, other = _number(found), _number(self.value)
        if self.comparison != "contains" and one is not None and other is not None:
            return compare(one, other)
        if self.comparison in _ORDERED:
            return False
        return compare(words.hyperparameter(found).casefold(), self.value.casefold())


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an address asks for.

    Attributes:
        columns: What is shown, in order.
        state: Trials in this state only; None: in any.
        conditions: All of which a trial fits.
        sort: A column's key, or ``best``; with a ``-`` before it downwards.
    """

    columns: tuple[Column, ...]
    state: TrialState | None
    conditions: tuple[Condition, ...]
    sort: str

    @classmethod
    def of(cls, given: QueryParams, known: Mapping[str, Column]) -> Asked:
        """As the address says.

        Args:
            given: Its parameters: ``columns`` (several), ``state``, ``sort``, and of each condition ``name``, ``is``
                and ``value``.
            known: All columns.

        Raises:
            InvalidStudy: There is no such column, state or comparison, or too many conditions.
        """
        chosen = {_column(known, "columns", key).key for key in given.getlist("columns") if key}
        state, sort = given.get("state", ""), given.get("sort") or "number"
        if state and state not in list(TrialState):
            raise InvalidStudy(
                "state", f"there is no state {state[:40]!r}.", f"Known are: {', '.join(TrialState)}."
            )
        if sort != BEST:
            _column(known, "sort", sort.removeprefix("-"))
        return cls(
            columns=tuple(
                each for each in known.values() if not chosen or each.key == "number" or each.key in chosen
            ),
            state=TrialState(state) if state else None,
            conditions=_conditions(given, known),
            sort=sort,
        )

    @property
    def filters(self) -> bool:
        """Whether not all trials are meant."""
        return self.state is not None or bool(self.conditions)

    def fits(self, trial: AnyTrial) -> bool:
        """Whether a trial is meant."""
        return (self.state is None or trial.state is self.state) and all(
            each.fits(trial) for each in self.conditions
        )

    def rank(
        self, known: Mapping[str, Column], objective: Objective
    ) -> Callable[[AnyTrial], tuple[Any, ...]]:
        """What to sort trials by, upwards: ``in_order`` turns it round within numbers, texts and nothing.

        Args:
            known: All columns.
            objective: The study's first: what makes a trial the best.
        """
        if self.sort == BEST:
            sign = -1.0 if objective.maximize else 1.0

            def best(trial: AnyTrial) -> tuple[Any, ...]:
                value = trial.metrics.get(objective.metric)
                return (value is None, trial.violation or 0.0, sign * (value or 0.0), trial.number)

            return best
        column = known[self.sort.removeprefix("-")]
        return lambda trial: (*column.rank(trial), trial.number)

    def in_order(self, ranked: list[tuple[tuple[Any, ...], int]]) -> list[int]:
        """The numbers of trials in the order that is asked for.

        Args:
            ranked: Of each trial its rank and its number; is sorted.
        """
        ranked.sort()
        if not self.sort.startswith("-"):
            return [number for _, number in ranked]
        found: list[int] = []
        for _, alike in groupby(ranked, key=lambda each: each[0][0]):
            found += [number for _, number in reversed(list(alike))]
        return found


def _conditions(given: QueryParams, known: Mapping[str, Column]) -> tuple[Condition, ...]:
    names, comparisons, values = (given.getlist(each) for each in ("name", "is", "value"))
    if len(names) > MOST_CONDITIONS:
        raise InvalidStudy("name", f"there are {len(names)} conditions.", f"Give at most {MOST_CONDITIONS}.")
    found = []
    for place, name in enumerate(names):
        if not name:
            continue
        column = _column(known, "name", name)
        comparison = comparisons[place] if place < len(comparisons) else ""
        value = values[place].strip() if place < len(values) else ""
        if comparison not in COMPARISONS:
            raise InvalidStudy(
                "is", f"there is no comparison {comparison[:40]!r}.", f"Known are: {', '.join(COMPARISONS)}."
            )
        if comparison in _ORDERED and _number(value) is None:
            raise InvalidStudy(
                "value", f"{value[:40]!r} is no number, which '{comparison}' needs.", "Write one, e.g. 0.01."
            )
        found.append(Condition(column=column, comparison=comparison, value=value))
    return tuple(found)


def _column(known: Mapping[str, Column], field: str, key: str) -> Column:
    if key not in known:
        raise InvalidStudy(field, f"there is no column {key[:60]!r}.", f"Known are: {', '.join(known)}.")
    return known[key]


def _number(value: Any) -> float | None:
    """A value as a number; None: it is none, or not a finite one."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None
