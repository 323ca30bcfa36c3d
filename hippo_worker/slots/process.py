"""A runner as its slot sees it: messages to it, messages from it, and its end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from hippo_core.engine.states import FailureClass
from hippo_worker.runner.messages import FrameReader, Message, encode, from_plain

_RECEIVE_BYTES = 1 << 18
# Sent from outside: by a person, a service manager, the kernel short of memory. All others come from the code itself.
_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})


class RunnerProcess:
    """A live runner.

    Args:
        pid: Its process, the leader of a session and group of its own.
        connection: The daemon's end of its socket.
        tell: Asks its parent to "kill" its group, or to let it "dump" its stacks, if it has not ended.
        kills_before: How many kills for lack of memory were counted before it was born.
    """

    def __init__(
        self, pid: int, connection: socket.socket, tell: Callable[[str], None], kills_before: int = 0
    ) -> None:
        self.pid = pid
        self.kills_before = kills_before
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        connection.setblocking(False)
        self._connection = connection
        self.peak_bytes = 0  #: the most memory that it held, once it has ended; 0: not known
        self.out_of_memory = False  #: whether the kernel killed it for lack of memory
        self._tell = tell
        self._closed = False
        self._sending = asyncio.Lock()

    async def send(self, *messages: Message) -> None:
        """Says something to it. One that has died hears nothing; its end is told by ``ended``."""
        await self.send_frame(encode(messages))

    async def send_frame(self, data: bytes) -> None:
        """Sends a frame, whatever it holds."""
        loop = asyncio.get_running_loop()
        async with self._sending:
            if self._closed:
                return
            try:
                await loop.sock_sendall(self._connection, data)
            except (BrokenPipeError, ConnectionResetError):
                return

    async def messages(self) -> AsyncIterator[Message]:
        """What it says, until it has closed its end."""
        async for plain in self.frames():
            for item in plain:
                yield from_plain(item)

    async def frames(self) -> AsyncIterator[Any]:
        """The plain data of what it says, frame by frame, until it has closed its end."""
        loop = asyncio.get_running_loop()
        reader = FrameReader()
        while True:
            try:
                data = await loop.sock_recv(self._connection, _RECEIVE_BYTES)
            except ConnectionResetError:
                return
            if not data:
                return
            for plain in reader.feed(data):
                yield plain

    def kill(self) -> None:
        """Kills it with everything that it has started; its end is told by ``ended``."""
        self._tell("kill")

    def dump(self) -> None:
        """Lets it write where its threads are, see ``hippo_worker.runner.stack``; only once it has begun a path."""
        self._tell("dump")

    def close(self) -> None:
        """Closes the daemon's end of the socket."""
        self._closed = True
        self._connection.close()

    def has_ended(self, code: int, peak_bytes: int = 0, *, out_of_memory: bool = False) -> None:
        """To be called by the one who learns of it."""
        if not self.ended.done():
            self.peak_bytes, self.out_of_memory = peak_bytes, out_of_memory
            self.ended.set_result(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How a runner died in the middle of a path."""

    failure: FailureClass
    message: str
    traceback: str | None = None  #: None: the last of what it printed tells more


def death(code: int, out_of_memory: bool, peak_bytes: int = 0) -> Death:
    """Whose fault an unexpected end is, in words.

    Args:
        code: The exit code, a signal as its negative number.
        out_of_memory: Whether the kernel killed it for lack of memory.
        peak_bytes: The most memory that it held; 0: not known.
    """
    if code >= 0:
        return Death(
            failure=FailureClass.USER,
            message=f"The trainer ended its process with exit code {code}; a trainer raises, it does not exit.",
        )
    name = signal.Signals(-code).name
    if out_of_memory:
        return Death(
            failure=FailureClass.MEMORY,
            message=(
                f"Out of memory: the runner was killed by {name}, as the host's memory was used up"
                f"{f'; it held {peak_bytes / 2**30:.2f} GiB' if peak_bytes else ''}. Give the trainer less to hold "
                "(a smaller batch, fewer DataLoader workers), or the worker fewer slots."
            ),
        )
    if -code in _FROM_OUTSIDE:
        return Death(failure=FailureClass.INFRASTRUCTURE, message=f"The runner was killed by {name}.")
    return Death(
        failure=FailureClass.USER,
        message=f"The runner was killed by {name}: native code that the trainer calls broke down.",
    )
