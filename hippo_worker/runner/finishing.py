"""How a process that ran user code ends."""

from __future__ import annotations

import atexit
import os
import sys


def finish(status: int) -> None:
    """Ends the process as the interpreter would, without waiting for threads that user code has left behind."""
    try:
        atexit._run_exitfuncs()
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
        os._exit(status)
