"""Study files on the command line: while one is executed, standard output is not its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hippo_client.study import Study

_OUTPUT, _TALK = 1, 2


def load(reference: str) -> Study:
    """The study of ``STUDY.py[:NAME]``. What the file prints, itself or by a program that it starts, is talk.

    Raises:
        InvalidStudy: The file does not exist, fails, or does not define exactly one study.
    """
    from hippo_client import study_file

    with _output_is_talk():
        return study_file.load(reference)


@contextmanager
def _output_is_talk() -> Iterator[None]:
    """Standard output is standard error, for programs and C libraries too, which know only of descriptors."""
    try:
        kept = os.dup(_OUTPUT)
    except OSError:  # it was closed before the command began
        yield
        return
    try:
        os.dup2(_TALK, _OUTPUT)
        yield
    finally:
        if sys.stdout is not None:  # what was written to it and not yet to the descriptor
            sys.stdout.flush()
        os.dup2(kept, _OUTPUT)
        os.close(kept)
