"""The network under Hippo. Its first step and its evaluations are noted: a device is waited for before the clock."""

from __future__ import annotations

import time
from typing import Any

import torch
from residual_network import Work

import hippo_client as hippo

MOMENTS: list[float] = []  # by the clock that only goes forward; emptied by who reads them


def note() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    MOMENTS.append(time.perf_counter())


class Residual(hippo.Trainer):
    """A step is one batch."""

    def setup(self, context: hippo.Context) -> None:
        options = context.options
        self.work = Work(
            options["channels"], options["blocks"], options["images"], options["batch_size"], context.device
        )
        self.begun = False

    def apply(self, hp: Any) -> None:
        self.work.apply(hp["lr"])

    def train(self, step: int) -> None:
        if not self.begun:
            self.begun = True
            note()
        self.work.step(step)

    def evaluate(self) -> dict[str, float]:
        found: dict[str, float] = self.work.evaluate()
        note()
        return found
