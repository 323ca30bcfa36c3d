"""Saving beside training: the state is copied into a host buffer, and a thread writes the buffer into files.

From a GPU the copy itself goes on beside training (`hippo_storage.device_copy`), and the thread waits for it.

There is one buffer, which that thread makes once it is known how much a state takes: the first save finds it there. A
save waits until the one before is written. Every save that is begun ends with one call of the link, in the writer's
thread.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from hippo_core.errors import HippoError
from hippo_storage.errors import StorageFull
from hippo_storage.host_memory import HostMemory, Need, allocate
from hippo_storage.state import Captured, capture, need_of, write
from hippo_worker.hosting.link import Link

COST = 0.01  #: the part of the training time that saving may cost where the study does not say how often
LEAST_SECONDS = 5.0
MOST_SECONDS = 600.0
FIRST_SECONDS = 10.0  #: before the first save has shown what one costs


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a saved state goes.

    Attributes:
        node: The node that trained the step before it.
        step: The state's step.
        folder: Made by the writer; it is the link's from then on.
        link: Whom to tell.
    """

    node: int
    step: int
    folder: Path
    link: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    captured: Captured
    destination: Destination
    blocked_seconds: float


class Saver:
    """Writes states, one at a time.

    Attributes:
        write_seconds: How long the last write took.
        held_seconds: For how long the last copy kept a GPU from training.
    """

    def __init__(self) -> None:
        self.write_seconds = 0.0
        self.held_seconds = 0.0
        self._jobs: SimpleQueue[_Job | Need | None] = SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._memory: HostMemory | None = None
        self._is_reserved = False
        self._thread: threading.Thread | None = None
        self._broken: BaseException | None = None

    @property
    def busy(self) -> bool:
        """Whether a save would have to wait."""
        return not self._idle.is_set()

    @property
    def lacks_memory(self) -> bool:
        """Whether none was made yet, nor is being made."""
        return not self._is_reserved

    def reserve(self, make_state: Callable[[], Any]) -> None:
        """Has memory made for states like the one that is there, beside training.

        Args:
            make_state: Gives the state, of which only the size is looked at.
        """
        self._is_reserved = True
        try:
            need = need_of(make_state())
        except Exception:  # noqa: BLE001  what is wrong with the state is told where it is saved
            return
        self._begin(need)

    def save(self, make_state: Callable[[], Any], destination: Destination) -> float:
        """Copies a state and has it written.

        Args:
            make_state: Gives the state; called when the buffer is free.
            destination: Where to.

        Returns:
            For how many seconds the caller was kept.

        Raises:
            Exception: What ``make_state`` raises, or a StateError: the state cannot be saved; nothing was begun.
        """
        started = time.perf_counter()
        self.wait()
        captured = capture(make_state(), self._memory)
        self._memory, self._is_reserved = captured.memory, True
        blocked_seconds = time.perf_counter() - started
        self._begin(_Job(captured=captured, destination=destination, blocked_seconds=blocked_seconds))
        return blocked_seconds

    def wait(self) -> None:
        """Waits until what was saved is written; raises what the link raised in the writer's thread."""
        self._idle.wait()
        if self._broken is not None:
            raise self._broken

    def close(self) -> None:
        """Waits for the last save and ends the thread."""
        self._idle.wait()
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _begin(self, job: _Job | Need) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="hippo-writer", daemon=True)
            self._thread.start()
        self._idle.clear()
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                if isinstance(job, Need):
                    self._make_memory(job)
                else:
                    self._write(job)
            except BaseException as error:  # noqa: BLE001  told to the thread that trains, by wait()
                self._broken = error
            finally:
                self._idle.set()

    def _make_memory(self, need: Need) -> None:
        with contextlib.suppress(Exception):  # the save, which then makes its own, will tell
            self._memory = allocate(need)

    def _write(self, job: _Job) -> None:
        to = job.destination
        try:
            self.held_seconds = job.captured.wait()
            started = time.perf_counter()
            if to.folder.exists():
                # Left by a runner that died while it wrote the same state.
                shutil.rmtree(to.folder)
            files = write(job.captured, to.folder)
        except (HippoError, OSError) as error:
            shutil.rmtree(to.folder, ignore_errors=True)
            to.link.save_failed(to.node, to.step, str(error), full=isinstance(error, StorageFull))
            return
        self.write_seconds = time.perf_counter() - started
        blocked_seconds = job.blocked_seconds + self.held_seconds
        to.link.checkpoint_written(to.node, to.step, to.folder, files, blocked_seconds)


class Cadence:
    """When to save beside the states that were asked for.

    Args:
        every: At multiples of so many steps; None: as often as the cost allows.
        counts_writing: Whether the writer takes time from training, as it does where both use processor cores.
        now: The time at the path's start.
    """

    def __init__(self, every: int | None, counts_writing: bool, now: float) -> None:
        self._every = every
        self._counts_writing = counts_writing
        self._saved_at = now
        self._interval = FIRST_SECONDS

    def next_step(self, step: int) -> int | None:
        """The next state after ``step`` that is to be saved, where that is known by its number."""
        return None if self._every is None else step - step % self._every + self._every

    def is_due(self, step: int, now: float, saver: Saver) -> bool:
        """Whether the state at ``step`` is to be saved."""
        if self._every is not None:
            return step % self._every == 0
        return now - self._saved_at >= self._interval and not saver.busy

    def saved(self, now: float, blocked_seconds: float, saver: Saver) -> None:
        """A state was saved, for whatever reason; ``saver`` knows what copying and writing one costs."""
        self._saved_at = now
        cost = blocked_seconds + saver.held_seconds + (saver.write_seconds if self._counts_writing else 0.0)
        self._interval = min(max(cost / COST, LEAST_SECONDS), MOST_SECONDS)
