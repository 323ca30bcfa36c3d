"""The tensor file is safetensors, as others read and write it."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hippo_storage import state as states
from hippo_storage.safetensors_file import ITEM_BYTES, TensorEntry, encode_header, read_header
from tests.unit.storage.likeness import tensor_bytes

TYPES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.int32: "I32",
    torch.int64: "I64", torch.uint16: "U16", torch.uint32: "U32", torch.uint64: "U64", torch.float16: "F16",
    torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64", torch.complex64: "C64",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip


def independent(path: Path) -> dict[str, tuple[str, list[int], bytes]]:
    """Reads by the format's own description: length, JSON, bytes without holes."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    assert (8 + length) % 8 == 0
    covered = sorted(tuple(about["data_offsets"]) for about in header.values())
    ends = [0, *(end for _, end in covered)]
    assert [start for start, _ in covered] == ends[:-1], "no holes, no overlap"
    assert ends[-1] == len(body)
    return {
        name: (about["dtype"], about["shape"], body[slice(*about["data_offsets"])])
        for name, about in header.items()
    }


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_every_type_is_written_as_the_format_says(tmp_path: Path) -> None:
    tensors = {
        str(dtype): torch.arange(48, dtype=torch.uint8).remainder(2).view(dtype).reshape(3, -1)
        for dtype in TYPES
    }
    tensors["scalar"] = torch.tensor(3.5)
    tensors["none"] = torch.empty(0, 4)
    states.write(states.capture(tensors), tmp_path)
    found = independent(tmp_path / states.TENSORS)
    for name, tensor in tensors.items():
        assert found[name] == (TYPES[tensor.dtype], list(tensor.shape), tensor_bytes(tensor))
    for start, entry in _entries(tmp_path):
        assert (start + entry.start) % ITEM_BYTES[entry.dtype] == 0, (
            "aligned, so that others may map the file"
        )


def _entries(folder: Path) -> list[tuple[int, TensorEntry]]:
    path = folder / states.TENSORS
    with path.open("rb", buffering=0) as file:
        entries, start = read_header(file, path.stat().st_size)
    return [(start, entry) for entry in entries.values()]


def test_types_that_the_format_lacks_are_bytes(tmp_path: Path) -> None:
    tensors = {"wide": torch.ones(2, dtype=torch.complex128), "dates": np.array(["2020-01-01"], "M8[D]")}
    states.write(states.capture(tensors), tmp_path)
    found = independent(tmp_path / states.TENSORS)
    assert found["wide"][:2] == ("U8", [2, 16])
    assert found["dates"][:2] == ("U8", [1, 8])


def test_a_file_by_others_is_read() -> None:
    header = json.dumps(
        {"__metadata__": {"format": "pt"}, "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
         "e": {"dtype": "F32", "shape": [0], "data_offsets": [4, 4]},
         "a": {"dtype": "U8", "shape": [2, 2], "data_offsets": [0, 4]}}
    ).encode()  # fmt: skip
    data = len(header).to_bytes(8, "little") + header + b"abcdefgh"
    entries, start = read_header(io.BytesIO(data), len(data))  # type: ignore[arg-type]
    assert list(entries) == ["a", "e", "b"]
    assert start == 8 + len(header)


def entry(**changes: object) -> dict[str, object]:
    return {"dtype": "U8", "shape": [4], "data_offsets": [0, 4], **changes}


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry(data_offsets=[0, 5])}, {"a": entry(data_offsets=[1, 5])}, {"a": entry(shape=[-4])},
        {"a": entry(shape=[2**62, 4])}, {"a": entry(dtype="F4")}, {"a": entry(dtype=None)}, {"a": entry(shape=None)},
        {"a": entry(shape=[4.0])}, {"a": entry(shape=[True, 4])}, {"a": entry(data_offsets=[0])}, {"a": None},
        {"a": []}, [], 3, {"a": entry(), "b": entry()}, {"a": entry(), "b": entry(data_offsets=[3, 7])}, {},
        {"a": {"dtype": "U8", "shape": [4]}},
    ],
)  # fmt: skip
def test_headers_that_make_no_sense_are_refused(header: object) -> None:
    encoded = json.dumps(header).encode()
    data = len(encoded).to_bytes(8, "little") + encoded + b"abcd"
    with pytest.raises(ValueError):
        read_header(io.BytesIO(data), len(data))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data", [b"", b"\1\0\0", b"\xff" * 8, (2**40).to_bytes(8, "little") + b"{}", b"\2" + b"\0" * 7]
)
def test_what_is_too_short_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_header(io.BytesIO(data), len(data))  # type: ignore[arg-type]


def test_a_header_begins_the_data_at_a_multiple_of_eight() -> None:
    for length in range(20):
        found = encode_header([TensorEntry(name="n" * length, dtype="U8", shape=(1,), start=0)])
        assert len(found) % 8 == 0
