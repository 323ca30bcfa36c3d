"""What user code printed, kept per node and lease.

::

    <folder>/<node>/<fence>.log
    <folder>/terms

A piece says where it begins, so that one that comes twice is written over itself, and one whose beginning lacks is not
kept: this server has just taken the lead, and the worker sends all of it. A file is capped; what comes beyond is
dropped, and the reader is told.

The files are this server's own. Of leases that had ended before it took the lead others have them: how many terms this
server has led is kept beside them, so that it knows whether there may be any.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable, Sequence
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

    async def append(self, node: int, fence: int, offset: int, data: bytes) -> int:
        """Keeps a piece, unless what comes before it lacks; returns up to where the log is kept, in bytes.

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
        return await asyncio.to_thread(_write, self._folder / str(node) / f"{fence}.log", offset, data)

    def lead(self) -> None:
        """Notes that this server leads another term."""
        with contextlib.suppress(OSError):  # a term less, and readers are told of others in vain
            (self._folder / "terms").write_text(str(self._terms() + 1))

    def others_led(self, term: int) -> bool:
        """Whether other servers may have led in one of so many terms, and have logs of it."""
        return self._terms() < term

    def _terms(self) -> int:
        try:
            return int((self._folder / "terms").read_text())
        except (OSError, ValueError):  # none yet, or cut short by a crash
            return 0

    async def lacking(self, leases: Iterable[tuple[int, int]]) -> list[int]:
        """Of leases, each (node, fence), those of which nothing is kept."""
        asked = list(leases)

        def look() -> list[int]:
            kept = {fence for node, fence in asked if fence in self._fences(node)}
            return sorted({fence for _, fence in asked} - kept)

        return await asyncio.to_thread(look)

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


def _write(path: Path, offset: int, data: bytes) -> int:
    size = path.stat().st_size if path.exists() else 0
    if size <= LARGEST_LOG_BYTES and offset > size:
        return size
    end, data = offset + len(data), data[: max(0, LARGEST_LOG_BYTES + 1 - offset)]
    if not data:
        return max(size, end)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, data, offset)
    finally:
        os.close(descriptor)
    return max(size, end)


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
