"""Numbers of bytes as people write and read them."""

from __future__ import annotations

import pytest

from hippo_core.byte_sizes import bytes_in_words, parse_bytes
from hippo_core.errors import InvalidStudy


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("123", 123), ("1K", 1024), ("1.5MiB", 3 << 19), ("4GiB", 4 << 30), ("2 tb", 2 << 40), (7, 7)],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_bytes(text, "cache") == size


@pytest.mark.parametrize("text", ["", "-1", "4 GiBs", "four", "1e9", None, True, 1.5])
def test_no_sizes(text: object) -> None:
    with pytest.raises(InvalidStudy, match=r"^cache: .* Write e\.g\. 4GiB\.$"):
        parse_bytes(text, "cache")


@pytest.mark.parametrize("given", [-1, "99999999TiB", 2**63])
def test_sizes_that_nothing_has(given: object) -> None:
    with pytest.raises(InvalidStudy, match="must be from 0 to"):
        parse_bytes(given, "cache")


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 29, "1.5 GiB"), (5 << 40, "5.0 TiB")],
)
def test_words(size: int, words: str) -> None:
    assert bytes_in_words(size) == words
