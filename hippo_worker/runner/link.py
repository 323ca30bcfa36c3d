"""The runner's end of the socket: what hosts tell is buffered and sent by a thread, what they are told is queued.

One thread beside the trainer's does all waiting. It sleeps in ``select`` until the daemon says something or a
buffered message has become old; a step costs no system call, and a thread that is about to look is not woken. It is
also how a runner learns that its daemon is gone: the socket ends, and the runner with its whole process group dies at
once.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from hippo_storage.manifest import FileEntry
from hippo_worker.hosting.link import Flag, Instruction
from hippo_worker.runner import messages
from hippo_worker.runner.paths import Paths

FLUSH_SECONDS = 0.05
FLUSH_COUNT = 256
_RECEIVE_BYTES = 1 << 16


def die_with_the_daemon() -> None:
    """Ends this process and whatever it has started, as nobody is left to report to."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


class Ahead(Protocol):
    """Who gets ready for paths before their turn."""

    def told(self, run: messages.Run) -> None:
        """A path is to be trained after those that were told before."""
        ...

    def returned(self, fence: int) -> None:
        """It was given back."""
        ...


class Wire:
    """The socket to the daemon, shared by the paths that a runner trains one after the other.

    Args:
        connection: Connected, blocking.
        on_end: Called by the thread when the daemon has closed its end.
        ahead: Told by the thread of paths whose turn is still to come; None: nobody is.
    """

    def __init__(
        self,
        connection: socket.socket,
        on_end: Callable[[], None] = die_with_the_daemon,
        ahead: Ahead | None = None,
    ) -> None:
        self.orders: queue.SimpleQueue[messages.Run | messages.Prepare | None] = queue.SimpleQueue()
        self._connection = connection
        self._on_end = on_end
        self._ahead = ahead
        self._lock = threading.Lock()
        self._buffer: list[list[Any]] = []
        self._looks = False  # the thread looks at the buffer from time to time, and need not be woken
        self._paths = Paths()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        threading.Thread(target=self._serve, name="hippo-link", daemon=True).start()

    def begin(self, fence: int, on_stage: Callable[[int], None]) -> PathLink | None:
        """The link of the path whose turn has come, with what was said of it meanwhile; None: it was given back."""
        link = PathLink(self, fence, on_stage)
        with self._lock:
            begins = self._paths.begin(fence, link)
        return link if begins else None

    def close_path(self, fence: int) -> None:
        """Instructions for this path are ignored from now on."""
        with self._lock:
            self._paths.close(fence)

    def tell(self, message: messages.Message, *, now: bool = False) -> None:
        """Buffers a message; ``now`` sends it, with all before it, before this returns."""
        plain = messages.to_plain(message)
        with self._lock:
            self._buffer.append(plain)
            if now or len(self._buffer) >= FLUSH_COUNT:
                self._flush()
                return
            wake, self._looks = not self._looks, True
        if wake:
            self._wake()

    def flush(self) -> None:
        """Sends what is buffered."""
        with self._lock:
            self._flush()

    def _wake(self) -> None:
        # A full pipe has woken the thread already.
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")

    def _flush(self) -> None:
        """Sends the buffer; called with the lock held, so that frames do not interleave."""
        if not self._buffer:
            return
        batch, self._buffer = self._buffer, []
        try:
            self._connection.sendall(messages.frame(batch))
        except OSError:
            self._on_end()

    def _serve(self) -> None:
        reader = messages.FrameReader()
        watched: list[socket.socket | int] = [self._connection, self._wake_read]
        look_at: float | None = None
        while True:
            timeout = None if look_at is None else max(0.0, look_at - time.monotonic())
            readable, _, _ = select.select(watched, [], [], timeout)
            if look_at is not None and time.monotonic() >= look_at:
                look_at = time.monotonic() + FLUSH_SECONDS if self._look() else None
            if self._wake_read in readable:
                os.read(self._wake_read, _RECEIVE_BYTES)
                look_at = time.monotonic() + FLUSH_SECONDS
            if self._connection in readable:
                try:
                    data = self._connection.recv(_RECEIVE_BYTES)
                except OSError:
                    data = b""
                if not data:
                    self._on_end()
                    return
                for message in reader.messages(data):
                    self._take(message)

    def _look(self) -> bool:
        """Sends what has become old; whether there was any, so that it is worth to look again."""
        with self._lock:
            self._looks = bool(self._buffer)
            self._flush()
            return self._looks

    def _take(self, message: messages.Message) -> None:
        match message:
            case messages.Run():
                with self._lock:
                    self._paths.add(message.fence)
                if self._ahead is not None:
                    self._ahead.told(message)
                self.orders.put(message)
            case messages.Prepare():
                self.orders.put(message)
            case messages.Quit():
                self.orders.put(None)
            case messages.Offer() | messages.Stop():
                with self._lock:
                    answer = self._paths.instruct(message)
                if isinstance(answer, messages.Returned) and self._ahead is not None:
                    self._ahead.returned(answer.fence)
                if answer is not None:
                    self.tell(answer, now=True)
            case _:
                raise AssertionError(f"a daemon does not say {type(message).__name__}")


