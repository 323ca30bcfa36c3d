"""What is streamed goes in pieces."""

from __future__ import annotations

from hippo_wire.streams import pieces


def test_pieces_are_small_and_whole() -> None:
    data = [b"a" * (3 << 20), b"", b"b"]
    found = list(pieces(data))
    assert b"".join(found) == b"".join(data)
    assert max(map(len, found)) == 1 << 20
    assert list(pieces([])) == [b""]
