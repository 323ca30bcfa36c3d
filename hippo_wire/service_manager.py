"""What a program says to the service manager that started it: that it is ready, what it does, that it lives, that it
ends.

The protocol is systemd's (sd_notify(3)): datagrams of ``NAME=value`` lines to the Unix socket that ``NOTIFY_SOCKET``
names, and a sign of life within every ``WATCHDOG_USEC``. Without such a socket nothing is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import MutableMapping

#: How many signs of life are due in the time that the manager waits for one.
SIGNS = 3


class ServiceManager:
    """The manager of this process, or nobody.

    Args:
        address: Of its socket; a leading ``@`` stands for Linux's abstract names. None: there is no manager.
        watchdog_seconds: After how long without a sign of life it kills the process; None: it waits for none.
    """

    def __init__(self, address: str | None, watchdog_seconds: float | None = None) -> None:
        self._address = None if address is None else address.replace("@", "\0", 1)
        self.watchdog_seconds = watchdog_seconds

    @classmethod
    def of(cls, variables: MutableMapping[str, str]) -> ServiceManager:
        """The manager that environment variables name.

        They are taken out: what the process starts would else speak in its name.
        """
        address = variables.pop("NOTIFY_SOCKET", None)
        microseconds = variables.pop("WATCHDOG_USEC", "")
        watched = variables.pop("WATCHDOG_PID", str(os.getpid()))
        if not microseconds.isdecimal() or watched != str(os.getpid()):
            return cls(address)
        return cls(address, int(microseconds) / 1e6)

    def ready(self, status: str) -> None:
        """The program has started.

        Args:
            status: What it does, for people.
        """
        self._say(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """What the program does has changed."""
        self._say(f"STATUS={status}")

    def stopping(self, status: str) -> None:
        """The program has begun to end."""
        self._say(f"STOPPING=1\nSTATUS={status}")

    async def keep_alive(self) -> None:
        """Gives signs of life for as long as the event loop turns, until cancelled."""
        while self._address is not None and self.watchdog_seconds is not None:
            self._say("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_seconds / SIGNS)

    def _say(self, lines: str) -> None:
        if self._address is None:
            return
        # A manager that does not listen is no reason for the program to end.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(lines.encode(), self._address)
