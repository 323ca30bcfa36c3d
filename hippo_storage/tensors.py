"""The tensors and arrays of a state: which bytes there are to save, and how each is made of them again.

A *part* is a run of bytes in the file, named after the place in the state where it was first met. A
*leaf* is one tensor or array object: a view of a part. Two leaves may view one part:

- the same object twice comes back as one object, two tensors over one memory (tied weights) as two again;
- where tensors overlap in memory without being equal, the stretch that they cover is saved once, as bytes;
- tensors that merely lie in one allocation (flattened weights of an LSTM) are saved each on its own.

Strides are kept where a tensor is dense (channels last, transposed), since they choose the kernels that
later steps run, and thereby bits. Others come back contiguous.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hippo_storage.errors import StateError
from hippo_storage.safetensors_file import ITEM_BYTES
from hippo_storage.state_data import dtype_from_plain, dtype_to_plain

if TYPE_CHECKING:
    import torch

_WORDS = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "complex64": "C64", "bool": "BOOL",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8",
}  # fmt: skip


@dataclass(slots=True, kw_only=True, eq=False)
class Part:
    """Bytes that are to be saved: those of `source`, row by row."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    item_bytes: int
    source: Any
    is_on_gpu: bool = False  #: then `hippo_storage.device_copy` brings them


class Collector:
    """Gathers the leaves of a state while it is walked, and then works out the parts."""

    def __init__(self) -> None:
        self._objects: list[Any] = []
        self._paths: list[str] = []
        self._numbers: dict[int, int] = {}
        self._names: set[str] = {"__metadata__"}

    def add(self, path: str, value: Any) -> int | None:
        """Takes a tensor or an array; its number, or None where it is neither.

        Raises:
            StateError: It is one that cannot be saved.
        """
        number = self._numbers.get(id(value))
        if number is None:
            torch_module = sys.modules.get("torch")
            if torch_module is not None and isinstance(value, torch_module.Tensor):
                _require_plain_tensor(path, value, torch_module)
            elif isinstance(value, np.ndarray):
                _require_plain_array(path, value)
            else:
                return None
            # Kept alive in the list, so that no later object can have the same id.
            number = self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
            self._paths.append(path)
        return number

    def parts(self) -> tuple[list[Part], list[dict[str, Any]]]:
        """The parts, and for each leaf, by number, how it is a view of one."""
        parts: list[Part] = []
        leaves: list[dict[str, Any]] = [{} for _ in self._objects]
        tensors = []
        for number, value in enumerate(self._objects):
            if isinstance(value, np.ndarray):
                part = _array_part(self._name(self._paths[number]), value, self._paths[number])
                leaves[number] = _array_leaf(part.name, value, self._paths[number])
                parts.append(part)
            else:
                tensors.append(number)
        for cluster in self._clusters(tensors):
            parts.append(self._tensor_part(cluster, leaves))
        return parts, leaves

    def _clusters(self, numbers: list[int]) -> Iterable[list[int]]:
        """Groups tensors whose memory overlaps, in the order of their first members."""
        memories: dict[Any, list[int]] = {}
        for number in numbers:
            tensor = self._objects[number]
            # Tensors without elements have no memory: each is alone.
            place = tensor.untyped_storage().data_ptr() if tensor.numel() else None
            memories.setdefault((tensor.device, place) if place else number, []).append(number)
        clusters: list[list[int]] = []
        for members in memories.values():
            if len(members) == 1:
                clusters.append(members)
                continue
            end = -1
            for number in sorted(members, key=lambda each: (_extent(self._objects[each]), each)):
                start, stop = _extent(self._objects[number])
                if start < end:
                    clusters[-1].append(number)
                else:
                    clusters.append([number])
                end = max(end, stop)
        return sorted((sorted(cluster) for cluster in clusters), key=lambda cluster: cluster[0])

    def _tensor_part(self, cluster: list[int], leaves: list[dict[str, Any]]) -> Part:
        first = self._objects[cluster[0]]
        name = self._name(self._paths[cluster[0]])
        if len(cluster) == 1 or len({_geometry(self._objects[number]) for number in cluster}) == 1:
            for number in cluster:
                leaves[number] = _tensor_leaf(name, self._objects[number])
            return _tensor_part(name, first)
        for number in cluster:
            if self._objects[number].is_conj() or self._objects[number].is_neg():
                raise StateError(
                    self._paths[number], "a conjugate that shares its memory with another tensor cannot be saved.",
                    "Save a copy: it.resolve_conj().resolve_neg().",
                )  # fmt: skip
        extents = [_extent(self._objects[number]) for number in cluster]
        start, stop = min(extent[0] for extent in extents), max(extent[1] for extent in extents)
        for number in cluster:
            tensor = self._objects[number]
            leaves[number] = _tensor_leaf(name, tensor)
            leaves[number]["stride"] = list(tensor.stride())
            leaves[number]["offset_bytes"] = _extent(tensor)[0] - start
        import torch

        covered = torch.empty(0, dtype=torch.uint8, device=first.device)
        covered.set_(first.untyped_storage(), start, (stop - start,), (1,))
        return _tensor_part(name, covered)

    def _name(self, path: str) -> str:
        name = path or "state"
        count = 1
        while name in self._names:
            count += 1
            name = f"{path}#{count}"
        self._names.add(name)
        return name


