"""Reading and writing the safetensors format, without a copy of the data.

Eight bytes with the header's length, the header as JSON (``{name: {"dtype", "shape", "data_offsets"}}``),
and then the tensors' bytes, row by row, little-endian, without holes. Written by us, since the library's
writer takes a copy of all and gives no hand to hash it on the way.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import RawIOBase
from typing import Any

MAX_HEADER_BYTES = 100 << 20
_COMPACT = json.JSONEncoder(separators=(",", ":"))

ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorEntry:
    """One tensor of a file.

    Attributes:
        name: Unique in the file.
        dtype: A word of the format, a key of `ITEM_BYTES`.
        shape: Its lengths; empty for a scalar.
        start: Where its bytes begin, counted from the first tensor's first byte.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def size_bytes(self) -> int:
        """How many bytes it has."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


def encode_header(entries: Sequence[TensorEntry]) -> bytes:
    """The bytes that come before the data; padded so that the data begin at a multiple of eight."""
    body = {
        entry.name: {
            "dtype": entry.dtype,
            "shape": list(entry.shape),
            "data_offsets": [entry.start, entry.start + entry.size_bytes],
        }
        for entry in entries
    }
    header = _COMPACT.encode(body).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


def read_header(file: RawIOBase, size_bytes: int) -> tuple[dict[str, TensorEntry], int]:
    """Reads and checks a header.

    Args:
        file: Open at its beginning.
        size_bytes: Length of the whole file.

    Returns:
        The tensors by name, in the order of their bytes, and where in the file these begin.

    Raises:
        ValueError: It is not a whole safetensors file without holes.
    """
    length = int.from_bytes(_read(file, 8), "little")
    if length > MAX_HEADER_BYTES or 8 + length > size_bytes:
        raise ValueError(f"a header of {length} bytes in a file of {size_bytes}")
    body = json.loads(_read(file, length))
    if not isinstance(body, dict):
        raise ValueError("the header is no object")
    body.pop("__metadata__", None)
    found = sorted(
        (_entry(name, value) for name, value in body.items()),
        key=lambda entry: (entry.start, entry.size_bytes),
    )
    end = 0
    for entry in found:
        # Empty tensors begin where their neighbour does, and come before it.
        if entry.start != end:
            raise ValueError(f"tensor {entry.name} begins at {entry.start}, not at {end}")
        end += entry.size_bytes
    if 8 + length + end != size_bytes:
        raise ValueError(f"the file has {size_bytes} bytes, its header speaks of {8 + length + end}")
    return {entry.name: entry for entry in found}, 8 + length


def _entry(name: str, value: Any) -> TensorEntry:
    try:
        dtype, shape, (start, stop) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
        if not all(type(number) is int and number >= 0 for number in (*shape, start, stop)):
            raise ValueError(f"tensor {name} has a length or place that is no count")
        entry = TensorEntry(name=name, dtype=dtype, shape=shape, start=start)
        if start + entry.size_bytes != stop:
            raise ValueError(f"tensor {name} has {stop - start} bytes instead of {entry.size_bytes}")
    except (KeyError, TypeError) as error:
        raise ValueError(f"tensor {name} is malformed") from error
    return entry


def _read(file: RawIOBase, count: int) -> bytes:
    data = file.read(count)
    if data is None or len(data) != count:
        raise ValueError("the file ends too early")
    return data
