"""What every system trains: a convolutional network on scikit-learn's digits, at 64 points. It knows no system.

The points are 16 learning-rate schedules, two batch sizes and two momenta, for 27 epochs each. Four schedules begin at
each of four rates: one stays there, one falls at epoch 18, and two fall at epoch 9, to different rates. So the
schedules of a rate share 9 epochs, and two of them share 9 more: of 64 x 27 = 1,728 epochs 1,152 differ in what came
before them.

Every epoch that is trained is noted as a line in a file of the process, so that epochs are counted here and by no
system, and so that two that continue the same history of values are known to be the same.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

EPOCHS = int(os.environ.get("PEERS_EPOCHS", "27"))
WIDTH = int(os.environ.get("PEERS_WIDTH", "24"))
"""Of the first convolution: it sets how long an epoch takes."""

SLOTS = 2
FIRST_RUNG, REDUCTION_FACTOR = 1, 3

RATES = (0.1, 0.05, 0.02, 0.01)
BATCH_SIZES = (32, 64)
MOMENTA = (0.9, 0.95)
TRAINING_IMAGES = 1_437


@dataclass(frozen=True, slots=True)
class Schedule:
    """A learning rate that changes once, or never.

    Attributes:
        initial: In the first epochs.
        final: From epoch ``milestone`` on.
        milestone: Counted from 0; ``EPOCHS`` or more: never.
    """

    initial: float
    final: float
    milestone: int

    def value(self, epoch: int) -> float:
        return self.initial if epoch < self.milestone else self.final


SCHEDULES = tuple(
    Schedule(rate, round(rate * factor, 6), milestone)
    for rate in RATES
    for factor, milestone in ((1.0, 27), (0.1, 18), (0.1, 9), (0.2, 9))
)


@dataclass(frozen=True, slots=True)
class Point:
    """The hyper-parameters of a trial."""

    schedule: Schedule
    batch_size: int
    momentum: float

    def values(self, epoch: int) -> Values:
        return self.schedule.value(epoch), self.batch_size, self.momentum


Values = tuple[float, int, float]
"""The learning rate, the batch size and the momentum of an epoch."""


def points() -> list[Point]:
    """All 64, in an order in which neighbours are not alike; the same for every system that takes them in order."""
    found = [Point(*each) for each in itertools.product(SCHEDULES, BATCH_SIZES, MOMENTA)]
    random.Random(0).shuffle(found)
    return found


class Training:
    """The training of one point; its state can be saved and loaded between epochs."""

    def __init__(self) -> None:
        import torch
        from sklearn.datasets import load_digits
        from torch import nn

        torch.set_num_threads(1)
        torch.manual_seed(0)
        digits = load_digits()
        images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
        labels = torch.tensor(digits.target)
        self.train_images, self.test_images = images[:TRAINING_IMAGES], images[TRAINING_IMAGES:]
        self.train_labels, self.test_labels = labels[:TRAINING_IMAGES], labels[TRAINING_IMAGES:]
        self.model = nn.Sequential(
            nn.Conv2d(1, WIDTH, 3, padding=1),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            nn.Conv2d(WIDTH, 2 * WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * WIDTH * 16, 10),
        )
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
        self.history: list[Values] = []
        self._began = (0.0, 0.0)

    def train(self, values: Values) -> None:
        """One epoch. What is random in it depends on the epoch's number alone."""
        import torch
        from torch.nn import functional

        self._began = (time.time(), time.process_time())
        rate, batch_size, momentum = values
        for group in self.optimizer.param_groups:
            group["lr"], group["momentum"] = rate, momentum
        self.model.train()
        order = torch.randperm(TRAINING_IMAGES, generator=torch.Generator().manual_seed(len(self.history)))
        for batch in order.split(batch_size):  # type: ignore[no-untyped-call]
            loss = functional.cross_entropy(self.model(self.train_images[batch]), self.train_labels[batch])
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        self.history.append(values)

    def evaluate(self) -> float:
        """The cross entropy of the test images; it is what all systems minimise. The epoch ends here, and is noted."""
        import torch
        from torch.nn import functional

        self.model.eval()
        with torch.no_grad():
            loss: torch.Tensor = functional.cross_entropy(self.model(self.test_images), self.test_labels)
        self._note()
        return float(loss)

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": list(self.history),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history = [tuple(each) for each in state["history"]]

    def _note(self) -> None:
        began, used = self._began
        prefix = hashlib.blake2b(repr(self.history).encode(), digest_size=8).hexdigest()
        _, batch_size, _ = self.history[-1]
        line = [prefix, len(self.history), batch_size, began, time.time(), time.process_time() - used]
        file = Path(os.environ["PEERS_NOTES"]) / f"{os.getpid()}.jsonl"
        with file.open("a") as notes:  # one write of one line: O_APPEND keeps it whole
            notes.write(json.dumps(line) + "\n")
