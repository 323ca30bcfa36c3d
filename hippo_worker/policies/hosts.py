"""Asks users' own policies what the server wants to know: one process for each, kept while it answers.

A process is told rounds and answers; if it dies, fails or takes too long it is gone with what it had been told, and the
server begins anew. What belongs to an earlier connection to the server is dropped with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import shutil
import signal
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hippo_core.engine.states import FailureClass
from hippo_core.errors import HippoError, InvalidStudy
from hippo_wire.v1 import worker_pb2
from hippo_worker.runner.messages import frame
from hippo_worker.runner.settings import POLICY_LOG, PolicySettings
from hippo_worker.secrets import Redaction
from hippo_worker.slots.process import RunnerProcess, death
from hippo_worker.supplies import Supplies

logger = logging.getLogger(__name__)

ROUND_SECONDS = 60.0  #: a policy may take so long over one round
MEMORY_BYTES = 4 * 2**30
KEPT_PROCESSES = 4  #: so many that nobody asks anything just now
SHOWN_BYTES = 4000


class Lost(Exception):
    """A process is gone, or never came, through no fault of the policy."""


class Failed(Exception):
    """A policy failed, in words."""


@dataclass(slots=True, eq=False)
class _Host:
    """A policy's process."""

    process: RunnerProcess
    folder: Path
    redaction: Redaction
    told: int = 0  #: how many rounds
    shown: int = 0  #: how much of what it printed

    async def answer(self, rounds: list[str], round_seconds: float) -> str:
        """Tells it rounds; gives what it decided after the last one."""
        await self.process.send_frame(frame(rounds))
        said = self.process.frames()
        while True:
            try:
                async with asyncio.timeout(round_seconds):
                    match await anext(said, None):
                        case ["told"]:
                            self.told += 1
                        case ["decided", str() as verdicts]:
                            return self.redaction.text(verdicts)
                        case ["failed", str() as words]:
                            raise Failed(self.redaction.text(words))
                        case None:
                            raise await self._died()
                        case other:
                            raise Failed(f"its process said {self.redaction.text(repr(other))}")
            except TimeoutError:
                raise Failed(f"it took longer than {round_seconds:g} s to answer") from None

    async def _died(self) -> Exception:
        self.process.kill()
        code = await self.process.ended
        how = death(code, self.process.out_of_memory)
        if how.failure is FailureClass.INFRASTRUCTURE:
            return Lost(f"its process was killed by {signal.Signals(-code).name}")
        if how.failure is FailureClass.MEMORY:
            return Failed("its process was killed: the host's memory was used up")
        ended = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
        return Failed(f"its process ended {ended}")

    def printed(self) -> str:
        """What it has printed since this was last asked; of much, the end."""
        with contextlib.suppress(OSError), (self.folder / POLICY_LOG).open("rb") as file:
            end = file.seek(0, 2)
            start, self.shown = max(self.shown, end - SHOWN_BYTES), end
            file.seek(start)
            return self.redaction.all(file.read(end - start)).decode(errors="replace")
        return ""

    async def end(self) -> None:
        """Ends it with everything that it has started."""
        self.process.kill()
        await self.process.ended
        self.process.close()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)


class PolicyHosts:
    """The processes of a worker.

    Args:
        supplies: What they are made from.
        say: Takes an answer for the server.
        round_seconds: How long a policy may take over one round.
    """

    def __init__(
        self,
        supplies: Supplies,
        say: Callable[[worker_pb2.PolicyAnswer], None],
        round_seconds: float = ROUND_SECONDS,
    ) -> None:
        self._supplies = supplies
        self._say = say
        self._round_seconds = round_seconds
        self._numbers = itertools.count(1)
        self._coming: dict[int, worker_pb2.PolicyQuestion] = {}  # by question: what has come of it so far
        self._tasks: dict[int, asyncio.Task[None]] = {}  # by study: what is being answered
        self._idle: OrderedDict[int, _Host] = OrderedDict()  # by study, the longest idle first

    def ask(self, message: worker_pb2.PolicyQuestion) -> None:
        """Answers a question in its own time, once all of it has come. An earlier one of the study is forgotten."""
        question = self._coming.pop(message.question, None)
        if question is None:
            question = message
        else:
            question.rounds_json.extend(message.rounds_json)
        if message.more:
            self._coming[message.question] = question
            return
        earlier = self._tasks.get(question.study)
        self._tasks[question.study] = asyncio.create_task(
            self._answer(question, earlier), name=f"policy of study {question.study}"
        )

    async def forget(self) -> None:
        """Drops all questions and processes: another connection, or the end."""
        self._coming.clear()
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._idle:
            _, host = self._idle.popitem()
            await host.end()

    async def _answer(self, question: worker_pb2.PolicyQuestion, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            earlier.cancel()
            await asyncio.gather(earlier, return_exceptions=True)
        answer = worker_pb2.PolicyAnswer(question=question.question)
        try:
            answer.verdicts_json = await self._verdicts(question)
        except (Failed, InvalidStudy) as error:
            answer.failed = str(error)
        except (Lost, HippoError, OSError) as error:
            answer.lost = str(error)
        if self._tasks.get(question.study) is asyncio.current_task():
            del self._tasks[question.study]
        self._say(answer)

    async def _verdicts(self, question: worker_pb2.PolicyQuestion) -> str:
        host = self._idle.pop(question.study, None)
        if host is not None and (not question.known or host.told != question.known):
            await host.end()
            host = None
        if host is None:
            if question.known:
                raise Lost("its process is gone")
            host = await self._new(question)
        try:
            verdicts = await host.answer(list(question.rounds_json), self._round_seconds)
        except BaseException as error:
            self._show(host, question.study)
            logger.info("policy_ended", extra={"study": question.study, "why": str(error)})
            await asyncio.shield(host.end())
            raise
        self._show(host, question.study)
        self._idle[question.study] = host
        while len(self._idle) > KEPT_PROCESSES:
            _, oldest = self._idle.popitem(last=False)
            await oldest.end()
        return verdicts

    async def _new(self, question: worker_pb2.PolicyQuestion) -> _Host:
        secrets = self._supplies.secrets.chosen(question.secrets)
        code = await self._supplies.code(question.bundle)
        folder = self._supplies.spool / "policies" / str(next(self._numbers))
        folder.mkdir(parents=True)
        settings = PolicySettings(
            study=question.study,
            code=code,
            folder=folder,
            policy_json=question.policy_json,
            context_json=question.context_json,
            memory_bytes=MEMORY_BYTES,
        )
        spawning = asyncio.ensure_future(
            self._supplies.spawner.spawn(
                settings,
                {**question.env, **secrets, "CUDA_VISIBLE_DEVICES": ""},
                # What a study sets for its libraries, they read when they are loaded.
                own_interpreter=bool(question.env),
            )
        )
        try:
            process = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            spawning.add_done_callback(_kill_it)
            raise
        logger.info("policy_started", extra={"study": question.study, "pid": process.pid})
        return _Host(process, folder, Redaction(secrets))

    def _show(self, host: _Host, study: int) -> None:
        printed = host.printed()
        if printed:
            logger.info("policy_printed", extra={"study": study, "text": printed})


def _kill_it(spawned: asyncio.Future[RunnerProcess]) -> None:
    """Nobody wants the process any more that comes now."""
    if not spawned.cancelled() and spawned.exception() is None:
        spawned.result().kill()
        spawned.result().close()
