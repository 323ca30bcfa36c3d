"""What trials give when they are trained alone, by plain loops in a process that does not know Hippo."""

from __future__ import annotations

import atexit
import functools
import json
import os
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
    loops = _loops(os.environ.get("CUDA_VISIBLE_DEVICES"))
    assert loops.stdin is not None
    assert loops.stdout is not None
    loops.stdin.write(
        json.dumps({"trainer": trainer, "seed": seed, "trials": trials, "device": device}) + "\n"
    )
    loops.stdin.flush()
    answer = loops.stdout.readline()
    assert answer, f"the plain loops ended with exit code {loops.wait()}"
    found: list[dict[str, Any]] = json.loads(answer)
    return found


@functools.cache
def _loops(devices: str | None) -> subprocess.Popen[str]:
    """The process of the plain loops, which sees these devices; it goes when its input ends."""
    loops = subprocess.Popen(
        [sys.executable, str(STUDY_FOLDER / "bare.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert loops.stdin is not None
    assert loops.stdout is not None
    atexit.register(loops.stdout.close)
    atexit.register(loops.wait)
    atexit.register(loops.stdin.close)
    return loops


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
