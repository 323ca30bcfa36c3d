"""The same training as ``bundle/exact_trainers.py``, as plain loops over PyTorch that know nothing of Hippo.

What a bare loop has to set to be equal is what the documentation says: threads, deterministic algorithms, three seeds.
The order of ``context.batches`` is a function of the seed that its documentation gives; it is written out here.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

Values = Sequence[Mapping[str, Any]]
Result = tuple[dict[int, dict[str, float]], dict[str, torch.Tensor]]


def begin(seed: int) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(99)
    inputs = torch.randn(80, 10, generator=generator)
    return TensorDataset(inputs, (inputs.sum(dim=1) > 0).long())


def dropout_net() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Dropout(0.4), nn.Linear(16, 2))


def measure(model: nn.Module, items: TensorDataset) -> float:
    model.eval()
    with torch.no_grad():
        found = nn.functional.cross_entropy(model(items.tensors[0]), items.tensors[1]).item()
    model.train()
    return found


def dropout(values: Values, every: int) -> Result:
    items, model = data(), dropout_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = {}
    for step, each in enumerate(values):
        optimizer.param_groups[0]["lr"] = each["lr"]
        for inputs, labels in DataLoader(items, batch_size=each["batch_size"], shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
        if (step + 1) % every == 0:
            found[step + 1] = {"loss": measure(model, items)}
    return found, model.state_dict()


def batch_norm(values: Values, every: int) -> Result:
    items = data()
    model = nn.Sequential(nn.Linear(10, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=1e-3)
    noise = torch.Generator().manual_seed(5), np.random.default_rng(5), random.Random(5)
    average = {name: value.clone() for name, value in model.state_dict().items()}
    history: list[float] = []
    found = {}
    for step, each in enumerate(values):
        optimizer.param_groups[0]["lr"] = each["lr"]
        for inputs, labels in DataLoader(items, batch_size=each["batch_size"], shuffle=True):
            optimizer.zero_grad()
            scale = torch.rand((), generator=noise[0]) + noise[1].random() + noise[2].random()
            loss = nn.functional.cross_entropy(model(inputs), labels) * scale
            loss.backward()
            optimizer.step()
        for name, value in model.state_dict().items():
            average[name] = 0.9 * average[name] + 0.1 * value
        history.append(loss.item())
        if (step + 1) % every == 0:
            total = sum(value.double().sum() for value in average.values())
            assert isinstance(total, torch.Tensor)
            found[step + 1] = {
                "loss": measure(model, items), "average": total.item(), "history": sum(history)
            }  # fmt: skip
    return found, model.state_dict()


def scheduled(values: Values, every: int) -> Result:
    items, model = data(), dropout_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4], gamma=0.3)
    found = {}
    for step, each in enumerate(values):
        optimizer.param_groups[0]["weight_decay"] = each["lr"]
        for inputs, labels in DataLoader(items, batch_size=each["batch_size"], shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
        scheduler.step()
        if (step + 1) % every == 0:
            found[step + 1] = {"loss": measure(model, items)}
    return found, model.state_dict()


def autocast(values: Values, every: int) -> Result:
    items, model = data(), dropout_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = {}
    for step, each in enumerate(values):
        optimizer.param_groups[0]["lr"] = each["lr"]
        for inputs, labels in DataLoader(items, batch_size=each["batch_size"], shuffle=True):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
        if (step + 1) % every == 0:
            found[step + 1] = {"loss": measure(model, items)}
    return found, model.state_dict()


def noisy_evaluation(values: Values, every: int) -> Result:
    items, model = data(), dropout_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = {}
    for step, each in enumerate(values):
        optimizer.param_groups[0]["lr"] = each["lr"]
        for inputs, labels in DataLoader(items, batch_size=each["batch_size"], shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
        if (step + 1) % every == 0:
            states = random.getstate(), np.random.get_state(), torch.get_rng_state()
            noise = torch.rand(1).item() + random.random() + float(np.random.rand())
            found[step + 1] = {"loss": measure(model, items), "noise": noise}
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])
    return found, model.state_dict()


def accumulating(values: Values, every: int) -> Result:
    items, model = data(), dropout_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = {}
    for step, each in enumerate(values):
        optimizer.param_groups[0]["lr"] = each["lr"]
        for inputs, labels in DataLoader(items, batch_size=each["batch_size"], shuffle=True):
            nn.functional.cross_entropy(model(inputs), labels).backward()
        if step % 2:
            optimizer.step()
            optimizer.zero_grad()
        if (step + 1) % every == 0:
            found[step + 1] = {"loss": measure(model, items)}
    return found, model.state_dict()


def derived(*words: str | int) -> int:
    """A seed made of words, as ``hippo_worker.hosting.randomness`` documents it."""
    text = repr(words).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def iterations(values: Values, every: int) -> Result:
    items, model = data(), dropout_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    stream = derived(7, "batches", 0)
    position = 0
    found = {}
    for step, each in enumerate(values):
        optimizer.param_groups[0]["lr"] = each["lr"]
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        batch = []
        for place in range(position, position + each["batch_size"]):
            generator = torch.Generator().manual_seed(derived(stream, "order", place // 80))
            order = torch.randperm(80, generator=generator)
            seed = derived(stream, "item", place)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            torch.manual_seed(seed)
            inputs, label = items[int(order[place % 80])]
            noise = torch.randn(10) * 0.1 + random.random() * 0.1 + float(np.random.rand()) * 0.1
            batch.append((inputs + noise, label))
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        position += each["batch_size"]
        optimizer.zero_grad()
        scores = model(torch.stack([inputs for inputs, _ in batch]))
        nn.functional.cross_entropy(scores, torch.stack([label for _, label in batch])).backward()
        optimizer.step()
        if (step + 1) % every == 0:
            found[step + 1] = {"loss": measure(model, items)}
    return found, model.state_dict()


LOOPS: dict[str, Callable[[Values, int], Result]] = {
    "Dropout": dropout,
    "BatchNorm": batch_norm,
    "Scheduled": scheduled,
    "Autocast": autocast,
    "NoisyEvaluation": noisy_evaluation,
    "Accumulating": accumulating,
    "Iterations": iterations,
    "IterationsAlone": iterations,
    "AskedSize": iterations,
}


def train_alone(trainer: str, values: Values, every: int, seed: int = 7) -> Result:
    """Metrics by state and final weights of one trial, trained by a bare loop."""
    begin(seed)
    return LOOPS[trainer](values, every)
