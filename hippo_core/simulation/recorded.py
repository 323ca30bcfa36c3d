"""Metrics that are known: those of a table, or of a study that was really trained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hippo_core.arguments import suggestion
from hippo_core.errors import InvalidStudy
from hippo_core.simulation.beyond import Continuation, Gaps
from hippo_core.simulation.response import Model, TrainingFailed
from hippo_core.study import StudySpec
from hippo_core.values import Scalar, normalise_float, typed

Key = tuple[Any, ...]
Recorded = Mapping[str, float | None]
"""Metrics by name; None, or what is not finite: it was not finite."""

Histories = Iterable[tuple[Sequence[Mapping[str, Scalar]], Mapping[int, Recorded]]]


class RecordedMetrics:
    """Looks metrics up by the values of all steps that led to them.

    Args:
        histories: Trials: the values in force at each step from 0, and the metrics by state (step k - 1 leads to
            the state k). Any state may be left out.
        beyond: What continues the curves where nothing is recorded; without, that is an error.

    Raises:
        InvalidStudy: Two histories with equal values have different metrics.
    """

    def __init__(self, histories: Histories = (), beyond: Continuation | None = None) -> None:
        # A trie over values, as lists by the number of the prefix; 0 is the empty one.
        self._next: list[dict[Key, int]] = [{}]
        self._above: list[int] = [0]
        self._depth: list[int] = [0]
        self._metrics: list[dict[str, float | None] | None] = [None]
        self._failures: dict[tuple[int, Key], str] = {}  # by prefix and the values of the step that fails
        self.beyond = beyond
        for values, metrics in histories:
            self.add(values, metrics)

    def add(self, values: Sequence[Mapping[str, Scalar]], metrics: Mapping[int, Recorded]) -> None:
        """Adds a trial.

        Args:
            values: The values in force at each step, from 0.
            metrics: Metrics by state, of 1 to the number of steps.

        Raises:
            InvalidStudy: A state is none of the trial's, or equal values have other metrics already.
        """
        for state in metrics:
            if not 1 <= state <= len(values):
                raise InvalidStudy(
                    "metrics", f"there are values of {len(values)} steps, but metrics of state {state}"
                )
        place = 0
        for state, here in enumerate(values, start=1):
            exact = {
                name: normalise_float(value) if isinstance(value, float) else value
                for name, value in here.items()
            }
            place = self._child(place, _key(exact))
            if state not in metrics:
                continue
            found = {name: _finite(value) for name, value in metrics[state].items()}
            known = self._metrics[place]
            if known is not None and known != found:
                raise InvalidStudy(
                    "metrics", f"equal values up to state {state} have the metrics {known} and {found}"
                )
            self._metrics[place] = found

    def add_failure(self, values: Sequence[Mapping[str, Scalar]], reason: str) -> None:
        """Adds that training fails at a step, unless a trial that is added went on.

        Args:
            values: The values in force at each step, from 0; that of the last one fails.
            reason: Why.
        """
        place = 0
        for here in values[:-1]:
            place = self._child(place, _key(here))
        self._failures[place, _key(values[-1])] = reason

    def metrics(self) -> Iterable[Recorded]:
        """All that are recorded."""
        return (each for each in self._metrics if each is not None)

    def require(self, spec: StudySpec) -> None:
        """Checks that what a study is judged by is recorded; where nothing is, whatever is trained first is told.

        Raises:
            InvalidStudy: It is not; names the metrics that are.
        """
        names = {name for each in self.metrics() for name in each}
        for objective in spec.observed:
            if names and objective.metric not in names:
                where = "maximize" if objective.maximize else "minimize"
                raise InvalidStudy(
                    where if objective in spec.objectives else "constraints",
                    f"{objective.metric!r} of the study '{spec.name}' is not recorded",
                    suggestion(objective.metric, sorted(names)),
                )

    def recorded_steps(self, values: Iterable[Mapping[str, Scalar]]) -> int:
        """How many of a trial's first steps are recorded."""
        place = 0
        for step, here in enumerate(values):
            found = self._next[place].get(_key(here))
            if found is None:
                return step
            place = found
        return self._depth[place]

    def begin(self, seed: int) -> Model:
        """The empty prefix; what was recorded stands for any seed."""
        return 0

    def train(self, model: Model, step: int, values: Mapping[str, Scalar]) -> Model:
        """The prefix one step longer; beyond what is recorded, what continues its curves.

        Raises:
            TrainingFailed: It failed.
            InvalidStudy: Nothing is recorded for it, and nothing continues it.
        """
        if not isinstance(model, int):
            return self._beyond(model, step, values)
        found = self._next[model].get(_key(values))
        if found is not None:
            return found
        failure = self._failures.get((model, _key(values)))
        if failure is not None:
            raise TrainingFailed(failure)
        if self.beyond is not None:
            return self._beyond(self.beyond.leave(self._last_metrics(model)), step, values)
        raise InvalidStudy(
            "response",
            f"no metrics are recorded for step {step} under {dict(values)} after what came before",
            "Simulate within the record, or have made up what is beyond: beyond='power-law' or --beyond power-law.",
        )

    def evaluate(self, model: Model) -> dict[str, float]:
        """The metrics recorded, or those of what continues them.

        Raises:
            InvalidStudy: There are none.
        """
        if not isinstance(model, int):
            assert self.beyond is not None
            return self.beyond.evaluate(model)
        found = self._metrics[model]
        if found is None:
            raise InvalidStudy(
                "response",
                f"no metrics are recorded for a state at step {self._depth[model]} that is evaluated",
                "Record every multiple of evaluate_every.",
            )
        return {name: math.nan if value is None else value for name, value in found.items()}

    def _beyond(self, gaps: Gaps, step: int, values: Mapping[str, Scalar]) -> Model:
        assert self.beyond is not None
        return self.beyond.train(gaps, step, values)

    def _last_metrics(self, place: int) -> Recorded:
        """Those of the last evaluated state of a prefix."""
        while place and self._metrics[place] is None:
            place = self._above[place]
        return self._metrics[place] or {}

    def _child(self, place: int, key: Key) -> int:
        found = self._next[place].get(key)
        if found is None:
            found = self._next[place][key] = len(self._next)
            self._next.append({})
            self._above.append(place)
            self._depth.append(self._depth[place] + 1)
            self._metrics.append(None)
        return found


