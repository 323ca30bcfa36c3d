"""Tensors of a GPU into pinned host memory and back, beside what the GPU does.

Saving: where the device has room, the tensors are first copied side by side within the device, in the order of the
training's stream: some terabytes a second, after which training may overwrite them. From there one stream of its own
brings them to the host while training goes on. Where there is no room they are copied to the host in the order of the
training's stream: the GPU trains on once they are copied, and no memory is needed. Neither makes the host wait.

That asks nothing of the trainer: whatever a step overwrites, by optimisers, by buffers of modules, by a captured
graph, it does so in the stream that is current when it begins, or in one that waits for that, and thus afterwards.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator, Sequence
from functools import cache
from io import RawIOBase
from typing import Any

import torch

from hippo_storage.filling import fill
from hippo_storage.side_by_side import Piece, copy_into, neighbours

WINDOW_BYTES = 32 << 20  #: of each of the two pieces of pinned memory through which a state is loaded
_RELAXED = 2  # CU_STREAM_CAPTURE_MODE_RELAXED

_granted: dict[torch.device, int] = {}  # the largest copy within a device so far, by device


class Transfer:
    """A copy under way from one device.

    Args:
        began: In the training's stream, before the copy.
        freed: There, when training may go on.
        done: When all bytes are in host memory.
        staging: The copy within the device, which must live until then.
    """

    __slots__ = ("_began", "_done", "_freed", "_held_seconds", "_staging")

    def __init__(
        self,
        began: torch.cuda.Event,
        freed: torch.cuda.Event,
        done: torch.cuda.Event,
        staging: torch.Tensor | None,
    ) -> None:
        self._began, self._freed, self._done = began, freed, done
        self._staging = staging
        self._held_seconds: float | None = None

    def wait(self) -> float:
        """Waits until the bytes are there; any thread may.

        Returns:
            For how many seconds the GPU was kept from training.

        Raises:
            RuntimeError: The device has failed.
        """
        if self._held_seconds is None:
            with _beside_captures():
                self._done.synchronize()
                self._staging = None
                self._held_seconds = self._began.elapsed_time(self._freed) / 1e3
        return self._held_seconds


def pinned(size_bytes: int) -> torch.Tensor | None:
    """Pinned host memory, from and to which a device copies at full speed; None where the system has none left.

    Any thread may make it.
    """
    try:
        with _beside_captures():
            return torch.empty(size_bytes, dtype=torch.uint8, pin_memory=True)
    except RuntimeError:
        return None


def begin(pieces: Sequence[Piece], memory: torch.Tensor) -> list[Transfer]:
    """Begins to copy, from each device that has pieces.

    Args:
        pieces: On GPUs; those with wide elements before those with narrower ones. Their sources may be overwritten, in
            the current streams, as soon as this returns.
        memory: Of the host.
    """
    devices: dict[torch.device, list[Piece]] = {}
    for piece in pieces:
        if piece.stop > piece.start:
            devices.setdefault(piece.source.device, []).append(piece)
    return [_begin(device, found, memory) for device, found in devices.items()]


def _begin(device: torch.device, pieces: list[Piece], memory: torch.Tensor) -> Transfer:
    began, freed, done = (_event() for _ in range(3))
    training = torch.cuda.current_stream(device)
    staging = _staging(device, sum(piece.stop - piece.start for piece in pieces))
    began.record(training)
    if staging is None:
        with torch.cuda.stream(training):
            copy_into(memory, pieces, non_blocking=True)
        done.record(training)
        return Transfer(began, done, done, None)
    with torch.cuda.stream(training):
        copy_into(staging, closed_up(pieces))
    freed.record(training)
    side = _side_stream(device)
    side.wait_event(freed)
    with torch.cuda.stream(side):
        for target, source in long_copies(pieces, memory, staging):
            target.copy_(source, non_blocking=True)
    done.record(side)
    return Transfer(began, freed, done, staging)


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True, blocking=True)  # type: ignore[no-untyped-call]


def closed_up(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces, side by side without holes."""
    closed, start = [], 0
    for piece in pieces:
        stop = start + piece.stop - piece.start
        closed.append(Piece(piece.source, start, stop))
        start = stop
    return closed


