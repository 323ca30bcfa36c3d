"""How a state's tensors are laid side by side, and read through windows: what of a GPU's copies needs no GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hippo_storage.device_copy import Upload, closed_up, long_copies, room_bytes
from hippo_storage.side_by_side import Piece, copy_into

GIB = 1 << 30
CPU = torch.device("cpu")


def test_tensors_are_laid_side_by_side_and_neighbours_are_one_copy() -> None:
    """The host's memory has a hole between the second piece and the third: another tensor, not of the device."""
    memory = torch.zeros(100, dtype=torch.uint8)
    sources = [
        torch.arange(4.0, dtype=torch.float64),
        torch.arange(6.0).view(2, 3).t(),
        torch.arange(5).short(),
    ]
    places = [(0, 32), (32, 56), (72, 82)]
    pieces = [Piece(source, *place) for source, place in zip(sources, places, strict=True)]
    staging = torch.empty(32 + 24 + 10, dtype=torch.uint8)
    copy_into(staging, closed_up(pieces))
    copies = list(long_copies(pieces, memory, staging))
    for target, source in copies:
        target.copy_(source)
    assert [len(target) for target, _ in copies] == [56, 10]
    for source, (start, stop) in zip(sources, places, strict=True):
        assert bytes(memory[start:stop].tolist()) == bytes_of(source)
    assert not memory[56:72].any()
    assert not memory[82:].any()


def bytes_of(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.contiguous().view(-1).view(torch.uint8).tolist())


def a_tensor(dtype: torch.dtype, shape: list[int], turned: bool) -> torch.Tensor:
    tensor = torch.arange(torch.Size(shape).numel()).to(dtype).view(shape)
    return tensor.permute([*reversed(range(len(shape)))]) if turned else tensor


TENSORS = st.builds(
    a_tensor,
    st.sampled_from([torch.float64, torch.complex64, torch.float32, torch.int32, torch.bfloat16, torch.bool]),
    st.lists(st.integers(1, 4), max_size=3),
    st.booleans(),
)


@given(st.lists(st.tuples(TENSORS, st.integers(0, 2)), max_size=12))
def test_tensors_of_any_types_and_strides_are_copied_row_by_row(
    found: list[tuple[torch.Tensor, int]],
) -> None:
    """Between some of them is a hole of as many elements of eight bytes, which stays as it is."""
    found.sort(key=lambda each: -each[0].element_size())
    pieces, stop = [], 0
    expected = b""
    for tensor, hole in found:
        start = stop + 8 * hole
        stop = start + tensor.numel() * tensor.element_size()
        pieces.append(Piece(tensor, start, stop))
        expected += b"\xff" * (8 * hole) + bytes_of(tensor)
    memory = torch.full((stop,), 255, dtype=torch.uint8)
    copy_into(memory, pieces)
    assert bytes(memory.tolist()) == expected


def test_no_bit_changes_where_tensors_are_joined() -> None:
    """Payloads of NaN, the sign of zero, and numbers whose sign is only noted."""
    odd = torch.tensor([0x7FA00001, -0x005FFFFF, -0x80000000, 1], dtype=torch.int32).view(torch.float32)
    negative = torch.tensor([1 + 2j]).conj().imag
    assert negative.is_neg()
    assert negative.is_contiguous()
    memory = torch.zeros(2 * 16 + 4, dtype=torch.uint8)
    copy_into(memory, [Piece(odd, 0, 16), Piece(odd.clone(), 16, 32)])
    assert bytes(memory[:32].tolist()) == 2 * bytes_of(odd)
    copy_into(memory, [Piece(odd, 0, 16), Piece(negative, 16, 20)])
    assert bytes(memory[:20].tolist()) == bytes_of(odd) + bytes_of(torch.tensor([-2.0]))


@pytest.mark.parametrize(
    ("free", "allowed", "reserved", "most", "room"),
    [
        (70 * GIB, 80 * GIB, 8 * GIB, 8 * GIB, 70 * GIB),  # a device of one's own
        (70 * GIB, 20 * GIB, 8 * GIB, 8 * GIB, 12 * GIB),  # a part of one
        (70 * GIB, 80 * GIB, 1 * GIB, 9 * GIB, 62 * GIB),  # a trainer that gives memory back needs it again
        (1 * GIB, 80 * GIB, 8 * GIB, 8 * GIB, 1 * GIB),  # others hold the rest
        (0, 80 * GIB, 8 * GIB, 9 * GIB, -1 * GIB),
    ],
)
def test_what_training_needs_again_is_no_room(
    free: int, allowed: int, reserved: int, most: int, room: int
) -> None:
    assert room_bytes(free=free, allowed=allowed, reserved=reserved, most_reserved=most) == room


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 40), max_size=8), window=st.integers(1, 16))
def test_a_file_is_read_through_windows_of_any_size(sizes: list[int], window: int, tmp_path: Path) -> None:
    data = bytes(number % 251 for number in range(sum(sizes)))
    (tmp_path / "file").write_bytes(data)
    upload = Upload(CPU, window)
    with (tmp_path / "file").open("rb", buffering=0) as file:
        found = [upload.read(file, size) for size in sizes]
    upload.finish()
    assert b"".join(bytes(each.tolist()) for each in found) == data


def test_a_file_that_ends_too_early_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"123")
    with (tmp_path / "file").open("rb", buffering=0) as file, pytest.raises(ValueError, match="too early"):
        Upload(CPU, 2).read(file, 4)
