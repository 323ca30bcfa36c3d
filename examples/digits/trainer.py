"""A small convolutional network on scikit-learn's digits: 1,797 images of 8 x 8 pixels, inside the package."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import hippo_client as hippo

TRAINING_IMAGES = 1_437  # the first four fifths; the rest, other people's handwriting, measures


class DigitsTrainer(hippo.Trainer):
    """One step is one epoch. Everything that makes up its state is an attribute, so Hippo saves it by itself."""

    def setup(self, context):
        digits = load_digits()
        images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
        labels = torch.tensor(digits.target)
        self.training_set = (
            images[:TRAINING_IMAGES].to(context.device),
            labels[:TRAINING_IMAGES].to(context.device),
        )
        self.test_set = (
            images[TRAINING_IMAGES:].to(context.device),
            labels[TRAINING_IMAGES:].to(context.device),
        )

        width = context.options.get("width", 16)
        self.model = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.25),
            nn.Linear(2 * width * 16, 10),
        ).to(context.device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=context.hp["lr"], weight_decay=1e-4)
        self.batch_size = context.hp["batch_size"]

    def apply(self, hp):
        for group in self.optimizer.param_groups:
            group["lr"] = hp["lr"]
            group["momentum"] = hp["momentum"]
        self.batch_size = hp["batch_size"]

    def train(self, step):
        self.model.train()
        images, labels = self.training_set
        total = 0.0
        for batch in torch.randperm(len(labels)).split(self.batch_size):
            loss = functional.cross_entropy(self.model(images[batch]), labels[batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(batch)
        return {"train_loss": total / len(labels)}

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        images, labels = self.test_set
        scores = self.model(images)
        return {
            "accuracy": (scores.argmax(dim=1) == labels).float().mean().item(),
            "loss": functional.cross_entropy(scores, labels).item(),
        }
