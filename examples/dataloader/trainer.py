"""A network with dropout, fed by a DataLoader: both draw random numbers, and neither needs a line for Hippo's sake."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import hippo_client as hippo

TRAINING_IMAGES = 1_437


class DropoutTrainer(hippo.Trainer):
    """One step is one epoch. The random state is saved with the model, so that a fork goes on as it would have."""

    def setup(self, context):
        digits = load_digits()
        images = torch.tensor(digits.data, dtype=torch.float32) / 16
        labels = torch.tensor(digits.target)
        self.training_set = TensorDataset(images[:TRAINING_IMAGES], labels[:TRAINING_IMAGES])
        self.test_set = TensorDataset(images[TRAINING_IMAGES:], labels[TRAINING_IMAGES:])
        self.dropout = nn.Dropout()
        self.model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), self.dropout, nn.Linear(64, 10))
        self.optimizer = torch.optim.AdamW(self.model.parameters())

    def apply(self, hp):
        self.dropout.p = hp["dropout"]
        self.batch_size = hp["batch_size"]
        for group in self.optimizer.param_groups:
            group["lr"] = hp["lr"]

    def train(self, step):
        self.model.train()
        # Made for each epoch, as its batch size may change. Its iterator lives within the step: none is to be saved.
        for images, labels in DataLoader(self.training_set, self.batch_size, shuffle=True):
            loss = functional.cross_entropy(self.model(images), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        images, labels = self.test_set.tensors
        return {"accuracy": (self.model(images).argmax(dim=1) == labels).float().mean().item()}
