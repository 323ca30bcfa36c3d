"""The processes that make points: a few, each with one task at a time, killed when it takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from hippo_core.errors import HippoError, InvalidStudy, Unavailable
from hippo_core.study import StudySpec
from hippo_server.proposals.messages import Message, encode

PROCESSES = 4
START_SECONDS = 60.0
LONGEST_ANSWER_BYTES = 4 * 2**20
COMMAND = (sys.executable, "-m", "hippo_server.proposals.child")

#: One thread, and no order of sets that differs from one process to the next.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}

log = logging.getLogger(__name__)


class ProposalFailed(HippoError):
    """A point could not be made."""

    code = "PROPOSAL_FAILED"


class Proposers:
    """Makes points in processes of their own.

    Args:
        seconds: How long one may take.
        memory_bytes: How much memory a process may hold.
        command: What a process runs.
    """

    def __init__(self, seconds: float, memory_bytes: int, command: tuple[str, ...] = COMMAND) -> None:
        self.seconds = seconds
        self._memory_bytes = memory_bytes
        self._command = command
        self._free = asyncio.Semaphore(PROCESSES)
        self._idle: list[asyncio.subprocess.Process] = []
        self._all: set[asyncio.subprocess.Process] = set()
        self._closed = False

    async def check(self, spec: StudySpec) -> None:
        """Makes sure that a study's sampler, and its terminator, can work here.

        Raises:
            InvalidStudy: It cannot: something is not installed, or it does not take its arguments.
            Unavailable: No process can be started.
        """
        try:
            answer = await self._ask(encode({"spec": spec.to_json()}))
        except ProposalFailed as error:
            raise Unavailable(f"the sampler could not be checked: {error.message}.", "Try again.") from error
        if "error" in answer:
            field = answer["field"]
            raise InvalidStudy(field, answer["error"].removeprefix(f"{field}: "), answer["hint"])

    async def make(self, task: bytes) -> Message:
        """A point: ``assignment`` and ``notes``; or a judgement: ``gain`` and ``threshold``.

        Args:
            task: The message of a task.

        Raises:
            ProposalFailed: It does not come; the process may have been killed over it.
        """
        answer = await self._ask(task)
        if "error" in answer:
            raise ProposalFailed(answer["error"], answer["hint"])
        return answer

    async def stop(self) -> None:
        """Ends all processes."""
        self._closed = True
        self._idle.clear()
        await asyncio.gather(*(self._kill(process) for process in list(self._all)))

    async def _ask(self, question: bytes) -> Message:
        async with self._free:
            process = self._idle.pop() if self._idle else None
            if process is not None and process.returncode is not None:
                await self._kill(process)
                process = None
            process = process or await self._start()
            try:
                async with asyncio.timeout(self.seconds):
                    answer = await self._exchange(process, question)
            except TimeoutError:
                raise ProposalFailed(f"took longer than {self.seconds:g} s") from None
            else:
                self._idle.append(process)
                return answer
            finally:
                if process not in self._idle:
                    await asyncio.shield(self._kill(process))

    async def _start(self) -> asyncio.subprocess.Process:
        if self._closed:
            raise ProposalFailed("the server is stopping")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HIPPO_")}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                str(os.getpid()),
                str(self._memory_bytes),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LONGEST_ANSWER_BYTES,
                env={**kept, **ENVIRONMENT},
                start_new_session=True,
            )
        except OSError as error:
            raise ProposalFailed(f"its process cannot be started: {error.strerror}") from error
        self._all.add(process)
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._exchange(process, b"")
        except BaseException as error:
            await asyncio.shield(self._kill(process))
            if isinstance(error, TimeoutError):
                raise ProposalFailed(f"its process did not start in {START_SECONDS:g} s") from None
            raise
        log.info("proposer_started", extra={"pid": process.pid})
        return process

    async def _exchange(self, process: asyncio.subprocess.Process, question: bytes) -> Mapping[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(question)
            await process.stdin.drain()
            line = await process.stdout.readline()
            answer = json.loads(line)
        except (ConnectionError, ValueError):
            answer = None
        if not isinstance(answer, Mapping):
            await self._kill(process)
            raise ProposalFailed(f"its process died: {_end_in_words(process.returncode)}")
        return answer

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        self._all.discard(process)


def _end_in_words(code: int | None) -> str:
    if code is not None and code < 0:
        return f"{signal.Signals(-code).name}, or out of memory"
    return f"exit {code}"
