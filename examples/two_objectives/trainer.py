"""How few pixels tell digits apart? A linear classifier whose weights are driven to zero, pixel by pixel."""

import torch
from sklearn.datasets import load_digits
from torch.nn import functional

import hippo_client as hippo

TRAINING_IMAGES = 1_437


class SparseTrainer(hippo.Trainer):
    """Gradient descent, then a proximal step: each pixel's ten weights shrink together (group lasso)."""

    def setup(self, context):
        digits = load_digits()
        images = torch.tensor(digits.data, dtype=torch.float32) / 16
        labels = torch.tensor(digits.target)
        self.training_set = images[:TRAINING_IMAGES], labels[:TRAINING_IMAGES]
        self.test_set = images[TRAINING_IMAGES:], labels[TRAINING_IMAGES:]
        self.weights = torch.zeros(64, 10, requires_grad=True)
        self.bias = torch.zeros(10, requires_grad=True)
        self.optimizer = torch.optim.SGD([self.weights, self.bias], lr=context.hp["lr"])

    def apply(self, hp):
        self.penalty = hp["penalty"]
        for group in self.optimizer.param_groups:
            group["lr"] = hp["lr"]

    def train(self, step):
        images, labels = self.training_set
        for batch in torch.randperm(len(labels)).split(128):
            loss = functional.cross_entropy(images[batch] @ self.weights + self.bias, labels[batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            with torch.no_grad():
                size = self.weights.norm(dim=1, keepdim=True)
                shrink = self.optimizer.param_groups[0]["lr"] * self.penalty
                self.weights.mul_((1 - shrink / size.clamp(min=1e-12)).clamp(min=0))

    @torch.no_grad()
    def evaluate(self):
        images, labels = self.test_set
        right = (images @ self.weights + self.bias).argmax(dim=1) == labels
        return {"accuracy": right.float().mean().item(), "pixels": int((self.weights != 0).any(dim=1).sum())}
