"""Ships what user code printed to the server, piece by piece, while it is being printed.

A piece carries its offset, so that one sent twice is written over itself. What does not reach the server now waits in
its file, as does all that a lease printed until it ends: a server that has just taken the lead has none of it, and gets
it from the beginning. Secrets are replaced by asterisks; bytes that may be the beginning of one wait for what follows.
A lease may print so much; beyond that its file is kept short, and a notice says so.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hippo_core.errors import HippoError
from hippo_worker.secrets import NOTHING, Redaction

logger = logging.getLogger(__name__)

LIMIT_BYTES = 64 << 20
PIECE_BYTES = 256 << 10
LOOK_SECONDS = 1.0
_NOTICE = b"\n[hippo] What this lease printed beyond %d MiB is not kept.\n"

Append = Callable[
    [int, int, int, bytes], Awaitable[int]
]  #: fence, node, offset, data; up to where it is kept


@dataclass(slots=True, kw_only=True)
class _Watched:
    """The log files of a lease, and how much of each the server has."""

    folder: Path
    redaction: Redaction
    shipped: dict[int, int] = field(default_factory=dict)
    unsure: set[int] = field(default_factory=set)  #: nodes of which the server may have lost what it had
    finished: bool = False
    full: bool = False


class LogShipper:
    """Ships the logs of all leases.

    Args:
        append: Brings one piece to the server; raises a retryable ``HippoError`` where it cannot be had now.
        limit_bytes: How much of a lease is kept.
    """

    def __init__(self, append: Append, limit_bytes: int = LIMIT_BYTES) -> None:
        self._append = append
        self._limit_bytes = limit_bytes
        self._leases: dict[int, _Watched] = {}
        self._shipping = asyncio.Lock()

    def watch(self, fence: int, folder: Path, redaction: Redaction = NOTHING) -> None:
        """Ships what appears in the files ``<node>.log`` of a folder, without secrets."""
        self._leases[fence] = _Watched(folder=folder, redaction=redaction)

    def finish(self, fence: int) -> None:
        """Nothing more will appear; what is there is shipped, and the folder removed."""
        if fence in self._leases:
            self._leases[fence].finished = True

    def doubt(self) -> None:
        """Another server may lead: it is asked what it has."""
        for watched in self._leases.values():
            watched.unsure.update(watched.shipped)

    async def run(self) -> None:
        """Ships for ever, in turns, so that it costs next to nothing while nobody prints."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.ship()

    async def ship(self) -> None:
        """Ships all that is there now, or as much as the server takes."""
        async with self._shipping:
            over: list[Path] = []
            try:
                for fence, watched in list(self._leases.items()):
                    finished = watched.finished
                    try:
                        await self._ship_lease(fence, watched, finished)
                    except HippoError as error:
                        if error.retryable:
                            return
                        logger.warning("log_is_not_kept", extra={"fence": fence, "why": str(error)})
                        finished = watched.finished = True
                    if finished:
                        del self._leases[fence]
                        over.append(watched.folder)
            finally:
                if over:  # together, beside the loop: removing waits for the disk, most of all beside a sync
                    await asyncio.to_thread(_remove, over)

    async def _ship_lease(self, fence: int, watched: _Watched, finished: bool) -> None:
        for path in _with_news(watched):
            node = int(path.stem)
            while not watched.full:
                offset = watched.shipped.get(node, 0)
                room = self._limit_bytes - sum(watched.shipped.values())
                data = _without_secrets(path, offset, watched.redaction, finished)
                if node in watched.unsure:
                    data = b""
                elif not data:
                    break
                elif room <= 0:
                    data = _NOTICE % (self._limit_bytes >> 20)
                    watched.full = True
                elif len(data) > room:
                    data = data[:room]
                kept = await self._append(fence, node, offset, data)
                watched.full = watched.full and kept > offset
                watched.unsure.discard(node)
                watched.shipped[node] = kept
            if watched.full:
                # Its writers append, so what they print next begins the file anew.
                os.truncate(path, 0)


def _with_news(watched: _Watched) -> list[Path]:
    """The log files that the server does not have, or may have lost: most leases print nothing."""
    try:
        with os.scandir(watched.folder) as files:
            found = [
                Path(file.path)
                for file in files
                if file.name.endswith(".log")
                and (file.stat().st_size or int(file.name[:-4]) in watched.unsure)
            ]
    except FileNotFoundError:
        return []
    return sorted(found)


def _remove(folders: Iterable[Path]) -> None:
    """Removes folders of log files."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _without_secrets(path: Path, offset: int, redaction: Redaction, finished: bool) -> bytes:
    """The next piece of a log; empty: there is none yet."""
    margin = redaction.margin
    data = _read(path, offset, PIECE_BYTES + margin)
    before = _read(path, max(0, offset - margin), min(offset, margin))
    last = finished and len(data) < PIECE_BYTES + margin
    return redaction.piece(before, data, last=last)[:PIECE_BYTES]


def _read(path: Path, offset: int, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(count)
