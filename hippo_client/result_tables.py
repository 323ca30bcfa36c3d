"""What came of a study as tables with typed columns: its trials in several layouts, and its evaluations.

The types are those of the study, whatever rows there are: the table of a study without trials has typed empty columns.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, get_args

from hippo_client.optuna_study import local_time
from hippo_core.domains import Choice, Horizon, Integer
from hippo_core.engine.states import TrialState
from hippo_core.errors import InvalidStudy
from hippo_core.metric_constraints import violation
from hippo_core.optuna_words import Drawn, last_metrics, outcome
from hippo_core.simulation.recorded_parts import RecordedTrial
from hippo_core.simulation.recording import Recording
from hippo_core.simulation.timeline import Timeline
from hippo_core.trial_schedules import horizon_of
from hippo_core.words import hyperparameter

Style = Literal["optuna", "plain", "mlflow"]


class ColumnType(StrEnum):
    """What a column holds, besides None where there is no value."""

    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    TEXT = "text"
    TIME = "time"  #: a datetime in UTC
    LOCAL_TIME = "local time"  #: a datetime without a zone, as Optuna has it
    DURATION = "duration"
    MIXED = "mixed"  #: plain values of several types


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        type: What its values are.
        values: One for each row; None where there is none.
    """

    name: str
    type: ColumnType
    values: Sequence[Any]


Table = tuple[Column, ...]
Row = Mapping[str, Any]


def trials_table(recording: Recording, style: Style = "optuna") -> Table:
    """A row for each trial, by number.

    Args:
        recording: The study.
        style: ``"optuna"``: as ``optuna.Study.trials_dataframe()``, then what Hippo knows besides, ``hippo_*``;
            ``"plain"``: metrics and hyper-parameters by their names; ``"mlflow"``: as ``mlflow.search_runs()``.

    Raises:
        InvalidStudy: There is no such style.
    """
    layouts: dict[str, type[_Layout]] = {
        "optuna": _OptunaLayout,
        "plain": _PlainLayout,
        "mlflow": _MlflowLayout,
    }
    if style not in layouts:
        known = ", ".join(map(repr, get_args(Style)))
        raise InvalidStudy("style", f"must be one of {known}, not {style!r}")
    layout = layouts[style](recording)
    return _columns(layout.types(), (layout.row(trial) for trial in recording.trials))


def history_table(recording: Recording) -> Table:
    """A row for each metric of each evaluation: trial, step, metric, value, time (UTC).

    Of repeats the value is the mean. Time is when the state was there, also where another trial trained it.
    """
    types = {
        "trial": ColumnType.INT,
        "step": ColumnType.INT,
        "metric": ColumnType.TEXT,
        "value": ColumnType.FLOAT,
        "time": ColumnType.TIME,
    }
    return _columns(types, _evaluations(recording))


def _evaluations(recording: Recording) -> Iterator[Row]:
    timeline, began = Timeline(recording), datetime.fromisoformat(recording.created).astimezone(UTC)
    for trial in recording.trials:
        for step, metrics in sorted(trial.means.items()):
            seconds = timeline.moment(trial, step)
            at = None if seconds is None else began + timedelta(seconds=seconds)
            for name, value in metrics.items():
                yield {"trial": trial.number, "step": step, "metric": name, "value": value, "time": at}


def _columns(types: Mapping[str, ColumnType], rows: Iterable[Row]) -> Table:
    found = list(rows)
    return tuple(
        Column(name=name, type=kind, values=[row.get(name) for row in found]) for name, kind in types.items()
    )


class _Layout(ABC):
    @abstractmethod
    def __init__(self, recording: Recording) -> None: ...

    @abstractmethod
    def types(self) -> dict[str, ColumnType]:
        """The columns, in order."""

    @abstractmethod
    def row(self, trial: RecordedTrial) -> Row:
        """Values by column; a name that is no column is passed over."""