class PathLink:
    """The ``Link`` of one path: every message carries the path's fence, also those after its end."""

    def __init__(self, wire: Wire, fence: int, on_stage: Callable[[int], None]) -> None:
        self._wire = wire
        self._fence = fence
        self._on_stage = on_stage
        self._flag = bytearray(1)
        self._instructions: queue.SimpleQueue[Instruction] = queue.SimpleQueue()

    @property
    def flag(self) -> Flag:
        """Not 0 when instructions wait."""
        return self._flag

    def put(self, instruction: Instruction) -> None:
        """Queues an instruction and raises the flag, in this order."""
        self._instructions.put(instruction)
        self._flag[0] = 1

    def instructions(self) -> list[Instruction]:
        """Takes the instructions that wait, oldest first."""
        taken: list[Instruction] = []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._instructions.get_nowait())
        return taken

    def stage_started(self, node: int) -> None:
        """What user code prints from now on belongs to ``node``."""
        self._on_stage(node)

    def metrics(
        self,
        node: int,
        step: int,
        metrics: Mapping[str, float],
        training: Mapping[str, float],
        evaluated: bool,
    ) -> None:
        """The state at ``step`` was evaluated, or the step before it returned training metrics."""
        self._wire.tell(
            messages.Metrics(
                fence=self._fence,
                node=node,
                step=step,
                metrics=dict(metrics),
                training=dict(training),
                evaluated=evaluated,
            )
        )

    def steps_trained(
        self, node: int, start: int, stop: int, train_seconds: float, evaluate_seconds: float
    ) -> None:
        """Steps ``start..stop-1`` were trained."""
        self._wire.tell(
            messages.Steps(
                fence=self._fence,
                node=node,
                start=start,
                stop=stop,
                train_seconds=train_seconds,
                evaluate_seconds=evaluate_seconds,
            )
        )

    def checkpoint_written(
        self,
        node: int,
        step: int,
        folder: Path,
        files: Mapping[str, FileEntry],
        blocked_seconds: float,
    ) -> None:
        """The state's ``files`` are complete in ``folder``."""
        self._wire.tell(
            messages.Written(
                fence=self._fence,
                node=node,
                step=step,
                folder=str(folder),
                files={name: [entry.size_bytes, entry.digest] for name, entry in files.items()},
                blocked_seconds=blocked_seconds,
            ),
            now=True,
        )

    def save_failed(self, node: int, step: int, reason: str, full: bool) -> None:
        """The state could not be written."""
        self._wire.tell(
            messages.NotWritten(fence=self._fence, node=node, step=step, reason=reason, full=full), now=True
        )

    def answered(self, node: int, step: int, will: bool) -> None:
        """The answer to an offered save point."""
        self._wire.tell(messages.Answered(fence=self._fence, node=node, step=step, will=will), now=True)
