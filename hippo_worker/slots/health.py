"""Whether a slot's device is in order, by a command: so that a broken GPU costs no trial its tries.

The command is asked now and then while the slot idles, and whenever a path fails there, before the failure is told. Two
failures in a row count; one may be a hiccup of a driver.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence

TRIES = 2
PATIENCE_SECONDS = 60.0  #: a command that takes longer has failed
OUTPUT_LETTERS = 300
NO_ANSWER = f"no answer for {PATIENCE_SECONDS:.0f} s"

#: How a GPU is asked: by its driver, without torch.
GPU_CHECK = (sys.executable, "-P", "-m", "hippo_worker.slots.gpu_check")


class HealthCheck:
    """Asks a command about the device of a slot.

    Args:
        command: Ends with 0 where the device is in order; else the last line that it prints says what is wrong.
        variables: Its environment.
    """

    def __init__(self, command: Sequence[str], variables: Mapping[str, str]) -> None:
        self._command = tuple(command)
        self._variables = dict(variables)
        self._hangs: asyncio.subprocess.Process | None = None  # it was told to end, and may not have

    async def failure(self) -> str:
        """What is wrong with the device; empty: nothing."""
        reason = ""
        for _ in range(TRIES):
            reason = await self._ask()
            if not reason:
                return ""
        return reason

    async def _ask(self) -> str:
        if self._hangs is not None and self._hangs.returncode is None:
            # In a driver that hangs no signal ends it: others would only hang beside it.
            return NO_ANSWER
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._variables,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return f"{self._command[0]} cannot be started: {error.strerror}"
        try:
            output, _ = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
        except TimeoutError:
            self._hangs = process
            return NO_ANSWER
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        if process.returncode == 0:
            return ""
        lines = output.decode(errors="replace").strip().splitlines()
        return lines[-1][:OUTPUT_LETTERS] if lines else f"exit code {process.returncode}"


class DeviceHealth:
    """What is known of the device of a slot.

    Args:
        check: Checks it; None: nothing does.
        on_look: Called with what a look came to where it failed, and where it succeeds after that.
    """

    def __init__(self, check: HealthCheck | None, on_look: Callable[[str], None]) -> None:
        self._check = check
        self._on_look = on_look
        self._looking = asyncio.Lock()  # not twice at a time
        self.is_broken = False

    async def watch(self, seconds: float, idles: Callable[[], bool]) -> None:
        """Looks every so many seconds while the slot idles, or is known to be broken; until it is cancelled."""
        while self._check is not None:
            if self.is_broken or idles():
                await self.look()
            await asyncio.sleep(seconds)

    async def look(self) -> str:
        """Looks, and tells what has changed; a failure again and again. Gives what is wrong; empty where nothing is."""
        if self._check is None:
            return ""
        async with self._looking:
            reason = await self._check.failure()
            if reason or self.is_broken:
                self._on_look(reason)
            self.is_broken = bool(reason)
            return reason
