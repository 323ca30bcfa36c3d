"""A child of the supervisor that is started again when it dies."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from hippo_client.local.processes import ProcessIdentity, last_words, start, started_at
from hippo_client.local.restarts import RestartDelays

#: After so many deaths with no step committed in between it is time to tell, and again after as many more.
TROUBLING_DEATHS = 3


class Child:
    """One supervised process.

    Args:
        name: "server" or "worker".
        command: Makes the command line anew for each start.
        log: Takes the output.
        environment: All of the environment.
        on_orphaned: What the child is sent if the supervisor dies.
        on_change: Called after each start and death, so that the record follows.
        on_trouble: Called with words when it has died several times with nothing trained in between.
        on_left: Called when it has ended with exit code 0: it was asked to go, and is not started again. None: that
            counts as a death too.
    """

    def __init__(
        self,
        name: str,
        *,
        command: Callable[[], Sequence[str]],
        log: Path,
        environment: dict[str, str],
        on_orphaned: signal.Signals,
        on_change: Callable[[], None],
        on_trouble: Callable[[str], None],
        on_left: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.delays = RestartDelays()
        self.identity: ProcessIdentity | None = None
        self._command = command
        self._environment = environment
        self._on_orphaned = on_orphaned
        self._on_change = on_change
        self._on_trouble = on_trouble
        self._on_left = on_left
        self._process: subprocess.Popen[bytes] | None = None
        self._exit_code: int | None = None
        self._exited = asyncio.Event()
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Keep it running until it has gone because ``end`` was called, or has left by itself."""
        while not self._ending.is_set():
            self._start()
            await self._exited.wait()
            if self._ending.is_set():
                return
            if self._exit_code == 0 and self._on_left is not None:
                self._on_left()
                return
            delay = self.delays.died()
            self._tell_of_trouble()
            try:
                await asyncio.wait_for(self._ending.wait(), delay)
            except TimeoutError:
                continue

    def collect(self) -> None:
        """Look whether it has died; to be called when a SIGCHLD came."""
        if self._process is not None and (code := self._process.poll()) is not None:
            self._exit_code = code
            self._process = None
            self.identity = None
            self._on_change()
            self._exited.set()

    async def end(self, grace_seconds: float) -> bool:
        """Ask it to end, and wait; after ``grace_seconds`` it is killed.

        Returns:
            Whether it ended by itself.
        """
        self._ending.set()
        process = self._process
        if process is None:
            return True
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._exited.wait(), grace_seconds)
        except TimeoutError:
            process.kill()
            await self._exited.wait()
            return False
        return True

    def _start(self) -> None:
        self._exited.clear()
        process = start(
            self._command(), log=self.log, environment=self._environment, on_orphaned=self._on_orphaned
        )
        self._process = process
        # A zombie has no time of start; collect() will hear of it.
        self.identity = ProcessIdentity(
            name=self.name, pid=process.pid, started=started_at(process.pid) or "ended"
        )
        self._on_change()

    def _tell_of_trouble(self) -> None:
        if self.delays.deaths % TROUBLING_DEATHS == 0:
            self._on_trouble(
                f"The {self.name} ended {self.delays.deaths} times with no step trained in between. "
                f"{last_words(self.log)}"
            )