def tensor_of(leaf: dict[str, Any], data: torch.Tensor) -> torch.Tensor:
    """Makes a tensor over the bytes of its part, a one-dimensional uint8 tensor."""
    import torch

    dtype = torch_dtype(leaf["dtype"])
    shape = tuple(leaf["shape"])
    offset_bytes: int | None = leaf.get("offset_bytes")
    stride: list[int] | None = leaf.get("stride")
    if offset_bytes is not None and stride is not None:
        tensor = torch.empty(0, dtype=dtype, device=data.device)
        tensor.set_(data.untyped_storage(), offset_bytes // dtype.itemsize, shape, tuple(stride))
    else:
        tensor = data.view(dtype).reshape(shape)
        if stride is not None:
            tensor = torch.empty_strided(shape, stride, dtype=dtype, device=data.device).copy_(tensor)
    if leaf.get("parameter"):
        return torch.nn.Parameter(tensor, requires_grad=leaf["requires_grad"])
    return tensor.requires_grad_(leaf["requires_grad"])


def array_of(leaf: dict[str, Any], data: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, Any]:
    """Makes an array over the bytes of its part."""
    dtype = dtype_from_plain(leaf["dtype"])
    shape = tuple(leaf["shape"])
    array = data.view(dtype).reshape(shape) if data.size else np.empty(shape, dtype)
    return np.asfortranarray(array) if leaf["order"] == "F" else array


def torch_dtype(name: str) -> torch.dtype:
    """The type of torch by this name."""
    import torch

    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"torch {torch.__version__} has no type {name}")
    return dtype


def _require_plain_array(path: str, array: np.ndarray[Any, Any]) -> None:
    if type(array) is not np.ndarray:
        kind = type(array)
        raise StateError(
            path, f"an array of class {kind.__module__}.{kind.__qualname__} cannot be saved.",
            "Save numpy.array(it) instead.",
        )  # fmt: skip
    dtype_to_plain(array.dtype, path)


def _require_plain_tensor(path: str, tensor: torch.Tensor, torch_module: Any) -> None:
    kind = type(tensor)
    if kind is not torch_module.Tensor and kind is not torch_module.nn.Parameter:
        reason = f"a tensor of class {kind.__module__}.{kind.__qualname__}"
    elif tensor.layout is not torch_module.strided:
        reason = f"a tensor of layout {tensor.layout}"
    elif tensor.is_quantized or tensor.is_nested or tensor.is_meta:
        reason = "a tensor that is quantized, nested or without data"
    else:
        return
    raise StateError(path, f"{reason} cannot be saved.", "Save the plain tensors it is made of instead.")


