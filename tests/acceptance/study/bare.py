"""The same training as in ``trainers.py``, as plain loops: what a trial gives when it is trained alone, without Hippo.

Run as a program it reads requests, one a line, from standard input and answers each with a line: for each trial its
metrics by step and a digest of its final weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
from collections.abc import Callable
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import models
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

Values = list[dict[str, Any]]
Loop = Callable[[Values, str], tuple[list[dict[str, float]], dict[str, torch.Tensor]]]


def seed(number: int) -> None:
    """What Hippo documents: all global generators, one thread, deterministic algorithms."""
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def dropout(values: Values, device: str) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    data, model = models.dataset(), models.dropout_net().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = []
    for each in values:
        for group in optimizer.param_groups:
            group["lr"], group["momentum"] = each["lr"], each["momentum"]
        for inputs, labels in DataLoader(data, batch_size=each["batch_size"], shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs.to(device)), labels.to(device)).backward()
            optimizer.step()
        found.append(models.accuracy_and_loss(model, data, device))
    return found, model.state_dict()


def batchnorm_adam(values: Values, device: str) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    data = models.dataset()
    models.dropout_net()  # as the trainer draws it before its own
    model = models.batchnorm_net().to(device)
    optimizer = torch.optim.Adam(model.parameters())
    found = []
    for each in values:
        for group in optimizer.param_groups:
            group["lr"], group["betas"] = each["lr"], (each["momentum"], 0.999)
        for inputs, labels in DataLoader(data, batch_size=each["batch_size"], shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs.to(device)), labels.to(device)).backward()
            optimizer.step()
        found.append(models.accuracy_and_loss(model, data, device))
    return found, model.state_dict()


def own_scheduler(values: Values, device: str) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    data, model = models.dataset(), models.dropout_net().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch)
    found = []
    for each in values:
        scheduler.base_lrs = [each["lr"] for _ in scheduler.base_lrs]
        for group in optimizer.param_groups:
            group["lr"] = each["lr"] * 0.9**scheduler.last_epoch
            group["momentum"] = each["momentum"]
        for inputs, labels in DataLoader(data, batch_size=each["batch_size"], shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs.to(device)), labels.to(device)).backward()
            optimizer.step()
        scheduler.step()
        found.append(models.accuracy_and_loss(model, data, device))
    return found, model.state_dict()


def autocast(values: Values, device: str) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    data, model = models.dataset(), models.dropout_net().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = []
    for each in values:
        for group in optimizer.param_groups:
            group["lr"], group["momentum"] = each["lr"], each["momentum"]
        for inputs, labels in DataLoader(data, batch_size=each["batch_size"], shuffle=True):
            optimizer.zero_grad()
            with torch.autocast(device, dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(model(inputs.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
        found.append(models.accuracy_and_loss(model, data, device))
    return found, model.state_dict()


def random_evaluation(values: Values, device: str) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    """Evaluating draws from a copy of the random state: training goes on as if it had not."""
    data, model = models.dataset(), models.dropout_net().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = []
    for each in values:
        for group in optimizer.param_groups:
            group["lr"], group["momentum"] = each["lr"], each["momentum"]
        for inputs, labels in DataLoader(data, batch_size=each["batch_size"], shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs.to(device)), labels.to(device)).backward()
            optimizer.step()
        saved = random.getstate(), np.random.get_state(), torch.get_rng_state()
        on_gpu = torch.cuda.get_rng_state() if device == "cuda" else None
        noise = torch.rand(1, device=device).item() + random.random() + float(np.random.rand())
        found.append({**models.accuracy_and_loss(model, data, device), "noise": noise})
        random.setstate(saved[0])
        np.random.set_state(saved[1])
        torch.set_rng_state(saved[2])
        if on_gpu is not None:
            torch.cuda.set_rng_state(on_gpu)
    return found, model.state_dict()


def iterations(values: Values, device: str) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    """One uninterrupted pass over Hippo's batches, loaded in this process: no cut, no fork, no worker."""
    from hippo_worker.hosting.batches import Batches
    from hippo_worker.hosting.randomness import derive

    data = models.dataset()
    batches = Batches(data, values[0]["batch_size"], shuffle=True, workers=0, seed=derive(0, "batches", 0))
    model = models.dropout_net().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = []
    for each in values:
        for group in optimizer.param_groups:
            group["lr"], group["momentum"] = each["lr"], each["momentum"]
        batches.batch_size = each["batch_size"]
        inputs, labels = next(batches)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs.to(device)), labels.to(device)).backward()
        optimizer.step()
        found.append(models.accuracy_and_loss(model, data, device))
    return found, model.state_dict()


LOOPS: dict[str, Loop] = {
    "Dropout": dropout,
    "BatchNormAdam": batchnorm_adam,
    "OwnScheduler": own_scheduler,
    "Autocast": autocast,
    "RandomEvaluation": random_evaluation,
    "Iterations": iterations,
}


def digest(weights: dict[str, torch.Tensor]) -> str:
    """The bits of all tensors, by name."""
    total = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        total.update(name.encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        answers = []
        for values in request["trials"]:
            seed(request["seed"])
            found, weights = LOOPS[request["trainer"]](values, request["device"])
            answers.append({"metrics": found, "weights": digest(weights)})
        sys.stdout.write(json.dumps(answers) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
