"""Exported studies: asked for, written to files and read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from hippo_core.errors import InvalidStudy
from hippo_core.simulation.recording import Recording

if TYPE_CHECKING:
    from hippo_wire.connection import Connection
    from hippo_wire.streams import Responses
    from hippo_wire.v1 import study_pb2


def read_export(connection: Connection, name: str) -> bytes:
    """The document of a study, as the server makes it.

    Raises:
        NotFound: There is none of that name.
    """
    from hippo_wire.v1 import study_pb2

    stream: Responses[study_pb2.ExportStudyResponse] = connection.studies.ExportStudy(  # type: ignore[assignment]
        study_pb2.ExportStudyRequest(name=name)
    )
    return b"".join(piece.data for piece in stream)


def load(file: str | Path) -> Recording:
    """The study that a file holds.

    Raises:
        InvalidStudy: It cannot be read, or holds none.
    """
    try:
        document = Path(file).read_bytes()
    except OSError as error:
        raise InvalidStudy(
            "recorded", f"{file} cannot be read: {error.strerror}", "Write it with hippo study export."
        ) from error
    return parse(document, str(file))


def parse(document: bytes, source: str) -> Recording:
    """The study of a document.

    Raises:
        InvalidStudy: It is none.
    """
    try:
        content = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise InvalidStudy(
            "recorded", f"{source} is no JSON: {error}", "Write it with hippo study export."
        ) from error
    return Recording.from_json(content)