class _OptunaLayout(_Layout):
    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._spec = recording.spec
        self._drawn = Drawn(recording)
        self._timeline = Timeline(recording)
        self._objectives = [each.metric for each in self._spec.objectives]
        self._further = [name for name in recording.metric_names() if name not in self._objectives]

    def types(self) -> dict[str, ColumnType]:
        several = len(self._objectives) > 1
        values = [f"values_{name}" for name in self._objectives] if several else ["value"]
        return {
            "number": ColumnType.INT,
            **dict.fromkeys(values, ColumnType.FLOAT),
            "datetime_start": ColumnType.LOCAL_TIME,
            "datetime_complete": ColumnType.LOCAL_TIME,
            "duration": ColumnType.DURATION,
            **{f"params_{name}": self._type(name) for name in sorted(self._spec.space.domains)},
            **{f"user_attrs_{name}": ColumnType.FLOAT for name in sorted(self._further)},
            "state": ColumnType.TEXT,
            "hippo_state": ColumnType.TEXT,
            "hippo_reason": ColumnType.TEXT,
            "hippo_steps": ColumnType.INT,
            "hippo_stage_path": ColumnType.TEXT,
            "hippo_gpu_seconds": ColumnType.FLOAT,
            "hippo_shared_gpu_seconds": ColumnType.FLOAT,
            "hippo_checkpoint": ColumnType.INT,
            "hippo_parent": ColumnType.INT,
            "hippo_forked_at": ColumnType.INT,
            "hippo_hyperparameters": ColumnType.TEXT,
            **({"hippo_violation": ColumnType.FLOAT} if self._spec.constraints else {}),
            **(
                {f"hippo_spread_{name}": ColumnType.FLOAT for name in self._recording.metric_names()}
                if self._spec.repeats > 1
                else {}
            ),
        }

    def row(self, trial: RecordedTrial) -> Row:
        found, metrics = outcome(trial, self._recording), last_metrics(trial)
        values = found.values or [None] * len(self._objectives)
        names = ["value"] if len(values) == 1 else [f"values_{name}" for name in self._objectives]
        begun, ended = self._timeline.begun(trial), self._timeline.ended(trial)
        if begun is None and ended is not None:
            begun = ended
        seconds, shared = self._timeline.seconds(trial)
        spread = trial.spread[max(trial.spread)] if trial.spread else {}
        return {
            "number": trial.number,
            **dict(zip(names, values, strict=True)),
            "datetime_start": local_time(self._recording, begun),
            "datetime_complete": local_time(self._recording, ended),
            "duration": None if begun is None or ended is None else timedelta(seconds=ended - begun),
            **{f"params_{name}": value for name, value in self._drawn.values(trial).items()},
            **{f"user_attrs_{name}": metrics.get(name) for name in self._further},
            "state": found.state.value,
            "hippo_state": trial.state.value,
            "hippo_reason": trial.reason,
            "hippo_steps": trial.step,
            "hippo_stage_path": " ".join(f"{node}:{start}-{stop}" for node, start, stop in trial.path),
            "hippo_gpu_seconds": seconds,
            "hippo_shared_gpu_seconds": shared,
            "hippo_checkpoint": max(trial.checkpoints, default=None),
            "hippo_parent": trial.parent,
            "hippo_forked_at": trial.forked_at,
            "hippo_hyperparameters": json.dumps(dict(trial.hyperparameters)),
            "hippo_violation": _violation(self._recording, trial),
            **{f"hippo_spread_{name}": value for name, value in spread.items()},
        }

    def _type(self, name: str) -> ColumnType:
        domain = self._spec.space.domains[name]
        match domain:
            case Choice():
                return _type_of(each for each in self._drawn.labels(name) if each is not None)
            case Integer() | Horizon():
                return ColumnType.INT
            case _:
                return ColumnType.FLOAT


