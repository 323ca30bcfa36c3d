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

from hippo_worker.hosting.generator_memory import NumpyMemory, PythonMemory, numpy_memory, python_memory

_PYTHON_VERSION = 3
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
        python: Python's; plain data, where its memory was not to be read.
        numpy: NumPy's, likewise.
        processor: torch's on the processor.
        accelerator: torch's on the GPU; None where that does not count.
    """

    python: PythonMemory | tuple[Any, ...]
    numpy: NumpyMemory | dict[str, Any]
    processor: torch.Tensor
    accelerator: torch.Tensor | None

    @classmethod
    def capture(cls, device: str) -> Self:
        """Their state now.

        Args:
            device: "cpu" or "cuda"; the generators of GPUs count only in the latter case.
        """
        accelerator = torch.cuda.get_rng_state() if device == "cuda" else None
        python, numpy = python_memory() or _capture_python(), numpy_memory() or _capture_numpy()
        return cls(python, numpy, torch.get_rng_state(), accelerator)

    def restore(self) -> None:
        """Puts them back; those that are as they were need not be, which is seen sooner than it is done."""
        if not (isinstance(self.python, PythonMemory) and self.python.is_now()):
            _restore_python(self._plain_python())
        if not (isinstance(self.numpy, NumpyMemory) and self.numpy.is_now()):
            _restore_numpy(self._plain_numpy())
        torch.set_rng_state(self.processor)
        if self.accelerator is not None:
            torch.cuda.set_rng_state(self.accelerator)

    def plain(self) -> dict[str, Any]:
        """The same as plain data, which is saved with less ado than tensors are."""
        state: dict[str, Any] = {
            "python": self._plain_python(),
            "numpy": self._plain_numpy(),
            "torch": self.processor.numpy().tobytes(),
        }
        if self.accelerator is not None:
            state["cuda"] = self.accelerator
        return state

    def _plain_python(self) -> tuple[Any, ...]:
        python = self.python
        return (_PYTHON_VERSION, python.words, python.waiting) if isinstance(python, PythonMemory) else python

    def _plain_numpy(self) -> dict[str, Any]:
        return self.numpy.plain() if isinstance(self.numpy, NumpyMemory) else self.numpy


def capture_random_state(device: str) -> dict[str, Any]:
    """The state of all global generators, as plain data.

    Args:
        device: "cpu" or "cuda"; the generators of GPUs count only in the latter case.
    """
    return Generators.capture(device).plain()


def restore_random_state(state: Mapping[str, Any]) -> None:
    """The inverse of `capture_random_state`."""
    _restore_python(state["python"])
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


def _capture_python() -> tuple[Any, ...]:
    """Python's global state as plain data."""
    version, words, waiting = random.getstate()
    return version, struct.pack(_PYTHON, *words), waiting


def _restore_python(state: tuple[Any, ...]) -> None:
    """The inverse of `_capture_python`."""
    version, words, waiting = state
    random.setstate((version, struct.unpack(_PYTHON, words), waiting))


def _capture_numpy() -> dict[str, Any]:
    """NumPy's global state as plain data."""
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
