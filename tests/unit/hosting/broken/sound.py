"""A sound trainer. Every other file here breaks one thing about it."""

import torch
from torch import nn

from hippo_core import training


class Sound(training.Trainer):
    def setup(self, context):
        generator = torch.Generator().manual_seed(3)
        self.inputs = torch.randn(24, 6, generator=generator)
        self.labels = (self.inputs.sum(dim=1) > 0).long()
        self.model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 2))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def apply(self, hp):
        for group in self.optimizer.param_groups:
            group["lr"], group["momentum"] = hp["lr"], hp["momentum"]

    def order(self):
        return torch.randperm(24)

    def train(self, step):
        self.model.train()
        for batch in self.order().split(8):
            self.learn(self.inputs[batch], self.labels[batch])

    def learn(self, inputs, labels):
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self.model(inputs), labels).backward()
        self.optimizer.step()

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        return {"loss": nn.functional.cross_entropy(self.model(self.inputs), self.labels)}
