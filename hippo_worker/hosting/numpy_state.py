"""Keeping the state of NumPy's global generator over an evaluation, at little cost where nothing was drawn from it.

NumPy's own functions take some 45 us to read the state and as much to set it: for short steps that would be most of
what an evaluation costs. So its memory is compared first. Equal memory means an equal state, but for a normal number
that was drawn and waits to be handed out; while one waits, NumPy's own functions are used.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

KEY_BYTES = 624 * 4
STATE_BYTES = KEY_BYTES + 4
"""The generator's words, and the position in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumpyState:
    """A state of NumPy's global generator.

    Attributes:
        state: As NumPy gives and takes it.
        plain: As plain data, with the words of NumPy's own generator as bytes: these are saved faster.
        memory: The generator's memory in this state, where comparing that tells whether it has changed; else None.
    """

    state: dict[str, Any]
    plain: dict[str, Any]
    memory: bytes | None

    def is_present(self) -> bool:
        """Whether the generator is known to be in this state."""
        return self.memory is not None and self.memory == _memory()

    def put_back(self) -> None:
        """Makes it the present one."""
        if not self.is_present():
            np.random.set_state(self.state)


def plain_numpy_state() -> dict[str, Any]:
    """The present state as plain data."""
    return present_numpy_state().plain


def put_plain_numpy_state(plain: Mapping[str, Any]) -> None:
    """The inverse of `plain_numpy_state`."""
    if plain["bit_generator"] != "MT19937":
        np.random.set_state(dict(plain))
    elif plain != plain_numpy_state():
        inner = plain["state"]
        np.random.set_state({**plain, "state": {**inner, "key": np.frombuffer(inner["key"], "<u4")}})


def present_numpy_state() -> NumpyState:
    """The present state; the same object as before where nothing was drawn since."""
    global _last
    if _last is None or not _last.is_present():
        _last = _look()
    return _last


_last: NumpyState | None = None  #: one for the process, as its generator is


def _look() -> NumpyState:
    state = np.random.get_state(legacy=False)
    assert isinstance(state, dict)
    memory = _memory()
    tells = memory is not None and not state["has_gauss"] and _agrees(memory, state)
    return NumpyState(state=state, plain=_plain(state), memory=memory if tells else None)


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    if state["bit_generator"] != "MT19937":
        return state
    key = state["state"]["key"].astype("<u4", copy=False).tobytes()
    return {**state, "state": {**state["state"], "key": key}}


def _memory() -> bytes | None:
    """The memory of the global generator's state; None where it is of another kind than NumPy's own."""
    generator = np.random.mtrand.get_bit_generator()
    if type(generator) is not np.random.MT19937:
        return None
    return ctypes.string_at(generator.ctypes.state_address, STATE_BYTES)


def _agrees(memory: bytes, state: dict[str, Any]) -> bool:
    words: np.ndarray[Any, Any] = state["state"]["key"]
    position = int(state["state"]["pos"]).to_bytes(4, sys.byteorder)
    return memory == words.tobytes() + position
