"""A step of a chosen length, the same in a bare loop and under Hippo, which writes down when its steps ran."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import torch

import hippo_client as hippo


class Work:
    """Arithmetic of a given amount on a small network.

    Attributes:
        within: Seconds that steps and evaluations took.
    """

    def __init__(self, repeats: int, device: str) -> None:
        self.repeats = repeats
        self.within = 0.0
        self.weights = (torch.randn(96, 96) * 0.1).to(device)
        self.inputs = torch.randn(64, 96).to(device)

    def step(self, lr: float) -> None:
        began = time.perf_counter()
        for _ in range(self.repeats):
            self.weights += lr * 1e-3 * torch.tanh(self.inputs @ self.weights).T @ self.inputs
        self.within += time.perf_counter() - began

    def evaluate(self) -> dict[str, float]:
        began = time.perf_counter()
        loss = float((self.inputs @ self.weights).square().mean())
        self.within += time.perf_counter() - began
        return {"loss": loss}


def note(file: Path, started: dict[str, float], work: Work) -> None:
    """Notes the clocks at the first step, those at this moment, and how much of the time between was work."""
    file.write_text(json.dumps({"started": started, "ended": now(), "within": work.within}))


def now() -> dict[str, float]:
    """The wall clock, and the processor time that this process has used."""
    return {"wall": time.time(), "processor": time.process_time()}


class Clocked(hippo.Trainer):
    """Trains ``Work`` and notes the first and the last moment of training in a file of its own."""

    def setup(self, context: hippo.Context) -> None:
        self.work = Work(context.options["repeats"], context.device)
        self.notes = Path(context.options["notes"]) / f"{os.getpid()}.json"
        self.lr = 0.0
        self.started: dict[str, float] = {}

    def apply(self, hp: Any) -> None:
        self.lr = hp["lr"]

    def train(self, step: int) -> None:
        if not self.started:
            self.started = now()
        self.work.step(self.lr)

    def evaluate(self) -> dict[str, float]:
        found = self.work.evaluate()
        note(self.notes, self.started, self.work)
        return found

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self.work.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.work.weights.copy_(state["weights"])
