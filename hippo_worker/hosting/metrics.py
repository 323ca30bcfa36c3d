"""Metrics: what a trainer returns, checked where it returns it, and told in batches.

A number is kept as it is until it is told: a tensor on a GPU is turned into a number only then, so that no step waits
for the device.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch

from hippo_worker.hosting.failures import InvalidTrainer
from hippo_worker.hosting.link import Link

Unsettled = dict[str, "float | torch.Tensor"]

FLUSH_SECONDS = 0.08  #: between two tellings at least
PROGRESS_SECONDS = 0.5  #: at least, where nothing was evaluated
MOST_PROGRESS_SECONDS = 1.0
PROGRESS_PART = 0.5  #: of the time that a path has taken
MOST_RECORDS = 1000  #: wait to be told


def check_metrics(returned: object, method: str) -> Unsettled:
    """Checks what ``train`` or ``evaluate`` returned.

    Args:
        returned: The value.
        method: Which method, for the message.

    Raises:
        InvalidTrainer: It is no dict of names and numbers.
    """
    if type(returned) is dict and all(type(value) is float for value in returned.values()):
        if all(type(name) is str and name for name in returned):
            return returned.copy()  # the trainer may fill its own again
    elif type(returned) is not dict and not isinstance(returned, Mapping):
        raise InvalidTrainer(
            f"{method}() returned {_describe(returned)}.",
            "Return a dict of metrics, name to number" + (", or nothing." if method == "train" else "."),
        )
    return {_name(name, method): _number(name, value, method) for name, value in returned.items()}


def _name(name: object, method: str) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidTrainer(f"{method}() returned a metric named {name!r}.", "Names are text.")
    return name


def _number(name: object, value: object, method: str) -> float | torch.Tensor:
    if type(value) is float:
        return value
    if isinstance(value, torch.Tensor) and value.dim() == 0 and not value.is_complex():
        # On the processor at once; elsewhere a copy, as the trainer may change its own later.
        return float(value.item()) if value.device.type == "cpu" else value.detach().clone()
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (numbers.Real, np.bool_)):
        try:
            return float(value)
        except OverflowError:
            pass
    raise InvalidTrainer(
        f"{method}() returned {_describe(value)} for the metric {name!r}.",
        "A metric is one number, or a tensor without dimensions: write value.mean() or value.item().",
    )


def _describe(value: Any) -> str:
    kind = type(value).__qualname__
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"a {kind} of shape {tuple(shape)}"
    return "nothing" if value is None else f"a {kind}"


def settle(metrics: Mapping[str, float | torch.Tensor]) -> dict[str, float]:
    """Turns what is still a tensor into a number."""
    return {
        name: value if type(value) is float else float(cast(torch.Tensor, value).item())
        for name, value in metrics.items()
    }


@dataclass(slots=True)
class _Record:
    step: int
    metrics: Mapping[str, float | torch.Tensor]
    training: Mapping[str, float | torch.Tensor]
    evaluated: bool


@dataclass(slots=True)
class Reporter:
    """Gathers what is to be told about one stage, and tells it together: metrics first, then the steps.

    Attributes:
        link: Whom to tell.
        node: The stage's node.
        told: All steps below it have been told.
    """

    link: Link
    node: int
    told: int
    _records: list[_Record] = field(default_factory=list)
    _train_seconds: float = 0.0
    _evaluate_seconds: float = 0.0

    def trained(self, step: int, training: Unsettled) -> bool:
        """The step before the state ``step`` returned these metrics. Tells whether many wait to be told."""
        self._records.append(_Record(step, {}, training, False))
        return len(self._records) >= MOST_RECORDS

    def evaluated(self, step: int, metrics: Unsettled) -> bool:
        """The state at ``step`` was evaluated. Tells whether many wait to be told."""
        if self._records and self._records[-1].step == step:
            self._records[-1].metrics = metrics
            self._records[-1].evaluated = True
        else:
            self._records.append(_Record(step, metrics, {}, True))
        return len(self._records) >= MOST_RECORDS

    def spent(self, train_seconds: float, evaluate_seconds: float) -> None:
        """Time was spent since the last call."""
        self._train_seconds += train_seconds
        self._evaluate_seconds += evaluate_seconds

    def settle(self) -> None:
        """Waits for the numbers that a device has yet to give."""
        for record in self._records:
            record.metrics, record.training = settle(record.metrics), settle(record.training)

    def flush(self, step: int) -> None:
        """Tells everything up to the state at ``step``."""
        for record in self._records:
            self.link.metrics(
                self.node, record.step, settle(record.metrics), settle(record.training), record.evaluated
            )
        self._records.clear()
        if step > self.told:
            self.link.steps_trained(self.node, self.told, step, self._train_seconds, self._evaluate_seconds)
            self.told = step
            self._train_seconds = self._evaluate_seconds = 0.0
