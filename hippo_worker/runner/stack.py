"""Where a runner is, asked from outside: Python's fault handler writes the stacks of all threads on a signal.

It answers also while the trainer's thread is stuck in native code, or holds the interpreter's lock.
"""

from __future__ import annotations

import faulthandler
import signal
from pathlib import Path

DUMP_SIGNAL = signal.SIGUSR1
_FILE = "stacks"


def answer_dumps(folder: Path) -> None:
    """Lets this process write its stacks into a folder whenever it gets the signal, as long as it lives."""
    file = (folder / _FILE).open("wb", buffering=0)
    faulthandler.register(DUMP_SIGNAL, file=file, all_threads=True)


def stacks_in(folder: Path) -> str:
    """What was written so far; empty: nothing."""
    try:
        return (folder / _FILE).read_text(errors="replace")
    except OSError:
        return ""
