"""A residual network of 18 layers for small images (He et al., arXiv 1512.03385) in plain torch, and its training."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, inputs: Tensor) -> Tensor:
        found = torch.relu(self.first_norm(self.first(inputs)))
        return torch.relu(self.second_norm(self.second(found)) + self.shortcut(inputs))


class ResidualNetwork(nn.Module):
    """Four groups of blocks, each of twice as many channels and half the size, and a linear layer after dropout."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        layers: list[nn.Module] = []
        before = channels
        for group in range(4):
            for block in range(blocks):
                layers.append(Block(before, channels << group, 2 if group and not block else 1))
                before = channels << group
        self.groups = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(before, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.head(self.dropout(self.groups(self.stem(inputs)).mean(dim=(2, 3))))
        return found


class Work:
    """Trains it on images that are made up, in the shape of CIFAR's."""

    def __init__(self, channels: int, blocks: int, images: int, batch_size: int, device: str) -> None:
        self.batch_size = batch_size
        generator = torch.Generator().manual_seed(99)
        self.images = torch.randn(images, 3, 32, 32, generator=generator).to(device)
        self.labels = torch.randint(10, (images,), generator=generator).to(device)
        self.network = ResidualNetwork(channels, blocks).to(device)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)

    def apply(self, lr: float) -> None:
        self.optimizer.param_groups[0]["lr"] = lr

    def step(self, number: int) -> None:
        first = number * self.batch_size % (len(self.images) - self.batch_size + 1)
        chosen = slice(first, first + self.batch_size)
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.network(self.images[chosen]), self.labels[chosen])
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        self.network.eval()
        found = nn.functional.cross_entropy(
            self.network(self.images[: self.batch_size]), self.labels[: self.batch_size]
        )
        self.network.train()
        return {"loss": found.item()}