class _PlainLayout(_Layout):
    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._spec = recording.spec
        self._metrics = recording.metric_names()
        self._names = list(
            dict.fromkeys(name for trial in recording.trials for name in trial.hyperparameters)
        )

    def types(self) -> dict[str, ColumnType]:
        spec = self._spec
        written = {
            name: [self._written(each.hyperparameters.get(name)) for each in self._recording.trials]
            for name in self._names
        }
        return {
            "trial": ColumnType.INT,
            "state": ColumnType.TEXT,
            "step": ColumnType.INT,
            **({"horizon": ColumnType.INT} if spec.horizons else {}),
            **dict.fromkeys(self._metrics, ColumnType.FLOAT),
            **({"feasible": ColumnType.BOOL, "violation": ColumnType.FLOAT} if spec.constraints else {}),
            **({f"{name}_spread": ColumnType.FLOAT for name in self._metrics} if spec.repeats > 1 else {}),
            **{
                name: _type_of([each for each in values if each is not None])
                for name, values in written.items()
            },
        }

    def row(self, trial: RecordedTrial) -> Row:
        violated = _violation(self._recording, trial)
        spread = trial.spread[max(trial.spread)] if trial.spread else {}
        return {
            "trial": trial.number,
            "state": trial.state.value,
            "step": trial.step,
            "horizon": horizon_of(trial.assignment or {}) or None,
            **last_metrics(trial),
            "feasible": None if violated is None else not violated,
            "violation": violated,
            **{f"{name}_spread": value for name, value in spread.items()},
            **{name: self._written(value) for name, value in trial.hyperparameters.items()},
        }

    @staticmethod
    def _written(value: Any) -> Any:
        return hyperparameter(value) if isinstance(value, dict | list) else value


_MLFLOW_STATUS = {
    TrialState.WAITING: "SCHEDULED",
    TrialState.RUNNING: "RUNNING",
    TrialState.PAUSED: "RUNNING",
    TrialState.COMPLETED: "FINISHED",
    TrialState.STOPPED: "KILLED",
    TrialState.DIVERGED: "FAILED",
    TrialState.FAILED: "FAILED",
}


class _MlflowLayout(_Layout):
    """Parameters are texts, as in MLflow."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._timeline = Timeline(recording)
        self._began = datetime.fromisoformat(recording.created).astimezone(UTC)

    def types(self) -> dict[str, ColumnType]:
        named = dict.fromkeys(name for trial in self._recording.trials for name in trial.hyperparameters)
        return {
            "run_id": ColumnType.TEXT,
            "status": ColumnType.TEXT,
            "start_time": ColumnType.TIME,
            "end_time": ColumnType.TIME,
            **{f"metrics.{name}": ColumnType.FLOAT for name in self._recording.metric_names()},
            **{f"params.{name}": ColumnType.TEXT for name in named},
            "tags.mlflow.runName": ColumnType.TEXT,
            "tags.hippo_study": ColumnType.TEXT,
            "tags.hippo_state": ColumnType.TEXT,
            "tags.hippo_steps": ColumnType.TEXT,
        }

    def row(self, trial: RecordedTrial) -> Row:
        return {
            "run_id": f"{self._recording.name}/{trial.number}",
            "status": _MLFLOW_STATUS[trial.state],
            "start_time": self._time(self._timeline.begun(trial)),
            "end_time": self._time(self._timeline.ended(trial)),
            **{f"metrics.{name}": value for name, value in last_metrics(trial).items()},
            **{f"params.{name}": hyperparameter(value) for name, value in trial.hyperparameters.items()},
            "tags.mlflow.runName": f"trial {trial.number}",
            "tags.hippo_study": self._recording.name,
            "tags.hippo_state": trial.state.value,
            "tags.hippo_steps": str(trial.step),
        }

    def _time(self, seconds: float | None) -> datetime | None:
        return None if seconds is None else self._began + timedelta(seconds=seconds)


def _violation(recording: Recording, trial: RecordedTrial) -> float | None:
    """By how much a trial violates the study's constraints in all; None: there are none, or nothing is known."""
    constraints, metrics = recording.spec.constraints, last_metrics(trial)
    return violation(each.margin(metrics) for each in constraints) if constraints and metrics else None


def _type_of(values: Iterable[Any]) -> ColumnType:
    """The type of plain values: what all of them are."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return ColumnType.BOOL
    if kinds == {int}:
        return ColumnType.INT
    if kinds and kinds <= {int, float}:
        return ColumnType.FLOAT
    return ColumnType.TEXT if kinds <= {str} else ColumnType.MIXED
