"""What people ask of single trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTrial:
    """End one trial, whether it is being trained or rests. One that has ended stays as it is."""

    project: str
    name: str
    trial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendTrial:
    """Train one trial up to a step, rounded up to one with an evaluation, whatever its limit and its policy say."""

    project: str
    name: str
    trial: int
    to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkTrial:
    """Make a trial that goes as another up to step ``at``, and has other hyper-parameters from there on.

    Attributes:
        project: The project.
        name: The study.
        trial: The other trial.
        at: The first step at which they may differ.
        hyperparameters: By name, a value or a schedule as JSON; a schedule counts from ``at``.
    """

    project: str
    name: str
    trial: int
    at: int
    hyperparameters: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueTrial:
    """Make a trial of a point that a user gives.

    Attributes:
        project: The project.
        name: The study.
        point: By hyper-parameter: its value, as a trial of the study has it.
        ask: Which ask of the study's it answers; empty: none. One that was answered makes no further trial.
    """

    project: str
    name: str
    point: Json
    ask: str = ""


TrialCommand = StopTrial | ExtendTrial | ForkTrial | EnqueueTrial