def long_copies(
    pieces: Sequence[Piece], memory: torch.Tensor, staging: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Target in `memory` and source in `staging`, where the pieces are closed up, of as few copies as possible."""
    start = 0
    for run in neighbours(pieces):
        target = memory[run[0].start : run[-1].stop]
        yield target, staging[start : start + len(target)]
        start += len(target)


def _staging(device: torch.device, size_bytes: int) -> torch.Tensor | None:
    free, total = torch.cuda.mem_get_info(device)
    room = room_bytes(
        free=free,
        allowed=int(total * torch.cuda.get_per_process_memory_fraction(device)),
        reserved=torch.cuda.memory_reserved(device),
        most_reserved=torch.cuda.max_memory_reserved(device),
    )
    if 2 * size_bytes > room + _granted.get(device, 0):
        return None
    try:
        staging = torch.empty(size_bytes, dtype=torch.uint8, device=device)
    except torch.OutOfMemoryError:  # another process has taken it
        return None
    _granted[device] = max(size_bytes, _granted.get(device, 0))
    return staging


def room_bytes(*, free: int, allowed: int, reserved: int, most_reserved: int) -> int:
    """What a device has beyond the most that this process has ever needed of it.

    Args:
        free: What nobody holds, in bytes.
        allowed: What this process may hold.
        reserved: What it holds, caches included.
        most_reserved: The most that it has held: a step of the training needs it again.
    """
    return min(free + reserved, allowed) - most_reserved


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _beside_captures() -> Iterator[None]:
    """Lets this thread wait for the device, or pin memory, while another one captures a CUDA graph.

    By default a capture forbids that to all threads, and fails where one does it.
    """
    driver = _driver()
    mode = ctypes.c_int(_RELAXED)
    if driver is not None:
        driver.cuThreadExchangeStreamCaptureMode(
            ctypes.byref(mode)
        )  # the mode until then is in it afterwards
    try:
        yield
    finally:
        if driver is not None:
            driver.cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))


@cache
def _driver() -> Any:
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:  # a build of torch for other GPUs
        return None


class Upload:
    """Brings bytes of a file to a device, through two pieces of pinned memory: while one is copied, the other is read.

    Args:
        device: Where to.
        window_bytes: The size of a piece.
    """

    def __init__(self, device: torch.device, window_bytes: int = WINDOW_BYTES) -> None:
        self._device = device
        self._window_bytes = window_bytes
        self._windows: list[torch.Tensor] = []
        self._copied: list[torch.cuda.Event | None] = [None, None]
        self._current = 0
        self._used = 0

    def read(self, file: RawIOBase, size_bytes: int) -> torch.Tensor:
        """The next bytes of a file, in memory of their own on the device; the copy may be under way.

        Raises:
            ValueError: The file ends before.
            torch.OutOfMemoryError: The device has not enough memory.
        """
        data = torch.empty(size_bytes, dtype=torch.uint8, device=self._device)
        done = 0
        while done < size_bytes:
            window = self._window(size_bytes - done)
            fill(file, window.numpy())
            data[done : done + len(window)].copy_(window, non_blocking=True)
            done += len(window)
        return data

    def finish(self) -> None:
        """Waits for all copies."""
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()

    def _window(self, wanted: int) -> torch.Tensor:
        """A part of a window that nobody reads from; of as many bytes as are wanted, or as are left."""
        if not self._windows:
            self._windows = [self._allocate(), self._allocate()]
        if self._used == self._window_bytes:
            if self._device.type == "cuda":
                self._copied[self._current] = torch.cuda.current_stream(self._device).record_event()
            self._current, self._used = 1 - self._current, 0
            if (copied := self._copied[self._current]) is not None:
                copied.synchronize()
        start = self._used
        self._used = min(start + wanted, self._window_bytes)
        return self._windows[self._current][start : self._used]

    def _allocate(self) -> torch.Tensor:
        made = pinned(self._window_bytes) if self._device.type == "cuda" else None
        return torch.empty(self._window_bytes, dtype=torch.uint8) if made is None else made
