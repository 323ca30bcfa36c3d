"""The digest by sums of words: equal for equal bytes alone, wherever and in whatever stretches they lie."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hippo_worker.hosting import device_digest as module
from hippo_worker.hosting.device_digest import device_digest


def bytes_of(text: bytes) -> torch.Tensor:
    return torch.tensor(list(text), dtype=torch.uint8)


@given(one=st.binary(max_size=70), other=st.binary(max_size=70))
def test_bytes_have_the_same_digest_only_where_they_are_the_same(one: bytes, other: bytes) -> None:
    assert (device_digest(bytes_of(one)) == device_digest(bytes_of(other))) == (one == other)


@given(text=st.binary(min_size=1, max_size=70), data=st.data())
def test_a_change_shows_and_where_the_bytes_lie_does_not(text: bytes, data: Any) -> None:
    place = data.draw(st.integers(0, len(text) - 1))
    offset = data.draw(st.integers(0, 9))
    tensor = bytes_of(text)
    digest = device_digest(tensor)
    assert device_digest(bytes_of(b"x" * offset + text)[offset:]) == digest
    tensor[place] ^= data.draw(st.integers(1, 255))
    assert device_digest(tensor) != digest


@pytest.mark.parametrize("changes", [(0, 1), (0, 8), (7, 8), (8, 24), (3, 30)])
def test_words_that_are_exchanged_show_within_a_stretch_and_between_two(
    changes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STRETCH", 8)
    words = torch.arange(100, 131, dtype=torch.int64)
    digest = device_digest(words.view(torch.uint8))
    first, second = changes
    words[[first, second]] = words[[second, first]]
    assert device_digest(words.view(torch.uint8)) != digest
