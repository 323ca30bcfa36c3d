"""Trainers that fail in ways that no exception of theirs tells, or only one of torch's."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import psutil
import torch

import hippo_client as hippo


class Sound(hippo.Trainer):
    """Counts its steps."""

    def setup(self, context: hippo.Context) -> None:
        self.hp: Any = dict(context.hp)
        self.count = 0

    def apply(self, hp: Any) -> None:
        self.hp = dict(hp)

    def train(self, step: int) -> None:
        if step == 2:
            self.fail()
        self.count += 1

    def evaluate(self) -> dict[str, float]:
        return {"accuracy": self.count / 10}

    def fail(self) -> None:
        """What happens in step 2."""


class Stuck(Sound):
    """Waits for what never comes."""

    def fail(self) -> None:
        threading.Event().wait()


class Poison(Sound):
    """Kills its worker, the parent of the process that it was forked from, when it is told to by a file."""

    def setup(self, context: hippo.Context) -> None:
        super().setup(context)
        self.order = Path(context.options["order"])

    def fail(self) -> None:
        while not self.order.exists():
            threading.Event().wait(0.01)
        self.order.unlink()
        forkserver = psutil.Process().parent()
        assert forkserver is not None
        worker = forkserver.parent()
        assert worker is not None
        worker.kill()
        threading.Event().wait()


class OutOfDeviceMemory(Sound):
    """Has no room on its device for a batch of 32."""

    def fail(self) -> None:
        if self.hp["batch_size"] > 16:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


class Hungry(Sound):
    """Takes all memory that there is for a batch of 32."""

    def fail(self) -> None:
        held = []
        while self.hp["batch_size"] > 16:
            held.append(bytearray(b"x" * (64 << 20)))
