"""Trainers that take much of a GPU's memory, or make it fail."""

from __future__ import annotations

import os
from typing import Any

import torch

import hippo_client as hippo

GIB = 1 << 30


class Filler(hippo.Trainer):
    """Holds `kept` GiB from its setup on, takes `taken` more in each step, and tells what its process held before."""

    def setup(self, context: hippo.Context) -> None:
        self.device = context.device
        self.found = torch.cuda.memory_reserved() / GIB
        self.kept = torch.zeros(int(context.hp["kept"]) * GIB, dtype=torch.uint8, device=self.device)
        self.taken = 0

    def apply(self, hp: Any) -> None:
        self.taken = hp["taken"]

    def train(self, step: int) -> None:
        torch.zeros(self.taken * GIB, dtype=torch.uint8, device=self.device)

    def evaluate(self) -> dict[str, float]:
        return {"found": self.found, "process": os.getpid()}


class Picker(hippo.Trainer):
    """Looks into a table of ten rows; beyond its end the GPU fails, long after it was asked."""

    def setup(self, context: hippo.Context) -> None:
        self.table = torch.arange(10.0, device=context.device)
        self.row = torch.zeros(1, dtype=torch.int64, device=context.device)

    def apply(self, hp: Any) -> None:
        self.row = torch.tensor([hp["row"]], device=self.row.device)

    def train(self, step: int) -> dict[str, torch.Tensor]:
        return {"picked": self.table[self.row].sum()}

    def evaluate(self) -> dict[str, float]:
        return {"process": os.getpid()}
