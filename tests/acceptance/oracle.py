"""What trials give when they are trained alone, by plain loops in a process that does not know Hippo."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

STUDY_FOLDER = Path(__file__).parent / "study"
sys.path.insert(0, str(STUDY_FOLDER))

from bare import digest as weights_digest  # noqa: E402

Values = Sequence[dict[str, Any]]


def bare(trainer: str, trials: Sequence[Values], seed: int = 0, device: str = "cpu") -> list[dict[str, Any]]:
    """For each trial its metrics by step and a digest of its weights."""
    done = subprocess.run(
        [sys.executable, str(STUDY_FOLDER / "bare.py")],
        input=json.dumps({"trainer": trainer, "seed": seed, "trials": trials, "device": device}),
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def distinct_prefixes(trials: Sequence[Values]) -> int:
    """How many different value prefixes there are, by brute force."""
    found = set()
    for values in trials:
        prefix: tuple[Any, ...] = ()
        for step in values:
            prefix = (*prefix, tuple(sorted(step.items())))
            found.add(prefix)
    return len(found)


def digest(weights: dict[str, torch.Tensor]) -> str:
    """The bits of all tensors, as ``bare`` tells them."""
    return weights_digest(weights)


# The schedules of the acceptance studies, written out by hand.
STEPS = 8
RATES = [
    [0.1] * 8,
    [0.1] * 3 + [0.01] * 5,
    [0.1] * 5 + [0.03] * 3,
    [0.1] * 5 + [0.03, 0.001, 0.001],
]
BATCHES = [[16] * 8, [16] * 4 + [32] * 4]
MOMENTA = [[0.9] * 8, [0.9] * 2 + [0.5] * 6]
SPACE = """{
        "lr": space.choice([
            0.1,
            schedules.piecewise([0.1, 0.01], [3]),
            schedules.piecewise([0.1, 0.03], [5]),
            schedules.piecewise([0.1, 0.03, 0.001], [5, 6]),
        ]),
        "batch_size": space.choice([16, schedules.piecewise([16, 32], [4])]),
        "momentum": space.choice([0.9, schedules.piecewise([0.9, 0.5], [2])]),
    }"""
GRID: list[Values] = [
    [{"batch_size": b, "lr": r, "momentum": m} for r, b, m in zip(rates, batches, momenta, strict=True)]
    for rates in RATES
    for batches in BATCHES
    for momenta in MOMENTA
]


def study_file(trainer: str, name: str, extra: str = "max_steps=8") -> str:
    """A study file over the grid."""
    return f"""
import hippo_client as hippo
from hippo_client import policies, samplers, schedules, space

study = hippo.Study(
    "trainers:{trainer}",
    {SPACE},
    name="{name}",
    maximize="accuracy",
    {extra},
)
"""
