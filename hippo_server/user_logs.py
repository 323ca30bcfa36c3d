"""What user code printed, kept per node and lease.

::

    <folder>/<node>/<fence>.log

A piece says where it begins, so that one that comes twice is written over itself. A file is capped; what comes beyond
is dropped, and the reader is told.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from hippo_core.errors import InvalidStudy

LARGEST_LOG_BYTES = 64 << 20
PIECE_BYTES = 256 << 10
CAPPED = f"\n[the log is cut here: it is longer than {LARGEST_LOG_BYTES >> 20} MiB]\n"


class UserLogs:
    """Logs of user code.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def append(self, node: int, fence: int, offset: int, data: bytes) -> None:
        """Keeps a piece.

        Args:
            node: The node that was trained.
            fence: The lease.
            offset: Where the piece begins, in bytes.
            data: What was printed.

        Raises:
            InvalidStudy: A number makes no sense.
        """
        if node < 0 or fence < 0 or offset < 0:
            raise InvalidStudy("offset", f"node {node}, fence {fence}, offset {offset}: none may be negative")
        kept = data[: max(0, LARGEST_LOG_BYTES + 1 - offset)]
        if kept:
            await asyncio.to_thread(_write, self._folder / str(node) / f"{fence}.log", offset, kept)

    async def read(self, nodes: Sequence[int]) -> AsyncIterator[tuple[int, int, str]]:
        """The logs of nodes in that order, each lease's after the other: (node, fence, text)."""
        for node in nodes:
            for fence in await asyncio.to_thread(self._fences, node):
                path = self._folder / str(node) / f"{fence}.log"
                offset = 0
                while text := await asyncio.to_thread(_read, path, offset):
                    offset += len(text)
                    yield node, fence, text.decode("utf-8", "replace")
                if offset > LARGEST_LOG_BYTES:
                    yield node, fence, CAPPED

    def _fences(self, node: int) -> list[int]:
        folder = self._folder / str(node)
        return sorted(int(path.stem) for path in folder.glob("*.log")) if folder.is_dir() else []


def _write(path: Path, offset: int, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, data, offset)
    finally:
        os.close(descriptor)


def _read(path: Path, offset: int) -> bytes:
    """The next piece, which ends at a line's end where there is one, so that no character is cut in two."""
    with path.open("rb") as file:
        file.seek(offset)
        piece = file.read(PIECE_BYTES)
    if len(piece) < PIECE_BYTES:
        return piece
    end = piece.rfind(b"\n") + 1
    return piece[: end or _whole_characters(piece)]


def _whole_characters(piece: bytes) -> int:
    """The length without a UTF-8 character that is cut at the end."""
    for back in range(1, 5):
        if piece[-back] & 0xC0 != 0x80:  # the last character's first byte
            return len(piece) - back if piece[-back] >= 0xC0 else len(piece)
    return len(piece)
