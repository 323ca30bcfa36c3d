"""Trainers whose state lies in different places; ``bare.py`` trains the same without Hippo."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import models
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

import hippo_client as hippo


class Dropout(hippo.Trainer):
    """Global random state: dropout, and a DataLoader that shuffles."""

    def setup(self, context: hippo.Context) -> None:
        self.device = context.device
        self.data = models.dataset()
        self.model = models.dropout_net().to(context.device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.batch_size = 32
        self.pause = context.options.get("pause", 0.0)
        self.gate = Path(context.options.get("gate", "no gate"))
        self.gate_steps = context.options.get("gate_steps", [])
        self.hold = Path(context.options.get("hold", "no hold"))

    def apply(self, hp: Any) -> None:
        for group in self.optimizer.param_groups:
            group["lr"], group["momentum"] = hp["lr"], hp["momentum"]
        self.batch_size = hp["batch_size"]

    def train(self, step: int) -> dict[str, float]:
        threading.Event().wait(self.pause)
        while self.hold.exists():
            threading.Event().wait(0.01)
        if step in self.gate_steps:
            self.stand_at_gate()
        total = 0.0
        for inputs, labels in DataLoader(self.data, batch_size=self.batch_size, shuffle=True):
            self.optimizer.zero_grad()
            loss = self.loss(inputs.to(self.device), labels.to(self.device))
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return {"train_loss": total}

    def stand_at_gate(self) -> None:
        """Trains no further while the gate is there, and says that it stands."""
        while self.gate.exists():
            self.gate.with_suffix(".reached").touch()
            threading.Event().wait(0.01)

    def loss(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(self.model(inputs), labels)

    def evaluate(self) -> dict[str, float]:
        return models.accuracy_and_loss(self.model, self.data, self.device)


class BatchNormAdam(Dropout):
    """Buffers, and an optimiser with moments."""

    def setup(self, context: hippo.Context) -> None:
        super().setup(context)
        self.model = models.batchnorm_net().to(context.device)
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def apply(self, hp: Any) -> None:
        for group in self.optimizer.param_groups:
            group["lr"], group["betas"] = hp["lr"], (hp["momentum"], 0.999)
        self.batch_size = hp["batch_size"]


class OwnScheduler(Dropout):
    """An LRScheduler of its own, on top of the scheduled rate."""

    def setup(self, context: hippo.Context) -> None:
        super().setup(context)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda epoch: 0.9**epoch)

    def apply(self, hp: Any) -> None:
        self.scheduler.base_lrs = [hp["lr"] for _ in self.scheduler.base_lrs]
        for group in self.optimizer.param_groups:
            group["lr"] = hp["lr"] * 0.9**self.scheduler.last_epoch
            group["momentum"] = hp["momentum"]
        self.batch_size = hp["batch_size"]

    def train(self, step: int) -> dict[str, float]:
        found = super().train(step)
        self.scheduler.step()
        return found


class Autocast(Dropout):
    """Half-precision arithmetic."""

    def loss(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device, dtype=torch.bfloat16):
            return nn.functional.cross_entropy(self.model(inputs), labels)


class RandomEvaluation(Dropout):
    """Evaluates with random numbers of all three generators, and in training mode."""

    def evaluate(self) -> dict[str, float]:
        self.model.train()
        noise = torch.rand(1, device=self.device).item() + random.random() + float(np.random.rand())
        return {**models.accuracy_and_loss(self.model, self.data, self.device), "noise": noise}


class Iterations(hippo.Trainer):
    """Steps inside an epoch, with batches that two processes prepare and whose size changes."""

    def setup(self, context: hippo.Context) -> None:
        self.device = context.device
        self.data = models.dataset()
        self.model = models.dropout_net().to(context.device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.batches = context.batches(self.data, context.hp["batch_size"], shuffle=True, workers=2)

    def apply(self, hp: Any) -> None:
        for group in self.optimizer.param_groups:
            group["lr"], group["momentum"] = hp["lr"], hp["momentum"]
        self.batches.batch_size = hp["batch_size"]

    def train(self, step: int) -> dict[str, float]:
        inputs, labels = (tensor.to(self.device) for tensor in next(self.batches))
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(inputs), labels)
        loss.backward()
        self.optimizer.step()
        return {"train_loss": loss.item()}

    def evaluate(self) -> dict[str, float]:
        return models.accuracy_and_loss(self.model, self.data, self.device)
