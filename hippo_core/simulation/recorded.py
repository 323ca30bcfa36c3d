"""Metrics that are known: those of a table, or of a study that was really trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hippo_core.errors import InvalidStudy
from hippo_core.simulation.response import Model
from hippo_core.values import Scalar, normalise_float, typed

Key = tuple[Any, ...]


class RecordedMetrics:
    """Looks metrics up by the values of all steps that led to them.

    Args:
        histories: Trials: the values in force at each step from 0, and the metrics by state (step k - 1 leads to
            the state k). Any state may be left out.

    Raises:
        InvalidStudy: Two histories with equal values have different metrics.
    """

    def __init__(
        self,
        histories: Iterable[tuple[Sequence[Mapping[str, Scalar]], Mapping[int, Mapping[str, float]]]] = (),
    ) -> None:
        # A trie over values, as lists by the number of the prefix; 0 is the empty one.
        self._next: list[dict[Key, int]] = [{}]
        self._depth: list[int] = [0]
        self._metrics: list[dict[str, float] | None] = [None]
        for values, metrics in histories:
            self.add(values, metrics)

    def add(self, values: Sequence[Mapping[str, Scalar]], metrics: Mapping[int, Mapping[str, float]]) -> None:
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
            found = dict(metrics[state])
            known = self._metrics[place]
            if known is not None and known != found:
                raise InvalidStudy(
                    "metrics", f"equal values up to state {state} have the metrics {known} and {found}"
                )
            self._metrics[place] = found

    def begin(self) -> Model:
        """The empty prefix."""
        return 0

    def train(self, model: Model, step: int, values: Mapping[str, Scalar]) -> Model:
        """The prefix one step longer.

        Raises:
            InvalidStudy: Nothing is recorded for it.
        """
        found = self._next[model].get(_key(values))
        if found is None:
            raise InvalidStudy(
                "response",
                f"no metrics are recorded for step {step} under {dict(values)} after what came before",
                "Simulate within what was recorded: other values or more steps need another response.",
            )
        return found

    def evaluate(self, model: Model) -> dict[str, float]:
        """The metrics recorded.

        Raises:
            InvalidStudy: There are none.
        """
        found = self._metrics[model]
        if found is None:
            raise InvalidStudy(
                "response",
                f"no metrics are recorded for a state at step {self._depth[model]} that is evaluated",
                "Record every multiple of evaluate_every.",
            )
        return found

    def _child(self, place: int, key: Key) -> int:
        found = self._next[place].get(key)
        if found is None:
            found = self._next[place][key] = len(self._next)
            self._next.append({})
            self._depth.append(self._depth[place] + 1)
            self._metrics.append(None)
        return found


def _key(values: Mapping[str, Scalar]) -> Key:
    return tuple(sorted((name, typed(value)) for name, value in values.items()))
