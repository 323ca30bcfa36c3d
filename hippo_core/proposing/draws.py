"""Random numbers for proposals: they follow from a study's seed, a trial's number, and what they are for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from hippo_core.engine.proposals import ProposalTask
from hippo_core.values import Scalar

Point = tuple[dict[str, Scalar], dict[str, Any]]
"""An assignment, and what the sampler noted."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Every point of a finite space is a trial already; ``points`` is how many there are."""

    points: int


def digest(*words: int | str) -> int:
    """A number of 32 bits that follows from words."""
    found = hashlib.sha256(json.dumps(words).encode()).digest()
    return int.from_bytes(found[:4], "big")


def seed_of(task: ProposalTask, attempt: int) -> int:
    """The seed of a try: follows from the study's seed and the trial's number."""
    return digest(task.spec.program.seed, task.trial, attempt) >> 1


def generator(*words: int | str) -> np.random.Generator:
    """A stream of random numbers that follows from words."""
    found = hashlib.sha256(json.dumps(words).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(found, "big")))
