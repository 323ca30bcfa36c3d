"""Whether two states are the same, bit for bit; written apart from the code under test."""

import struct
from collections import OrderedDict, defaultdict, deque
from typing import Any

import numpy as np
import torch


def assert_same(left: Any, right: Any, path: str = "state") -> None:
    assert type(left) is type(right), f"{path}: {type(left)} and {type(right)}"
    if isinstance(left, torch.Tensor):
        _assert_same_tensor(left, right, path)
    elif isinstance(left, np.ndarray):
        _assert_same_array(left, right, path)
    elif isinstance(left, np.generic):
        assert left.dtype == right.dtype, path
        assert left.tobytes() == right.tobytes(), path
    elif isinstance(left, float):
        assert struct.pack("<d", left) == struct.pack("<d", right), path
    elif isinstance(left, complex):
        assert struct.pack("<dd", left.real, left.imag) == struct.pack("<dd", right.real, right.imag), path
    elif isinstance(left, dict):
        _assert_same_dict(left, right, path)
    elif isinstance(left, (list, tuple, deque)):
        assert len(left) == len(right), path
        if isinstance(left, deque):
            assert left.maxlen == right.maxlen, path
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            assert_same(one, other, f"{path}[{index}]")
    elif isinstance(left, (set, frozenset)):
        assert sorted(map(_sortable, left)) == sorted(map(_sortable, right)), path
    else:
        assert left == right, path


def _assert_same_dict(left: dict[Any, Any], right: dict[Any, Any], path: str) -> None:
    assert len(left) == len(right), path
    for (left_key, left_value), (right_key, right_value) in zip(left.items(), right.items(), strict=True):
        assert_same(left_key, right_key, f"{path} key")
        assert_same(left_value, right_value, f"{path}[{left_key!r}]")
    if isinstance(left, defaultdict):
        assert left.default_factory is getattr(right, "default_factory"), path  # noqa: B009
    if isinstance(left, OrderedDict):
        assert getattr(left, "_metadata", None) == getattr(right, "_metadata", None), path


def _assert_same_tensor(left: torch.Tensor, right: torch.Tensor, path: str) -> None:
    assert left.dtype == right.dtype, path
    assert left.shape == right.shape, path
    assert left.requires_grad == right.requires_grad, path
    assert tensor_bytes(left) == tensor_bytes(right), path


def _assert_same_array(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any], path: str) -> None:
    assert left.dtype == right.dtype, path
    assert left.dtype.byteorder == right.dtype.byteorder, path
    assert left.shape == right.shape, path
    assert left.tobytes() == right.tobytes(), path
    assert right.flags.writeable, path
    if left.flags.f_contiguous and not left.flags.c_contiguous:
        assert right.flags.f_contiguous, path


def tensor_bytes(tensor: torch.Tensor) -> bytes:
    flat = torch.empty(tensor.numel(), dtype=tensor.dtype).copy_(tensor.detach().reshape(-1))
    return bytes(flat.view(torch.uint8).numpy().tobytes()) if flat.numel() else b""


def _sortable(value: Any) -> tuple[str, str]:
    if isinstance(value, float):
        return "float", struct.pack("<d", value).hex()
    if isinstance(value, (tuple, frozenset)):
        inner = [_sortable(each) for each in value]
        return type(value).__name__, repr(sorted(inner) if isinstance(value, frozenset) else inner)
    return type(value).__name__, repr(value)
