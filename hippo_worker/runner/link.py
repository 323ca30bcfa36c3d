"""The runner's end of the socket: what hosts tell is buffered and sent by a thread, what they are told is queued.

One thread beside the trainer's does all waiting. It sleeps in ``select`` until the daemon says something or a
buffered message has become old; a step costs no system call. It is also how a runner learns that its daemon is
gone: the socket ends, and the runner with its whole process group dies at once.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hippo_worker.hosting.link import Flag, Instruction, OfferSavePoint, StopPath
from hippo_worker.runner import messages

FLUSH_SECONDS = 0.05
FLUSH_COUNT = 256
_RECEIVE_BYTES = 1 << 16


def die_with_the_daemon() -> None:
    """Ends this process and whatever it has started, as nobody is left to report to."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


class Wire:
    """The socket to the daemon, shared by the paths that a runner trains one after the other.

    Args:
        connection: Connected, blocking.
        on_end: Called by the thread when the daemon has closed its end.
    """

    def __init__(self, connection: socket.socket, on_end: Callable[[], None] = die_with_the_daemon) -> None:
        self.orders: queue.SimpleQueue[messages.Run | None] = queue.SimpleQueue()
        self._connection = connection
        self._on_end = on_end
        self._lock = threading.Lock()
        self._buffer: list[list[Any]] = []
        self._paths: dict[int, PathLink] = {}
        self._early: dict[int, list[Instruction]] = {}
        self._closed = 0
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        threading.Thread(target=self._serve, name="hippo-link", daemon=True).start()

    def path(self, fence: int, on_stage: Callable[[int], None]) -> PathLink:
        """The link of one path; instructions that came before it are waiting in it."""
        link = PathLink(self, fence, on_stage)
        with self._lock:
            self._paths[fence] = link
            early = self._early.pop(fence, [])
        for instruction in early:
            link.put(instruction)
        return link

    def close_path(self, fence: int) -> None:
        """Instructions for this path are ignored from now on."""
        with self._lock:
            self._paths.pop(fence, None)
            self._closed = max(self._closed, fence)

    def tell(self, message: messages.Message, *, now: bool = False) -> None:
        """Buffers a message; ``now`` sends it, with all before it, before this returns."""
        plain = messages.to_plain(message)
        with self._lock:
            self._buffer.append(plain)
            if now or len(self._buffer) >= FLUSH_COUNT:
                self._flush()
                return
            first = len(self._buffer) == 1
        if first:
            self._wake()

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
        waiting = False
        while True:
            timeout = FLUSH_SECONDS if waiting else None
            watched: list[socket.socket | int] = [self._connection, self._wake_read]
            readable, _, _ = select.select(watched, [], [], timeout)
            if not readable:
                with self._lock:
                    self._flush()
                waiting = False
                continue
            if self._wake_read in readable:
                os.read(self._wake_read, _RECEIVE_BYTES)
                waiting = True
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

    def _take(self, message: messages.Message) -> None:
        match message:
            case messages.Run():
                self.orders.put(message)
            case messages.Quit():
                self.orders.put(None)
            case messages.Offer(fence=fence, node=node, step=step):
                self._instruct(fence, OfferSavePoint(node=node, step=step))
            case messages.Stop(fence=fence, save=save, reason=reason):
                self._instruct(fence, StopPath(save=save, reason=reason))
            case _:
                raise AssertionError(f"a daemon does not say {type(message).__name__}")

    def _instruct(self, fence: int, instruction: Instruction) -> None:
        with self._lock:
            link = self._paths.get(fence)
            if link is None:
                # Its order may still wait in the queue. Fences only grow, so one that is over never comes back.
                if fence > self._closed:
                    self._early.setdefault(fence, []).append(instruction)
                return
        link.put(instruction)


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

    def checkpoint_written(self, node: int, step: int, folder: Path, blocked_seconds: float) -> None:
        """The state's files are complete in ``folder``."""
        self._wire.tell(
            messages.Written(
                fence=self._fence,
                node=node,
                step=step,
                folder=str(folder),
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
