"""The daemon's side of the forkserver: starts it, asks it for runners, and hears how each one ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hippo_core.errors import HippoError, Unavailable
from hippo_worker.memory import OutOfMemoryKills
from hippo_worker.runner.messages import FrameReader, frame
from hippo_worker.runner.settings import ProcessSettings
from hippo_worker.slots.process import RunnerProcess

logger = logging.getLogger(__name__)

_RECEIVE_BYTES = 1 << 16
LOST = -signal.SIGKILL  #: the exit code of a runner that went with its forkserver


class Spawner:
    """Starts runners by a forkserver, and the forkserver itself again if it dies.

    Args:
        environment: What the forkserver, and so every runner, is born with.
        memory: Tells kills for lack of memory from others; by default those of this process's control group.
    """

    def __init__(self, environment: Mapping[str, str], memory: OutOfMemoryKills | None = None) -> None:
        self.environment = dict(environment)
        self._memory = memory or OutOfMemoryKills()
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._outgoing: asyncio.Queue[tuple[bytes, socket.socket | None]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._numbers = itertools.count(1)
        self._starting = asyncio.Lock()
        self._ready: asyncio.Future[dict[str, Any]] | None = None
        self._devices: asyncio.Future[list[list[str]]] | None = None
        self._asked: dict[int, asyncio.Future[int]] = {}
        self._runners: dict[int, RunnerProcess] = {}
        self._early: dict[int, tuple[int, int]] = {}

    async def torch(self) -> dict[str, Any]:
        """The torch that runners use, as ``torch`` and ``cuda``.

        Raises:
            HippoError: It cannot be imported.
        """
        await self._start()
        assert self._ready is not None
        return await self._ready

    async def devices(self, names: Sequence[str | None]) -> list[list[str]]:
        """The models of the host's GPUs, for each name in ``CUDA_VISIBLE_DEVICES``; None: of all that are seen."""
        await self._start()
        self._devices = asyncio.get_running_loop().create_future()
        self._outgoing.put_nowait((frame(["probe", list(names)]), None))
        return await self._devices

    async def spawn(
        self, settings: ProcessSettings, environment: Mapping[str, str], *, own_interpreter: bool
    ) -> RunnerProcess:
        """Starts a runner, or another process that runs user code.

        Args:
            settings: What it needs to know.
            environment: Variables beside those of the forkserver.
            own_interpreter: Whether these act only from a process's start on, as those of libraries do.

        Raises:
            Unavailable: The system starts no further process, or the forkserver died meanwhile.
        """
        await self._start()
        number = next(self._numbers)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        kills_before = self._memory.counted()
        ours, theirs = socket.socketpair()
        plain = {
            "module": settings.module,
            "settings": settings.to_plain(),
            "environment": dict(environment),
            "own_interpreter": own_interpreter,
        }
        try:
            with theirs:
                self._outgoing.put_nowait((frame(["spawn", number, plain]), theirs))
                pid = await answer
        except BaseException:
            ours.close()
            raise
        finally:
            del self._asked[number]
        runner = RunnerProcess(pid, ours, lambda request: self._tell(pid, request), kills_before)
        self._runners[pid] = runner
        if pid in self._early:  # it ended before this task came to run again
            self._runner_ended(pid, *self._early.pop(pid))
        return runner

    def close(self) -> None:
        """Ends the forkserver and with it every runner."""
        for task in self._tasks:
            task.cancel()
        if self._control is not None:
            self._control.close()
        if self._server is not None:
            # It ends by itself once its socket has; killed, it takes its runners along.
            try:
                self._server.wait(5.0)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()

    async def _start(self) -> None:
        async with self._starting:
            if self._server is None:
                self.launch()
            assert self._ready is not None
            await asyncio.shield(self._ready)

    def launch(self) -> None:
        """Starts the forkserver, where none is, without waiting for it; from the event loop's thread."""
        loop = asyncio.get_running_loop()
        control, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-m", "hippo_worker.runner.forkserver", str(theirs.fileno())],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        control.setblocking(False)
        self._control = control
        self._outgoing = asyncio.Queue()
        self._ready = loop.create_future()
        self._tasks = [
            loop.create_task(self._listen(control), name="forkserver answers"),
            loop.create_task(self._say(control, self._outgoing), name="forkserver requests"),
        ]

    async def _listen(self, control: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = FrameReader()
        while True:
            try:
                data = await loop.sock_recv(control, _RECEIVE_BYTES)
            except ConnectionResetError:
                data = b""
            if not data:
                break
            for answer in reader.feed(data):
                self._take(answer)
        self._server_ended()

    def _take(self, answer: list[Any]) -> None:
        match answer:
            case ["ready", torch]:
                assert self._ready is not None
                self._ready.set_result(torch)
            case ["broken", words]:
                assert self._ready is not None
                self._ready.set_exception(
                    HippoError(
                        f"torch cannot be imported: {words}.",
                        "Install it where hippo-worker runs: pip install 'hippo-hpo[worker]'",
                    )
                )
            case ["probed", models]:
                if self._devices is not None and not self._devices.done():
                    self._devices.set_result(models)
            case ["spawned", number, pid]:
                self._asked[number].set_result(pid)
            case ["refused", number, words]:
                self._asked[number].set_exception(
                    Unavailable(
                        f"The system starts no further process: {words}.",
                        "Raise the limit of processes of the worker's user, or of its container.",
                    )
                )
            case ["ended", pid, code, peak_bytes]:
                self._runner_ended(pid, code, peak_bytes)
            case _:
                raise AssertionError(f"a forkserver does not say {answer!r}")

    def _runner_ended(self, pid: int, code: int, peak_bytes: int) -> None:
        runner = self._runners.pop(pid, None)
        if runner is None:
            self._early[pid] = code, peak_bytes
        else:
            # One that went with its forkserver is not asked about: what the kernel killed was another.
            killed = code == -signal.SIGKILL and self._memory.take(runner.kills_before)
            runner.has_ended(code, peak_bytes, out_of_memory=killed)

    def _server_ended(self) -> None:
        """Its runners died with it; what they had started is ended here."""
        assert self._server is not None
        status = self._server.wait()
        logger.warning("forkserver_ended_starting_another_when_needed", extra={"status": status})
        error = Unavailable("The forkserver ended.", "The path is planned anew.")
        for pending in (self._ready, self._devices, *self._asked.values()):
            if pending is not None and not pending.done():
                pending.set_exception(error)
        for pid, runner in sorted(self._runners.items()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            runner.has_ended(LOST)
        self._runners.clear()
        self._early.clear()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        if self._control is not None:
            self._control.close()
        self._server = self._control = None

    def _tell(self, pid: int, request: str) -> None:
        if pid in self._runners:
            self._outgoing.put_nowait((frame([request, pid]), None))

    async def _say(
        self, control: socket.socket, outgoing: asyncio.Queue[tuple[bytes, socket.socket | None]]
    ) -> None:
        """Sends requests one after the other. One that does not arrive is answered by the server's end."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                data, descriptor = await outgoing.get()
                if descriptor is not None:
                    # Without waiting: the buffer is empty, since its reader does nothing but read.
                    data = data[socket.send_fds(control, [data], [descriptor.fileno()]) :]
                await loop.sock_sendall(control, data)
