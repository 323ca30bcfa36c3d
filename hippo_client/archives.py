"""Studies' archives as files: written as the server sends them, and sent as they are read.

A file is a tar archive of what ``hippo_storage.archive_names`` tells. Nothing of it is ever unpacked here: its plain
files are passed on to the server, which believes nothing of them.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hippo_client.request_ids import new_request_id
from hippo_core.errors import HippoError, InvalidStudy
from hippo_storage.archive_names import JOURNAL, is_archive_file, state_file
from hippo_storage.manifest import MANIFEST
from hippo_wire.streams import PIECE_BYTES

if TYPE_CHECKING:
    from hippo_wire.connection import Connection
    from hippo_wire.streams import Responses
    from hippo_wire.v1 import study_pb2

LEAST_SECONDS = 120.0
LEAST_BYTES_A_SECOND = 1 << 20
"""A slower upload is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was put into an archive.

    Attributes:
        size_bytes: Of the file.
        checkpoints: How many.
    """

    size_bytes: int
    checkpoints: int


def is_archive(beginning: bytes) -> bool:
    """Whether a file that begins so is a study's archive."""
    return beginning.startswith(JOURNAL.encode() + b"\0")


def write_archive(connection: Connection, name: str, path: Path, *, checkpoints: bool) -> Written:
    """Writes the archive of a study, whole or not at all.

    Args:
        connection: To the server that has it.
        name: The study's.
        path: The file; one that is there is replaced.
        checkpoints: Whether the files of its checkpoints are to be in it.

    Raises:
        NotFound: There is no study of that name.
        Conflict: Its trials were trained in several environments.
        OSError: The file cannot be written.
    """
    from hippo_wire.v1 import study_pb2

    stream: Responses[study_pb2.ExportArchiveResponse] = connection.studies.ExportArchive(  # type: ignore[assignment]
        study_pb2.ExportArchiveRequest(name=name, checkpoints=checkpoints)
    )
    unfinished = path.with_name(f".{path.name}.unfinished")
    count = 0
    try:
        with unfinished.open("wb") as file:
            with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                pieces = _Pieces(stream)
                while pieces.next_file():
                    if not is_archive_file(pieces.name):
                        raise HippoError(f"the server sent a file {pieces.name[:100]!r}.", "Try again.")
                    info = tarfile.TarInfo(pieces.name)
                    info.size, info.mode = pieces.size_bytes, 0o600
                    tar.addfile(info, pieces)  # type: ignore[arg-type]
                    found = state_file(pieces.name)
                    count += found is not None and found[2] == MANIFEST
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        stream.cancel()
        unfinished.unlink(missing_ok=True)
        raise
    return Written(size_bytes=path.stat().st_size, checkpoints=count)


class _Pieces:
    """The server's messages, as files to read from."""

    def __init__(self, stream: Iterator[study_pb2.ExportArchiveResponse]) -> None:
        self._stream = stream
        self._ahead: study_pb2.ExportArchiveResponse | None = None
        self._data = b""
        self.name = ""
        self.size_bytes = 0

    def next_file(self) -> bool:
        """Goes on to the next file; tells whether there is one."""
        message = self._ahead or next(self._stream, None)
        self._ahead = None
        if message is None:
            return False
        self.name, self.size_bytes, self._data = message.file, message.size_bytes, message.data
        return True

    def read(self, most: int) -> bytes:
        """The next bytes of the file, at most so many."""
        while not self._data and self._ahead is None:
            message = next(self._stream, None)
            if message is None:
                break
            if message.file:
                self._ahead = message
            else:
                self._data = message.data
        given, self._data = self._data[:most], self._data[most:]
        return given


def send_archive(connection: Connection, path: Path, name: str | None) -> study_pb2.ImportStudyResponse:
    """Has a server take the study of an archive in.

    Args:
        connection: To the server.
        path: The archive.
        name: What the study is to be called; None: as it was.

    Raises:
        InvalidStudy: It is no archive, or is damaged.
        Conflict: Another study has the name.
    """
    seconds = LEAST_SECONDS + path.stat().st_size / LEAST_BYTES_A_SECOND
    damaged: list[InvalidStudy] = []
    try:
        return connection.studies.ImportStudy(_requests(path, name, damaged), timeout=seconds)
    except HippoError:
        if damaged:
            raise damaged[0] from None
        raise


def _requests(
    path: Path, name: str | None, damaged: list[InvalidStudy]
) -> Iterator[study_pb2.ImportStudyRequest]:
    from hippo_wire.v1 import study_pb2

    first = study_pb2.ImportStudyRequest(request_id=new_request_id(), name=name or "")
    try:
        with tarfile.open(path, mode="r|", errorlevel=2) as tar:
            for member in tar:
                if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or not is_archive_file(member.name):
                    raise tarfile.ReadError(
                        f"it holds {member.name[:100]!r}, which no archive of a study does"
                    )
                opened: IO[bytes] | None = tar.extractfile(member)
                assert opened is not None, "it is a plain file"
                first.file, first.size_bytes = member.name, member.size
                left = member.size
                while True:
                    first.data = opened.read(min(left, PIECE_BYTES))
                    if left and not first.data:
                        raise tarfile.ReadError("it is cut short")
                    left -= len(first.data)
                    yield first
                    first = study_pb2.ImportStudyRequest()
                    if not left:
                        break
    except (tarfile.TarError, EOFError, OSError) as error:
        damaged.append(InvalidStudy("file", f"{path} is damaged: {error}", "Export the study again."))
        raise damaged[0] from error
