"""Measures a subject in a process of its own.

So one subject's memory, threads and settings are not the next one's, and one that is killed or hangs ends alone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection

from benchmarks.figures import Curve, Figure
from benchmarks.subjects import Subject

ENDING_SECONDS = 60.0
"""What a subject has to remove what it started, after its limit."""


class Failed(Exception):
    """A subject ended early."""


def found(subject: Subject, limit_seconds: float) -> Iterator[Figure | Curve]:
    """Measures; each figure is given as soon as it is known.

    Args:
        subject: What is measured.
        limit_seconds: The longest that it may take.

    Raises:
        Failed: It raised an error, was killed, or took longer.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(subject, sender))
    process.start()
    sender.close()
    deadline = time.monotonic() + limit_seconds
    try:
        while (said := _next(receiver, process, deadline)) is not None:
            if isinstance(said, str):
                raise Failed(said)
            yield said
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join(ENDING_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()


def _next(
    receiver: Connection, process: multiprocessing.process.BaseProcess, deadline: float
) -> Figure | Curve | str | None:
    # The pipe's end does not tell that the process has: what it forked may hold it, too.
    while not receiver.poll(0.2):
        if not process.is_alive() and not receiver.poll():
            return f"its process ended with {process.exitcode}"
        if time.monotonic() > deadline:
            return "it took longer than its limit"
    try:
        said: Figure | Curve | str | None = receiver.recv()
    except EOFError:
        process.join()
        return f"its process ended with {process.exitcode}"
    return said


def _measure(subject: Subject, sender: Connection) -> None:
    """In the process of its own: sends figures, then why it failed, or nothing."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    if not subject.gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        for each in subject.measure():
            sender.send(each)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - told by who asked, with the other subjects' figures
        traceback.print_exc()
        sender.send(f"{type(error).__name__}: {error}")
    else:
        sender.send(None)