def table(spec: StudySpec, rows: Iterable[Mapping[str, Any]]) -> RecordedMetrics:
    """The metrics of a table.

    Args:
        spec: The study whose trials the table numbers.
        rows: Each has "trial", the number, "step", the state's, and metrics by name: numbers, or text as in a file
            of comma-separated values, in which an empty one is missing.

    Raises:
        InvalidStudy: A row lacks its trial or step, or has what is no number; names the row.
    """
    histories: dict[int, dict[int, dict[str, float | None]]] = {}
    count = spec.max_trials * max(1, len(spec.horizons))
    for place, row in enumerate(rows):
        where = f"rows[{place}]"
        trial, step = _whole(row, "trial", where), _whole(row, "step", where)
        if not 0 <= trial < count:
            raise InvalidStudy(where, f"the study has {count} trials, and none numbered {trial}")
        if step < 1:
            raise InvalidStudy(where, f"step {step} is no state that is evaluated", "States begin with 1.")
        metrics = histories.setdefault(trial, {}).setdefault(step, {})
        for name, value in row.items():
            if name not in {"trial", "step"} and value not in {"", None}:
                metrics[name] = _number(value, f"{where}.{name}")
    found = RecordedMetrics()
    for trial, history in sorted(histories.items()):
        sequence = spec.sequence(spec.trial(trial))
        found.add([sequence.values(step) for step in range(max(history))], history)
    return found


def _whole(row: Mapping[str, Any], name: str, where: str) -> int:
    try:
        return int(row[name])
    except (KeyError, TypeError, ValueError):
        raise InvalidStudy(
            f"{where}.{name}",
            f"must be a whole number, not {row.get(name)!r}",
            "Give each row its trial and step.",
        ) from None


def _number(value: Any, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InvalidStudy(where, f"must be a number, not {value!r}") from None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _key(values: Mapping[str, Scalar]) -> Key:
    return tuple(sorted((name, typed(value)) for name, value in values.items()))
