"""Whether a value's bytes have changed: digests of plain data, tensors and arrays.

Plain data run through the C pickler into a hash, so that a list of a million names costs milliseconds; nothing is
ever unpickled. What is no plain data stops it.
"""

from __future__ import annotations

import contextlib
import pickle
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import PurePath
from typing import Any

import blake3
import numpy as np
import torch

from hippo_worker.hosting.device_digest import LEAST_BYTES, device_digest

_PLAIN_OBJECTS = (
    OrderedDict,
    defaultdict,
    deque,
    Counter,
    bytearray,
    complex,
    torch.Size,
    torch.dtype,
    torch.device,
)
_FACTORIES = (list, dict, set, tuple, int, float, str, bytes, bool, complex, bytearray)


class NotPlain(Exception):
    """The value holds something that is no plain data."""


class Print:
    """The digest of a value.

    Attributes:
        digest: Equal where the value's bytes are.
        size: How much was hashed, tensors and arrays not counted.
        bulky: Whether there are tensors or arrays in it.
    """

    __slots__ = ("_hash", "bulky", "digest", "size")

    def __init__(self) -> None:
        self._hash = blake3.blake3()
        self.digest = b""
        self.size = 0
        self.bulky = False

    def write(self, data: bytes) -> int:
        """Takes what the pickler writes."""
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def finish(self) -> Print:
        """Settles the digest."""
        self.digest = self._hash.digest()
        return self


class _Hasher(pickle.Pickler):
    """A pickler that hashes tensors and arrays instead of writing them, and refuses what is not plain."""

    def __init__(self, into: Print) -> None:
        super().__init__(into, protocol=5)
        self._into = into

    def reducer_override(self, obj: Any) -> Any:
        """Tensors and arrays by their digests; plain types as pickle does it; nothing else."""
        if isinstance(obj, torch.Tensor):
            self._into.bulky = True
            return bytes, (tensor_digest(obj),)
        if type(obj) is np.ndarray:
            self._into.bulky = True
            return bytes, (array_digest(obj),)
        if isinstance(obj, (np.generic, PurePath)) or type(obj) in _PLAIN_OBJECTS or obj in _REDUCERS:
            return NotImplemented
        raise NotPlain(type(obj).__qualname__)


class _Reducers:
    """The functions that the plain types themselves pickle by."""

    def __contains__(self, obj: object) -> bool:
        if isinstance(obj, type):
            return (
                obj in _FACTORIES
                or obj in _PLAIN_OBJECTS
                or issubclass(obj, (PurePath, np.dtype, np.generic))
            )
        if isinstance(obj, np.dtype):
            return True
        return getattr(obj, "__module__", None) in ("numpy._core.multiarray", "numpy.core.multiarray")


_REDUCERS = _Reducers()


def fingerprint(value: object) -> Print | None:
    """The digest of a value, or None where it is not plain data, tensors and arrays throughout.

    Equal digests mean equal values. Equal values can have different digests where other objects make them up: this
    tells whether something has changed within one process, not whether two processes agree.
    """
    found = Print()
    try:
        _Hasher(found).dump(value)
    except (NotPlain, RecursionError):
        return None
    return found.finish()


def tensor_digest(tensor: torch.Tensor) -> bytes:
    """The digest of a tensor's type, shape, place, bytes and gradient; NotPlain where it has no plain bytes."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta or type(tensor) not in (
        torch.Tensor,
        torch.nn.Parameter,
    ):  # fmt: skip
        raise NotPlain(f"{tensor.layout} tensor")
    about = (
        str(tensor.dtype),
        tuple(tensor.shape),
        tensor.device.type,
        tensor.is_leaf and tensor.requires_grad,
    )
    hashed = blake3.blake3(repr(about).encode())
    hashed.update(tensor_content(tensor))
    if tensor.is_leaf and tensor.grad is not None:
        hashed.update(b"grad")
        hashed.update(tensor_content(tensor.grad))
    return hashed.digest()


def tensor_content(tensor: torch.Tensor) -> memoryview | bytes:
    """A tensor's bytes in the order of its elements; of many on a GPU, which a host would wait for, their digest."""
    flat = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)
    if flat.is_cuda and len(flat) >= LEAST_BYTES:
        # A GPU that is full has no room for sums either. Then the value counts as changed, and is saved.
        with contextlib.suppress(torch.OutOfMemoryError):
            return device_digest(flat)
    return flat.cpu().numpy().data


def array_digest(array: np.ndarray[Any, Any]) -> bytes:
    """The digest of an array's type, shape and bytes; NotPlain for arrays of Python objects."""
    if array.dtype.hasobject:
        raise NotPlain("array of objects")
    hashed = blake3.blake3(repr((array.dtype.descr, array.shape)).encode())
    hashed.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return hashed.digest()