def _array_part(name: str, array: np.ndarray[Any, Any], path: str) -> Part:
    word = _WORDS.get(array.dtype.name, "") if array.dtype.str[:1] in "<|" else ""
    return _part(name, word, array.shape, array.dtype.itemsize, array)


def _array_leaf(name: str, array: np.ndarray[Any, Any], path: str) -> dict[str, Any]:
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    return {
        "kind": "array",
        "part": name,
        "dtype": dtype_to_plain(array.dtype, path),
        "shape": list(array.shape),
        "order": "F" if fortran else "C",
    }


def _tensor_part(name: str, tensor: torch.Tensor) -> Part:
    word = _WORDS.get(_dtype_name(tensor.dtype), "")
    source = tensor.detach() if tensor.requires_grad else tensor
    part = _part(name, word, tensor.shape, tensor.element_size(), source)
    part.is_on_gpu = tensor.is_cuda
    return part


def _part(name: str, word: str, shape: tuple[int, ...], item_bytes: int, source: Any) -> Part:
    size_bytes = math.prod(shape) * item_bytes
    if not word:
        # Not a type of the format: its bytes are, and what they mean stands in the structure.
        word, shape = "U8", (*shape, item_bytes)
    assert ITEM_BYTES[word] in (1, item_bytes)
    return Part(
        name=name, dtype=word, shape=tuple(shape), size_bytes=size_bytes, item_bytes=item_bytes, source=source
    )


def _tensor_leaf(name: str, tensor: torch.Tensor) -> dict[str, Any]:
    # Its kind is one of two; to look torch up for each would take as long as all else here.
    is_parameter = type(tensor).__name__ == "Parameter"
    about = _tensor_about(
        tensor.dtype, tensor.shape, tensor.stride(), tensor.requires_grad, is_parameter, tensor.device
    )
    return {"part": name, **about}


@lru_cache(4096)
def _tensor_about(
    dtype: torch.dtype,
    shape: torch.Size,
    stride: tuple[int, ...],
    requires_grad: bool,
    is_parameter: bool,
    device: torch.device,
) -> dict[str, Any]:
    """What a leaf says of a tensor; not to be changed, as tensors alike share it."""
    about: dict[str, Any] = {
        "kind": "tensor",
        "dtype": _dtype_name(dtype),
        "shape": list(shape),
        "requires_grad": requires_grad,
    }
    # Also where only dimensions of length one differ: torch tells channels last by their strides.
    if stride != _row_by_row(shape) and _is_dense(shape, stride):
        about["stride"] = list(stride)
    if device.type != "cpu":
        about["device"] = str(device)
    if is_parameter:
        about["parameter"] = True
    return about


@cache
def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _geometry(tensor: torch.Tensor) -> tuple[Any, ...]:
    return (
        tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.storage_offset(), tensor.is_conj(), tensor.is_neg()
    )  # fmt: skip


def _extent(tensor: torch.Tensor) -> tuple[int, int]:
    """First byte, and the one after the last, of the memory that a tensor covers in its storage."""
    first = int(tensor.storage_offset())
    last = first
    for length, stride in zip(tensor.shape, tensor.stride(), strict=True):
        last += (length - 1) * stride
    return first * tensor.element_size(), (last + 1) * tensor.element_size()


def _row_by_row(shape: torch.Size) -> tuple[int, ...]:
    """The strides that a new tensor of this shape has."""
    strides: list[int] = []
    stride = 1
    for length in reversed(shape):
        strides.append(stride)
        stride *= max(length, 1)
    return tuple(reversed(strides))


def _is_dense(shape: torch.Size, stride: tuple[int, ...]) -> bool:
    """Whether the elements lie side by side without hole or overlap, in whatever order of dimensions."""
    if not shape.numel():
        return True
    expected = 1
    for step, length in sorted(zip(stride, shape, strict=True)):
        if length == 1:
            continue
        if step != expected:
            return False
        expected *= length
    return True
