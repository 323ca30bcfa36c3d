"""Random numbers: where they start, and their state.

Hippo seeds what a trainer can draw from without asking: Python's ``random``, NumPy's global generator, and torch's
default generators of all devices, once, before ``setup``. A bare loop that is to give the same bits does::

    random.seed(seed); numpy.random.seed(seed % 2**32); torch.manual_seed(seed)

Everything else that is random (orders, seeds of items) is derived from the seed and the words that say what for.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

_PYTHON = "<625I"  #: the words of Python's generator, and the position in them


def derive(seed: int, *words: str | int) -> int:
    """A seed of its own for each purpose: 63 bits, the same on every machine.

    Args:
        seed: The study's seed.
        words: What it is for, e.g. ``"order", 3``.
    """
    text = repr((seed, *words)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and torch on all devices."""
    seed_host(seed)
    if torch.accelerator.is_available():
        # Where there is none, torch would keep the seed for later, with a stack each time, and for ever.
        torch.manual_seed(seed)


def seed_host(seed: int) -> None:
    """Seeds Python, NumPy and torch on the processor alone, as it is done before each item of a data set."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)


@dataclass(frozen=True, slots=True)
class Generators:
    """The state of all global generators at one time.

    Attributes:
        python: Python's.
        numpy: NumPy's, as plain data.
        processor: torch's on the processor.
        accelerator: torch's on the GPU; None where that does not count.
    """

    python: tuple[Any, ...]
    numpy: dict[str, Any]
    processor: torch.Tensor
    accelerator: torch.Tensor | None

    @classmethod
    def capture(cls, device: str) -> Self:
        """Their state now.

        Args:
            device: "cpu" or "cuda"; the generators of GPUs count only in the latter case.
        """
        accelerator = torch.cuda.get_rng_state() if device == "cuda" else None
        return cls(random.getstate(), _capture_numpy(), torch.get_rng_state(), accelerator)

    def restore(self) -> None:
        """Puts them back."""
        random.setstate(self.python)
        _restore_numpy(self.numpy)
        torch.set_rng_state(self.processor)
        if self.accelerator is not None:
            torch.cuda.set_rng_state(self.accelerator)

    def plain(self) -> dict[str, Any]:
        """The same as plain data, which is saved with less ado than tensors are."""
        version, words, waiting = self.python
        state: dict[str, Any] = {
            "python": (version, struct.pack(_PYTHON, *words), waiting),
            "numpy": self.numpy,
            "torch": self.processor.numpy().tobytes(),
        }
        if self.accelerator is not None:
            state["cuda"] = self.accelerator
        return state


def capture_random_state(device: str) -> dict[str, Any]:
    """The state of all global generators, as plain data.

    Args:
        device: "cpu" or "cuda"; the generators of GPUs count only in the latter case.
    """
    return Generators.capture(device).plain()


def restore_random_state(state: Mapping[str, Any]) -> None:
    """The inverse of `capture_random_state`."""
    version, words, waiting = state["python"]
    random.setstate((version, struct.unpack(_PYTHON, words), waiting))
    _restore_numpy(state["numpy"])
    torch.set_rng_state(torch.frombuffer(bytearray(state["torch"]), dtype=torch.uint8))
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def random_state_kept(device: str) -> Iterator[None]:
    """Puts the state of all global generators back at the end.

    Args:
        device: "cpu" or "cuda".
    """
    before = Generators.capture(device)
    try:
        yield
    finally:
        before.restore()


def _capture_numpy() -> dict[str, Any]:
    """NumPy's global state as plain data.

    It is read whole each time: a normal number that was drawn and waits to be handed out is part of it, and shows
    neither in the generator's memory nor in anything else that were faster to compare.
    """
    state = np.random.get_state(legacy=False)
    assert isinstance(state, dict)
    if state["bit_generator"] != "MT19937":
        return state
    inner = state["state"]
    return {**state, "state": {**inner, "key": inner["key"].astype("<u4", copy=False).tobytes()}}


def _restore_numpy(state: Mapping[str, Any]) -> None:
    """The inverse of `_capture_numpy`."""
    if state["bit_generator"] == "MT19937":
        inner = state["state"]
        # NumPy reads the words one by one, which takes three times as long from an array as from a list.
        state = {**state, "state": {**inner, "key": np.frombuffer(inner["key"], "<u4").tolist()}}
    np.random.set_state(dict(state))
