"""A trainer that notes when each of its steps began and ended, to tell how long a slot stood still between them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch

import hippo_client as hippo


class Passing(hippo.Trainer):
    """Sleeps for a step, as a device that works would let it."""

    def setup(self, context: hippo.Context) -> None:
        self.seconds = float(context.options["seconds"])
        self.weights = torch.zeros(int(context.options["bytes"]) // 4)
        # Appended to: a trainer may come to lie where one before has lain.
        self.file = (Path(context.options["notes"]) / f"{os.getpid()}-{id(self)}.txt").open("a", buffering=1)

    def apply(self, hp: Any) -> None:
        self.lr = hp["lr"]

    def train(self, step: int) -> None:
        began = time.time()
        time.sleep(self.seconds)
        self.file.write(f"{step} {began!r} {time.time()!r}\n")

    def evaluate(self) -> dict[str, float]:
        return {"loss": float(self.lr)}

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weights.copy_(state["weights"])
