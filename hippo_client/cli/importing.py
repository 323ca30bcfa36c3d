"""``hippo study import``: what a file is decides how it is taken in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hippo_client import archives
from hippo_client.cli.terminal import say
from hippo_core.errors import InvalidStudy
from hippo_core.words import plural
from hippo_wire import enums
from hippo_wire.v1 import study_pb2

if TYPE_CHECKING:
    from hippo_client.client import Client

Import = Callable[["Client", Path, str | None], study_pb2.Study]


def import_study(client: Client, file: Path, name: str | None) -> study_pb2.Study:
    """Takes in whatever study a file holds.

    Args:
        client: Of the server that takes it.
        file: The file.
        name: What the study is to be called; None: as the file says.

    Raises:
        InvalidStudy: It holds none.
        Conflict: The name is another study's.
    """
    try:
        with file.open("rb") as opened:
            beginning = opened.read(BEGINNING_BYTES)
    except OSError as error:
        raise click.FileError(str(file), error.strerror) from error
    for is_it, take in KINDS:
        if is_it(beginning):
            return take(client, file, name)
    raise InvalidStudy(
        "file",
        f"{file} is no study's archive",
        "Write one with: hippo study export NAME --format archive --output FILE.",
    )


def _import_archive(client: Client, file: Path, name: str | None) -> study_pb2.Study:
    found = archives.send_archive(client.connection, file, name)
    brought = [
        plural(count, what)
        for count, what in ((found.steps_brought, "trained step"), (found.checkpoints_brought, "checkpoint"))
        if count
    ]
    if found.outcome == enums.OUTCOMES["unchanged"]:
        say(
            f"The study {found.study.name} is here already; {' and '.join(brought) or 'nothing'} came with it."
        )
    elif brought:
        say(f"{' and '.join(brought)} came with {found.study.name}.")
    return found.study


BEGINNING_BYTES = 512
KINDS: tuple[tuple[Callable[[bytes], bool], Import], ...] = ((archives.is_archive, _import_archive),)
"""How a file is known by its first bytes, and what takes it in."""
