"""Measures a subject in a process of its own.

So one subject's memory, threads and settings are not the next one's, and one that is killed or hangs ends alone. It has
a session of its own, too: Ctrl-C at the terminal is for the process that asked, which ends the other one, so that this
removes what it started.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from enum import Enum
from math import inf
from multiprocessing.connection import Connection

from benchmarks import ending
from benchmarks.figures import Found
from benchmarks.subjects import Subject

ENDING_SECONDS = 60.0
"""What a subject has to remove what it started, after its limit."""


class Failed(Exception):
    """A subject ended early."""


class Word(Enum):
    """What is told beside figures."""

    PREPARED = "what is not measured is done"
    ENDED = "all is measured"


Said = Found | Word | str
"""A string is why it failed."""


def found(subject: Subject, limit_seconds: float) -> Generator[Found, None, None]:
    """Measures; each figure is given as soon as it is known. Where this is closed, all that was started is ended.

    Args:
        subject: What is measured.
        limit_seconds: The longest that it may take, without what it prepares.

    Raises:
        Failed: It raised an error, was killed, or took longer.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    process = context.Process(target=_measure, args=(subject, sender, mark))
    with ending.marked(mark), _interrupts_ignored():
        process.start()
    sender.close()
    deadline = inf
    try:
        while (said := _next(receiver, process, deadline)) is not Word.ENDED:
            if said is Word.PREPARED:
                deadline = time.monotonic() + limit_seconds
            elif isinstance(said, str):
                raise Failed(said)
            else:
                yield said
    except BaseException:
        process.terminate()
        raise
    finally:
        try:
            process.join(ENDING_SECONDS)
        finally:
            process.kill()
            process.join()
            ending.end_all(mark)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """What is started meanwhile ignores Ctrl-C, until it has a session of its own."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _next(receiver: Connection, process: multiprocessing.process.BaseProcess, deadline: float) -> Said:
    # The pipe's end does not tell that the process has: what it forked may hold it, too.
    while not receiver.poll(0.2):
        if not process.is_alive() and not receiver.poll():
            return f"its process ended with {process.exitcode}"
        if time.monotonic() > deadline:
            return "it took longer than its limit"
    try:
        said: Said = receiver.recv()
    except EOFError:
        process.join()
        return f"its process ended with {process.exitcode}"
    return said


def _measure(subject: Subject, sender: Connection, mark: str) -> None:
    """In the process of its own: sends figures, then why it failed, or that all is measured."""

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # First, as what waits for a process returns then, and as folders are removed in which nothing writes any more.
        ending.end_all(mark)
        sys.exit(128 + signal.SIGTERM)

    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, end)
    if not subject.gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        subject.prepare()
        sender.send(Word.PREPARED)
        for each in subject.measure():
            sender.send(each)
    except SystemExit as error:
        sender.send(str(error))
    except BrokenPipeError:
        sender.send("nobody reads what it prints")
    except Exception as error:  # noqa: BLE001 - told by who asked, with the other subjects' figures
        traceback.print_exc()
        sender.send(f"{type(error).__name__}: {error}")
    else:
        sender.send(Word.ENDED)
    finally:
        ending.end_all(mark)
