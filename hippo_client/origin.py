"""Where a study comes from: the study file and the folder that travels to the workers.

A study file is executed in two ways: as a script, and by :func:`hippo_client.study_file.load`, which then
says so here. In a notebook or an interactive session there is no file, and the current folder is the
study's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from hippo_core.errors import InvalidStudy

_PACKAGE = __name__.partition(".")[0]
_loading: ContextVar[Path | None] = ContextVar("loading", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a study was written.

    Attributes:
        file: The study file, absolute; None in a notebook or an interactive session.
        folder: The study's folder, absolute.
    """

    file: Path | None
    folder: Path


def find_origin() -> Origin:
    """The file that is being loaded, else that of the nearest caller outside this package."""
    file = _loading.get() or _calling_file()
    if file is None:
        return Origin(file=None, folder=Path.cwd())
    return Origin(file=file, folder=file.parent)


def refuse_while_loading(doing: str) -> None:
    """Refuses what a study file may do as a script only: loading it would do it again.

    Args:
        doing: What the file does, in a word: "run", "submit".

    Raises:
        InvalidStudy: A study file is being loaded.
    """
    file = _loading.get()
    if file is not None:
        raise InvalidStudy(
            doing,
            f"{file.name} {doing}s its study while it is loaded.",
            'Put it below: if __name__ == "__main__":',
        )


@contextmanager
def loading(file: Path) -> Iterator[None]:
    """While a study file is loaded."""
    token = _loading.set(file)
    try:
        yield
    finally:
        _loading.reset(token)


def _calling_file() -> Path | None:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package != _PACKAGE:
            file = frame.f_globals.get("__file__")
            return Path(file).absolute() if isinstance(file, str) else None
        frame = frame.f_back
    return None
