"""Trainers whose state lies in different places; ``bare_loops.py`` trains the same without Hippo."""

import random
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from hippo_core import training as hippo


def make_data():
    generator = torch.Generator().manual_seed(99)
    inputs = torch.randn(80, 10, generator=generator)
    return TensorDataset(inputs, (inputs.sum(dim=1) > 0).long())


class Dropout(hippo.Trainer):
    """Global random state: dropout and a shuffling DataLoader."""

    def make_model(self):
        return nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Dropout(0.4), nn.Linear(16, 2))

    def make_optimizer(self):
        return torch.optim.SGD(self.model.parameters(), lr=0.1)

    def setup(self, context):
        self.data = make_data()
        self.model = self.make_model()
        self.optimizer = self.make_optimizer()

    def apply(self, hp):
        for group in self.optimizer.param_groups:
            group["lr"] = hp["lr"]
        self.loader = DataLoader(self.data, batch_size=hp["batch_size"], shuffle=True)

    def loss(self, inputs, labels):
        return nn.functional.cross_entropy(self.model(inputs), labels)

    def train(self, step):
        self.model.train()
        for inputs, labels in self.loader:
            self.optimizer.zero_grad()
            loss = self.loss(inputs, labels)
            loss.backward()
            self.optimizer.step()
        return {"train_loss": loss}

    def evaluate(self):
        self.model.eval()
        with torch.no_grad():
            inputs, labels = self.data.tensors
            return {"loss": nn.functional.cross_entropy(self.model(inputs), labels)}


class BatchNorm(Dropout):
    """Buffers, moments, and generators of its own, with momentum of its own in a dict."""

    def make_model(self):
        return nn.Sequential(nn.Linear(10, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))

    def make_optimizer(self):
        return torch.optim.Adam(self.model.parameters(), weight_decay=1e-3)

    def setup(self, context):
        super().setup(context)
        self.noise = torch.Generator().manual_seed(5)
        self.numpy_noise = np.random.default_rng(5)
        self.python_noise = random.Random(5)
        self.average = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.history = []

    def loss(self, inputs, labels):
        scale = torch.rand((), generator=self.noise) + self.numpy_noise.random() + self.python_noise.random()
        return super().loss(inputs, labels) * scale

    def train(self, step):
        found = super().train(step)
        for name, value in self.model.state_dict().items():
            self.average[name] = 0.9 * self.average[name] + 0.1 * value
        self.history.append(found["train_loss"].item())
        return found

    def evaluate(self):
        return {
            **super().evaluate(),
            "average": sum(value.double().sum() for value in self.average.values()),
            "history": sum(self.history),
        }


class Scheduled(Dropout):
    """A scheduler of its own, with a milestone."""

    def setup(self, context):
        super().setup(context)
        self.scheduler = torch.optim.lr_scheduler.MultiStepLR(self.optimizer, [2, 4], gamma=0.3)

    def apply(self, hp):
        for group in self.optimizer.param_groups:
            group["weight_decay"] = hp["lr"]
        self.loader = DataLoader(self.data, batch_size=hp["batch_size"], shuffle=True)

    def train(self, step):
        found = super().train(step)
        self.scheduler.step()
        return found


class Autocast(Dropout):
    """bfloat16 arithmetic on the processor."""

    def loss(self, inputs, labels):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().loss(inputs, labels)


class NoisyEvaluation(Dropout):
    """Draws from all three global generators while it evaluates, and leaves modes and grad mode changed."""

    def evaluate(self):
        found = super().evaluate()
        torch.set_grad_enabled(False)
        noise = torch.rand(1).item() + random.random() + np.random.rand()
        return {**found, "noise": noise}


class Accumulating(Dropout):
    """Adds gradients up over two steps."""

    def train(self, step):
        self.model.train()
        for inputs, labels in self.loader:
            loss = self.loss(inputs, labels)
            loss.backward()
        if step % 2:
            self.optimizer.step()
            self.optimizer.zero_grad()
        return {"train_loss": loss}


class Augmented(Dataset):
    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        inputs, label = self.data[index]
        noise = torch.randn(10) * 0.1 + random.random() * 0.1 + float(np.random.rand()) * 0.1
        return inputs + noise, label


class Iterations(Dropout):
    """Steps inside a pass, with batches that two processes prepare and whose size changes."""

    workers = 2

    def setup(self, context):
        super().setup(context)
        self.batches = context.batches(Augmented(self.data), 8, workers=self.workers)

    def apply(self, hp):
        for group in self.optimizer.param_groups:
            group["lr"] = hp["lr"]
        self.batches.batch_size = hp["batch_size"]

    def train(self, step):
        self.model.train()
        inputs, labels = next(self.batches)
        self.optimizer.zero_grad()
        loss = self.loss(inputs, labels)
        loss.backward()
        self.optimizer.step()


class IterationsAlone(Iterations):
    """The same without processes."""

    workers = 0


class AskedSize(Iterations):
    """The same; the size is asked for before each batch."""

    workers = 0

    def setup(self, context):
        Dropout.setup(self, context)
        self.size = 1
        self.batches = context.batches(Augmented(self.data), partial(getattr, self, "size"))

    def apply(self, hp):
        for group in self.optimizer.param_groups:
            group["lr"] = hp["lr"]
        self.size = hp["batch_size"]
