"""What training is taken to come to: the model of a trial, made step by step from the values in force.

A response is a fold over values: the model after a step is a function of the model before it and of the values at
that step. Equal prefixes of values under one seed therefore give equal metrics, whatever the trial, and branches go
apart where their values do. Nothing else could be shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hippo_core.values import Scalar

Model = Any
"""What training has come to: a value that only its response understands, and that nobody changes."""


class TrainingFailed(Exception):
    """A trainer's error, which ends the trials that need the step."""


class Response(Protocol):
    """A trainer that costs nothing."""

    def begin(self, seed: int) -> Model:
        """The model before step 0 of a program with this seed; those of a trial's repeats differ."""

    def train(self, model: Model, step: int, values: Mapping[str, Scalar]) -> Model:
        """The model after a step.

        Args:
            model: The model before it, which stays as it is.
            step: The step, from 0.
            values: The hyper-parameters at that step, by name, in the order of the names.

        Raises:
            TrainingFailed: The trainer fails there, with this message.
        """

    def evaluate(self, model: Model) -> dict[str, float]:
        """The metrics of a model, by name; one may be infinite or not a number."""
