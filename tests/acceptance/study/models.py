"""Data and models that the trainers and the bare loops share; neither knows Hippo."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

FEATURES, CLASSES, ITEMS = 12, 4, 96


def dataset() -> TensorDataset:
    """A small classification task, the same wherever it is made."""
    generator = torch.Generator().manual_seed(1234)
    inputs = torch.randn(ITEMS, FEATURES, generator=generator)
    weights = torch.randn(FEATURES, CLASSES, generator=generator)
    return TensorDataset(inputs, (inputs @ weights).argmax(dim=1))


def dropout_net() -> nn.Module:
    """Draws from torch's global random state at each training step."""
    return nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, CLASSES))


def batchnorm_net() -> nn.Module:
    """Keeps running statistics in buffers."""
    return nn.Sequential(nn.Linear(FEATURES, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, CLASSES))


def accuracy_and_loss(model: nn.Module, data: TensorDataset, device: str) -> dict[str, float]:
    """Evaluates a model on all data, in evaluation mode, and leaves it in the mode that it found."""
    inputs, labels = (tensor.to(device) for tensor in data.tensors)
    training = model.training
    model.eval()
    with torch.no_grad():
        scores: Tensor = model(inputs)
    model.train(training)
    return {
        "accuracy": (scores.argmax(dim=1) == labels).double().mean().item(),
        "loss": nn.functional.cross_entropy(scores, labels).item(),
    }
