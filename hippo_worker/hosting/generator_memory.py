"""The memory of the generators that Python and NumPy share among all code, read as it lies there.

Their own ways to tell their states take 15 and 60 us, and states are read before and after each evaluation. Where the
parts lie is found out with generators that are put into known states. Where that fails, or a generator is of
another kind, there is None, and the generator is to be asked.
"""

from __future__ import annotations

import ctypes
import random
import struct
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

WORDS_BYTES = 4 * 624  #: both are Mersenne twisters
_POSITION_BYTES = 4
_NORMAL = struct.Struct("<i4xd")  #: whether a normal number waits to be handed out, and which
_PROBES = ((1, 0.8125), (1, -3.5e100), (0, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class PythonMemory:
    """The state of Python's generator.

    Attributes:
        words: Its words, and the position in them.
        waiting: A normal number that waits to be handed out.
    """

    words: bytes
    waiting: float | None

    def is_now(self) -> bool:
        """Whether the generator is in this state."""
        now = python_memory()
        return now is not None and now.words == self.words and now.waiting is self.waiting


@dataclass(frozen=True, slots=True, eq=False)
class NumpyMemory:
    """The state of NumPy's generator: its words, the position in them, and a normal number that waits."""

    whole: bytes

    def is_now(self) -> bool:
        """Whether the generator is in this state."""
        now = numpy_memory()
        return now is not None and now.whole == self.whole

    def plain(self) -> dict[str, Any]:
        """What ``numpy.random.get_state`` gives, with the words as bytes."""
        end = WORDS_BYTES + _POSITION_BYTES
        has_normal, normal = _NORMAL.unpack_from(self.whole, end)
        position = int.from_bytes(self.whole[WORDS_BYTES:end], "little")
        state = {"key": self.whole[:WORDS_BYTES], "pos": position}
        return {"bit_generator": "MT19937", "state": state, "has_gauss": has_normal, "gauss": normal}


def python_memory() -> PythonMemory | None:
    """The state of Python's generator now."""
    start, shared = _python_start(), _python_shared()
    if start is None:
        return None
    memory = ctypes.string_at(id(shared) + start, _POSITION_BYTES + WORDS_BYTES)
    return PythonMemory(memory[_POSITION_BYTES:] + memory[:_POSITION_BYTES], shared.gauss_next)


def numpy_memory() -> NumpyMemory | None:
    """The state of NumPy's generator now."""
    source: Any = np.random.mtrand.get_bit_generator()
    shared, normal_start = np.random.mtrand._rand, _numpy_normal_start()
    if (
        normal_start is None
        or type(source) is not np.random.MT19937
        or type(shared) is not np.random.RandomState
    ):
        return None
    with source.lock:
        words = ctypes.string_at(source.ctypes.state_address, WORDS_BYTES + _POSITION_BYTES)
        return NumpyMemory(words + ctypes.string_at(id(shared) + normal_start, _NORMAL.size))


def _python_shared() -> Any:
    return random.getstate.__self__  # type: ignore[attr-defined]


@cache
def _python_start() -> int | None:
    """Where in Python's generator the position lies, which the words follow."""
    if sys.byteorder != "little" or type(_python_shared()) is not random.Random:
        return None
    probe, words = random.Random(), range(1, 625)
    probe.setstate((3, (*words, 321), None))
    memory = ctypes.string_at(id(probe), random.Random.__basicsize__)
    start = memory.find(struct.pack("<625I", 321, *words))
    return None if start < 0 else start


@cache
def _numpy_normal_start() -> int | None:
    """Where in NumPy's generator it stands whether a normal number waits; the words lie where NumPy tells."""
    if sys.byteorder != "little":
        return None
    source = np.random.MT19937()
    probe, words = np.random.RandomState(source), np.arange(1, 625, dtype=np.uint32)
    size_bytes = np.random.RandomState.__basicsize__
    starts = set(range(0, size_bytes - _NORMAL.size + 1, 4))
    for has_normal, normal in _PROBES:
        probe.set_state(("MT19937", words, 321, has_normal, normal))
        memory = ctypes.string_at(id(probe), size_bytes)
        starts = {start for start in starts if _NORMAL.unpack_from(memory, start) == (has_normal, normal)}
    told = ctypes.string_at(source.ctypes.state_address, WORDS_BYTES + _POSITION_BYTES)
    if len(starts) != 1 or told != words.tobytes() + (321).to_bytes(_POSITION_BYTES, "little"):
        return None
    return starts.pop()
