"""Trials where many are looked through: each part is made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hippo_core.engine.engine import Engine
from hippo_core.engine.lookup import find_study
from hippo_core.engine.spread import step_of
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.engine.trial_views import last_metrics, shown_state, violation_of
from hippo_core.engine.waiting import trials_waiting_reason
from hippo_core.plan import Metrics

T = TypeVar("T")


class TrialGlance:
    """A trial as ``TrialView`` has it, of which each part is made when it is asked for: to look through many.

    Args:
        state: The engine's.
        study: The trial's.
        trial: The trial.
        known: The hyper-parameters of the study's trials that were made already, by number. They never change, and
            making them is the slowest part.
    """

    __slots__ = ("_known", "_state", "_study", "_trial")

    def __init__(
        self, state: EngineState, study: Study, trial: Trial, known: dict[int, Mapping[str, Any]]
    ) -> None:
        self._known = known
        self._state = state
        self._study = study
        self._trial = trial

    @property
    def number(self) -> int:
        """Its number."""
        return self._trial.number

    @property
    def state(self) -> TrialState:
        """Its state."""
        return shown_state(self._state, self._study, self._trial)

    @property
    def step(self) -> int:
        """The step that it has reached."""
        return step_of(self._study, self._trial)

    @property
    def metrics(self) -> Metrics:
        """The metrics of its last evaluation; of its repeats the means."""
        return last_metrics(self._study, self._trial, self.step)[0]

    @property
    def violation(self) -> float | None:
        """Of the study's constraints there, in all."""
        return violation_of(self._study, self.metrics) if self._study.spec.constraints else None

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        """Its hyper-parameters as JSON."""
        found = self._known.get(self._trial.number)
        if found is None:
            found = self._known[self._trial.number] = self._study.hyperparameters(self._trial)
        return found

    @property
    def horizon(self) -> int | None:
        """How long it is among its study's horizons."""
        return self._trial.horizon or None

    @property
    def parent(self) -> int | None:
        """The trial that it was forked from."""
        return None if self._trial.fork is None else self._trial.fork["trial"]

    @property
    def reason(self) -> str:
        """Why it is in its state."""
        if self._trial.reason or self.state is not TrialState.WAITING:
            return self._trial.reason
        return trials_waiting_reason(self._state, self._study)


def glance(
    engine: Engine,
    project: str,
    name: str,
    numbers: range,
    known: dict[int, Mapping[str, Any]],
    look: Callable[[TrialGlance], T],
) -> list[T]:
    """What ``look`` sees of the trials of a study that have these numbers, as far as there are such.

    Args:
        engine: Read.
        project: Whose study it is.
        name: Its name.
        numbers: Of the trials, from the lowest on.
        known: The hyper-parameters of the study's trials by number, where they were made; grows.
        look: Looks at one.
    """
    study = find_study(engine.state, project, name)
    return [
        look(TrialGlance(engine.state, study, study.trials[number], known))
        for number in numbers
        if number in study.trials
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a trial has come to, where many are looked at."""

    number: int
    completed: bool
    metrics: Metrics  #: of its repeats the means


def outcomes(engine: Engine, project: str, name: str, first: int, count: int) -> tuple[Outcome, ...]:
    """What at most ``count`` trials of a study have come to, by number, from ``first`` on."""
    study = find_study(engine.state, project, name)
    found = [study.trials[number] for number in range(len(study.trials))[first : first + count]]
    return tuple(
        Outcome(
            number=trial.number,
            completed=trial.state is TrialState.COMPLETED,
            metrics=last_metrics(study, trial, step_of(study, trial))[0],
        )
        for trial in found
    )
