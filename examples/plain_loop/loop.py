"""A training loop as people write it: a small network learns a curve. trainer.py is the same for Hippo."""

import torch
from torch import nn
from torch.nn import functional


def make_data():
    inputs = torch.linspace(-1, 1, 256).unsqueeze(1)
    return inputs, torch.sin(6 * inputs) * torch.exp(-inputs)


def make_model():
    return nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))


def train(learning_rates):
    """Trains one epoch with each of the rates, and gives the loss after each."""
    torch.manual_seed(0)
    inputs, targets = make_data()
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rates[0], momentum=0.9)
    losses = []
    for rate in learning_rates:
        for group in optimizer.param_groups:
            group["lr"] = rate
        for batch in torch.randperm(len(inputs)).split(32):
            loss = functional.mse_loss(model(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            losses.append(functional.mse_loss(model(inputs), targets).item())
    return losses


if __name__ == "__main__":
    print(train([0.1] * 20 + [0.01] * 10)[-1])
