"""What a daemon and one runner say to each other about paths, from the runner's start to its end.

The runner is listened to for as long as it lives: the saves of one path are still being written while the next one
trains. Its death is one more way for a path to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any

from hippo_core.engine.commands import (
    AnsweredReport,
    FailedReport,
    MetricsReport,
    ReleasedReport,
    SaveFailedReport,
    StepsReport,
    TrainedReport,
)
from hippo_core.engine.states import FailureClass
from hippo_core.errors import Unavailable
from hippo_wire.observing import tracing
from hippo_wire.observing.logs import unbound
from hippo_worker.hosting.order import PathOrder
from hippo_worker.lease import Ending, Lease
from hippo_worker.memory import OutOfMemoryKills
from hippo_worker.runner import messages
from hippo_worker.secrets import NOTHING, Redaction
from hippo_worker.slots.process import Death, RunnerProcess, death
from hippo_worker.slots.stalls import StallWatch, dumped
from hippo_worker.stage_spans import StageSpans
from hippo_worker.supplies import Supplies

logger = logging.getLogger(__name__)

QUIT_SECONDS = 5.0  #: a runner that was told to end has so long
CLOSED_SECONDS = 1.0  #: one that has closed its socket has so long to be dead
TAIL_BYTES = 4000


class NotBegun(Exception):
    """The runner was gone before it had the path."""


class Conversation:
    """A runner and the paths that it trains, one at a time.

    Args:
        process: The runner.
        folder: Its own folder, removed at its end.
        supplies: What its slot draws on.
        memory: Tells kills for lack of memory from others.
        redaction: Hides the secrets that it was given in what it says.
    """

    def __init__(
        self,
        process: RunnerProcess,
        folder: Path,
        supplies: Supplies,
        memory: OutOfMemoryKills | None = None,
        redaction: Redaction = NOTHING,
    ) -> None:
        self.process = process
        self.holds: tuple[int, int] | None = None  #: the state that it has in memory
        self._folder = folder
        self._supplies = supplies
        self._redaction = redaction
        self._memory = memory or OutOfMemoryKills()
        self._leases: dict[int, Lease] = {}
        self._training: Lease | None = None
        self._begun = False
        self._ending: asyncio.Future[Ending] | None = None
        self._verdict: Death | None = None  # why it is killed by its worker
        self._is_over = False  # its end has been told to all whom it concerned
        self._watch = StallWatch()
        self._spans = StageSpans()
        # What is bound to the log's lines is about the first of its leases, and the listener hears of all.
        listening, name = self._listen(), f"runner {process.pid}"
        self._listener = asyncio.create_task(listening, name=name, context=unbound())

    @property
    def alive(self) -> bool:
        """Whether it can train."""
        return not self._listener.done() and not self.process.ended.done()

    async def train(self, lease: Lease, order: PathOrder) -> Ending:
        """Trains a path to its end, whatever that is. To be called when no other path trains.

        Raises:
            NotBegun: The runner had died before; another one may train the path.
            Unavailable: Nobody listens to the runner any more.
        """
        if self._is_over:
            raise NotBegun
        self._leases = {fence: old for fence, old in self._leases.items() if not old.settled}
        self._leases[lease.fence] = self._training = lease
        self._ending = asyncio.get_running_loop().create_future()
        self.holds, self._begun = None, False
        self._watch.begins()
        logs, self._spans = self._supplies.logs_folder(lease.fence), StageSpans()
        await self.process.send(
            messages.Run(
                order_json=json.dumps(order.to_plain()), logs=str(logs), traceparent=tracing.traceparent()
            )
        )
        waited: set[asyncio.Future[Any]] = {self._ending, self._listener}
        watching = asyncio.create_task(self._end_if_stalled(lease))
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
        if not self._ending.done():
            # The listener tells the end of every path before its own, unless there is a mistake in it.
            error = self._listener.exception()
            raise Unavailable(
                f"The worker failed at what its runner said: {error!r}.", "Look at its log."
            ) from error
        return self._ending.result()

    async def _end_if_stalled(self, lease: Lease) -> None:
        """Kills the runner once its path has stood still for too long, with its stacks for people to read."""
        patience = await self._watch.stalled(lease.order.stall_seconds)
        stacks = ""
        if self._begun:
            self.process.dump()
            stacks = await dumped(self._folder)
        node, step = lease.position
        logger.warning("path_stalled", extra={"fence": lease.fence, "node": node, "step": step})
        if stacks:
            log = self._supplies.logs_folder(lease.fence) / f"{node}.log"
            await asyncio.to_thread(_append, log, f"\nstalled at step {step}, here:\n{stacks}")
        self._verdict = Death(
            failure=FailureClass.STALLED,
            message=(
                f"stalled at step {step}: no step for {patience:.4g} s. The stacks of its threads are in its log. "
                "Where a step may take that long, start hippo-server with larger --stall-seconds."
            ),
            traceback=stacks,
        )
        self.process.kill()

    async def quit(self) -> None:
        """Ends a runner in peace: its saves are written first."""
        for lease in list(self._leases.values()):
            await lease.until_settled()
        await self.process.send(messages.Quit())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.process.ended), QUIT_SECONDS)
        await self.kill()

    async def kill(self) -> None:
        """Ends it at once, and waits until it is gone."""
        self.process.kill()
        await asyncio.wait({self._listener})

    async def _listen(self) -> None:
        try:
            await self._take_all()
        except Exception as error:
            logger.exception("runner_is_not_understood", extra={"pid": self.process.pid})
            self.process.kill()
            await self.process.ended
            why = Death(
                failure=FailureClass.INFRASTRUCTURE,
                message=f"The worker failed at what its runner said: {self._redaction.text(repr(error))}.",
            )
        else:
            why = await self._why_silent()
        why = self._verdict or why
        self.process.close()
        self._died(why)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _take_all(self) -> None:
        async for message in self.process.messages():
            if isinstance(message, messages.Ready):
                continue
            assert not isinstance(message, messages.Run | messages.Quit)
            lease = self._leases.get(message.fence)
            if lease is not None:
                self._take(lease, message)
            elif isinstance(message, messages.Written):
                # Of a lease that no longer stands, and that was let go since.
                await asyncio.to_thread(shutil.rmtree, message.folder, ignore_errors=True)

    async def _why_silent(self) -> Death:
        """Waits for the end of a runner that says no more."""
        try:
            code = await asyncio.wait_for(asyncio.shield(self.process.ended), CLOSED_SECONDS)
        except TimeoutError:
            self.process.kill()
            await self.process.ended
            return Death(
                failure=FailureClass.USER,
                message="The trainer closed the runner's connection to its worker; it closes only what it opened.",
            )
        return death(code, self._memory.happened(), self.process.peak_bytes)

    def _take(self, lease: Lease, message: messages.Message) -> None:
        match message:
            case messages.Steps(node=node, start=start, stop=stop):
                if lease is self._training:
                    self._watch.moved()
                    self._spans.trained(node, start, stop)
                lease.say(
                    StepsReport(
                        node=node,
                        start=start,
                        stop=stop,
                        train_seconds=message.train_seconds,
                        evaluate_seconds=message.evaluate_seconds,
                    )
                )
            case messages.Metrics(node=node, step=step):
                lease.say(
                    MetricsReport(
                        node=node,
                        step=step,
                        metrics=self._redaction.names(message.metrics),
                        training=self._redaction.names(message.training),
                        evaluated=message.evaluated,
                    )
                )
            case messages.Written():
                self._supplies.publisher.publish(self._supplies.shared, lease, message)
            case messages.NotWritten(node=node, step=step, reason=reason, full=full):
                if full:
                    self._supplies.publisher.make_room()
                reason = self._redaction.text(reason)
                lease.say(SaveFailedReport(node=node, step=step, reason=reason, full=full))
                lease.save_ends((node, step), kept=False)
            case messages.Answered(node=node, step=step, will=will):
                lease.say(AnsweredReport(node=node, step=step, will=will))
            case messages.Begun():
                self._begun = True
                self._watch.begins()
            case messages.Settled():
                lease.no_more_saves()
            case messages.Trained(holds=holds):
                self.holds = None if holds is None else (holds[0], holds[1])
                self._end(TrainedReport())
            case messages.Released(reason=reason, holds=holds):
                self.holds = None if holds is None else (holds[0], holds[1])
                self._end(ReleasedReport(reason=self._redaction.text(reason)))
            case messages.Failed(node=node, step=step):
                self._end(
                    FailedReport(
                        failure=FailureClass(message.failure),
                        message=self._redaction.text(message.message),
                        traceback=self._redaction.text(message.traceback),
                        node=node,
                        step=step,
                    )
                )
            case _:
                raise AssertionError(f"a runner does not say {type(message).__name__}")

    def _end(self, ending: Ending) -> None:
        assert self._ending is not None
        self._training = None
        self._spans.ended(ending.message if isinstance(ending, FailedReport) else "")
        if not self._ending.done():
            self._ending.set_result(ending)

    def _died(self, why: Death) -> None:
        self._is_over = True
        lease = self._training
        for other in self._leases.values():
            if other is not lease and not other.settled:
                other.lost_saves(f"{why.message} It had not written the state yet.")
        if lease is None or not self._begun:
            # What it printed outside of paths is nobody's log; a broken installation shows itself there.
            printed = self._redaction.text(_tail(self._folder / "runner.log"))
            code = self.process.ended.result()
            logger.info("runner_ended", extra={"pid": self.process.pid, "code": code, "printed": printed})
        if lease is None:
            return
        if not self._begun:
            assert self._ending is not None
            self._training = None
            self._leases.pop(lease.fence)
            if not self._ending.done():
                self._ending.set_exception(NotBegun())
            return
        self._supplies.metrics.runner_died(why.failure.value)
        logger.warning(
            "runner_died", extra={"pid": self.process.pid, "fence": lease.fence, "why": why.message}
        )
        lease.no_more_saves()
        node, step = lease.position
        self._end(
            FailedReport(
                failure=why.failure,
                message=why.message,
                traceback=self._traceback(why, lease, node),
                node=node,
                step=step,
            )
        )

    def _traceback(self, why: Death, lease: Lease, node: int) -> str:
        """Where it died: after a crash of native code the last that was printed is the fault handler's stack."""
        if why.traceback is not None:
            return self._redaction.text(why.traceback)
        if why.failure is FailureClass.INFRASTRUCTURE:
            return ""
        return self._redaction.text(_tail(self._supplies.logs_folder(lease.fence) / f"{node}.log"))


def _append(path: Path, text: str) -> None:
    """Adds to what a path printed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(text.encode())


def _tail(path: Path) -> str:
    """The end of a file; empty where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
