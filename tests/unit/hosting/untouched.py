"""Puts back what a host changes in the process that it runs in."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from hippo_worker.hosting.numerics import capture_numerics, restore_numerics


@contextmanager
def untouched() -> Iterator[None]:
    threads, numerics = torch.get_num_threads(), capture_numerics()
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    path = list(sys.path)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        restore_numerics(numerics)
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        sys.path[:] = path
