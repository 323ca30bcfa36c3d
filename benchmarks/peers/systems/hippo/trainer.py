"""The workload as Hippo's trainer."""

from __future__ import annotations

import os
from typing import Any

import hippo_client as hippo


class Digits(hippo.Trainer):
    """One step is one epoch."""

    def setup(self, context: hippo.Context) -> None:
        # Options, and no env of the study's: a process can be told where its notes go when it has started.
        os.environ.update(context.options)
        import workload

        self.training = workload.Training()
        self.values: workload.Values = (0.0, 0, 0.0)

    def apply(self, hp: Any) -> None:
        self.values = hp["lr"], hp["batch_size"], hp["momentum"]

    def train(self, step: int) -> None:
        self.training.train(self.values)

    def evaluate(self) -> dict[str, float]:
        return {"loss": self.training.evaluate()}

    def state_dict(self) -> dict[str, Any]:
        return self.training.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.training.load_state_dict(state)
