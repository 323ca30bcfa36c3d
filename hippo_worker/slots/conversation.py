"""What a daemon and one runner say to each other about paths, from the runner's start to its end.

The runner is told paths ahead, so that it begins the next one without a word when one has ended. It is listened to
for as long as it lives: the saves of one path are still being written while the next one trains. Its death is one more
way for a path to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

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
from hippo_core.lease_order import LeaseOrder
from hippo_core.values import ValueKey
from hippo_wire.observing import tracing
from hippo_wire.observing.logs import unbound
from hippo_worker.hosting.order import PathOrder, SetupOrder
from hippo_worker.lease import Ending, Lease
from hippo_worker.runner import messages
from hippo_worker.runner.capture import SETUP_LOG
from hippo_worker.secrets import NOTHING, Redaction
from hippo_worker.slots.process import Death, RunnerProcess, death
from hippo_worker.slots.stalls import StallWatch, dumped
from hippo_worker.stage_spans import StageSpans
from hippo_worker.supplies import Supplies

logger = logging.getLogger(__name__)

QUIT_SECONDS = 5.0  #: a runner that was told to end has so long
CLOSED_SECONDS = 5.0  #: one that has closed its socket has so long to be dead: how it died may be told late
TAIL_BYTES = 4000


class NotBegun(Exception):
    """The path's turn did not come: its runner was gone before, or the path was told to end."""


@dataclass(slots=True, eq=False)
class _Told:
    """A path that the runner was told to train, and that has not ended."""

    lease: Lease
    ending: asyncio.Future[Ending]
    spans: StageSpans
    begun: bool = False
    verdict: Death | None = None  #: why its worker kills the runner under it


class Conversation:
    """A runner and the paths that it trains, one after the other in the order in which it is told them.

    Args:
        process: The runner.
        folder: Its own folder, removed at its end.
        supplies: What its slot draws on.
        redaction: Hides the secrets that it was given in what it says.

    Attributes:
        holds: The state that it has in memory, as node and step; only known while no path is told.
        has_begun: Whether it has ever begun a path.
        is_given_up: Whether it was ended since what it made was of no use any more.
    """

    def __init__(
        self,
        process: RunnerProcess,
        folder: Path,
        supplies: Supplies,
        redaction: Redaction = NOTHING,
    ) -> None:
        self.process = process
        self.holds: tuple[int, int] | None = None
        self.has_begun = False
        self.is_given_up = False
        self._prepared: asyncio.Future[str] | None = None  # what came of a trainer that it was told to make
        self._prepared_with: ValueKey | None = None  # the values at its setup
        self._folder = folder
        self._supplies = supplies
        self._redaction = redaction
        self._leases: dict[int, Lease] = {}
        self._told: dict[int, _Told] = {}  # by fence; the first one trains, or is about to
        self._free = asyncio.Event()  # no path is told
        self._free.set()
        self._is_over = False  # its end has been told to all whom it concerned
        self._watch = StallWatch(self._stalled)
        self._ending_stalled: asyncio.Task[None] | None = None
        # What is bound to the log's lines is about the first of its leases, and the listener hears of all.
        listening, name = self._listen(), f"runner {process.pid}"
        self._listener = asyncio.create_task(listening, name=name, context=unbound())
        self._listener.add_done_callback(self._listens_no_more)

    @property
    def alive(self) -> bool:
        """Whether it can train."""
        return not self._listener.done() and not self.process.ended.done()

    async def train(self, lease: Lease, order: PathOrder) -> asyncio.Future[Ending]:
        """Tells the runner to train a path after those that it was told before.

        Returns:
            The path's end, whatever that is. It raises NotBegun where another runner may train the path, or none is to;
            Unavailable where nobody listens to the runner any more.

        Raises:
            NotBegun: The runner has died.
        """
        if self._is_over:
            raise NotBegun
        self._leases = {
            fence: old for fence, old in self._leases.items() if fence in self._told or not old.settled
        }
        ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._leases[lease.fence] = lease
        self._told[lease.fence] = _Told(lease, ending, StageSpans())
        if len(self._told) == 1:
            self._free.clear()
            self._watch.begins(lease.order.stall_seconds)
        await self.process.send(
            messages.Run(
                fence=lease.fence,
                order_json=json.dumps(order.to_plain()),
                logs=str(self._supplies.logs_folder(lease.fence)),
                traceparent=tracing.traceparent(),
            )
        )
        return ending

    async def prepare(self, order: SetupOrder, stall_seconds: float) -> None:
        """Tells the runner, which was told nothing, to make a trainer for a path to come. It ends where that fails.

        Args:
            order: What for.
            stall_seconds: After how long it is taken to be stuck, and killed.
        """
        self._prepared = asyncio.get_running_loop().create_future()
        self._prepared_with = order.setup_laws.key(0)
        if self._is_over:
            self._has_prepared("its runner died")
            return
        self._watch.begins(stall_seconds)
        await self.process.send(messages.Prepare(order_json=json.dumps(order.to_plain())))

    async def until_prepared(self) -> str:
        """Waits until it has made what it was told to, or has ended: why there is no trainer; empty: there is one."""
        return "" if self._prepared is None else await asyncio.shield(self._prepared)

    @property
    def prepares(self) -> bool:
        """Whether it makes a trainer for a path that is still to come."""
        return self._prepared is not None and not self._prepared.done()

    def makes_for(self, order: LeaseOrder) -> bool:
        """Whether a trainer that it makes is one for such a path: of other values, that would wait in vain."""
        return self.prepares and self._prepared_with == order.setup_laws.key(0)

    def _has_prepared(self, failure: str) -> None:
        if self._prepared is None or self._prepared.done():
            return  # it was told to make none, or was killed for that
        if not self._told:
            self._watch.ends()
        failure = self._redaction.text(failure)
        self._prepared.set_result(failure)
        logger.info("runner_prepared", extra={"pid": self.process.pid, "why": failure})

    def trains(self, lease: Lease) -> bool:
        """Whether a path has not ended, and has begun or is what a trainer is being made for."""
        told = self._told.get(lease.fence)
        return told is not None and (told.begun or self.prepares)

    async def until_free(self) -> None:
        """Waits until every path that it was told has ended."""
        await self._free.wait()

    def _stalled(self, seconds: float) -> None:
        told = next(iter(self._told.values()), None)
        if told is None:
            self._has_prepared(f"setup took more than {seconds:.4g} s")
            self.process.kill()
            return
        self._ending_stalled = asyncio.create_task(self._end_stalled(told, seconds))

    async def _end_stalled(self, told: _Told, seconds: float) -> None:
        """Kills the runner whose path has stood still for too long, with its stacks for people to read."""
        lease, stacks = told.lease, ""
        if told.begun:
            stacks = await dumped(self._folder, self.process.dump)
            if told.ending.done():
                return  # it went on after all, and the runner is the next one's
        node, step = lease.position
        logger.warning("path_stalled", extra={"fence": lease.fence, "node": node, "step": step})
        if stacks:
            log = self._supplies.logs_folder(lease.fence) / f"{node}.log"
            with contextlib.suppress(OSError):  # the failure has them too
                _append(log, f"\nstalled at step {step}, here:\n{stacks}")
        told.verdict = Death(
            failure=FailureClass.STALLED,
            message=(
                f"stalled at step {step}: no step for {seconds:.4g} s. The stacks of its threads are in its log. "
                "Where a step may take that long, start hippo-server with larger --stall-seconds."
            ),
            traceback=stacks,
        )
        self.process.kill()

    async def until_settled(self) -> None:
        """Waits until no save is on its way of what it was told so far."""
        for lease in list(self._leases.values()):
            await lease.until_settled()

    async def quit(self) -> None:
        """Ends a runner in peace: its saves are written first."""
        await self.until_settled()
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
        self.process.close()
        self._died(why)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _take_all(self) -> None:
        async for message in self.process.messages():
            if isinstance(message, messages.Ready):
                continue
            if isinstance(message, messages.Prepared):
                self._has_prepared(message.failure)
                continue
            assert not isinstance(message, messages.Run | messages.Prepare | messages.Quit)
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
        return death(code, self.process.out_of_memory, self.process.peak_bytes)

    def _take(self, lease: Lease, message: messages.Message) -> None:
        match message:
            case messages.Steps(node=node, start=start, stop=stop):
                if (told := self._told.get(lease.fence)) is not None:
                    self._watch.moved()
                    told.spans.trained(node, start, stop)
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
            case messages.Returned():
                self._end(lease, None)
            case messages.Begun():
                told = self._told[lease.fence]
                told.begun = self.has_begun = True
                self.holds = None
                told.spans.begin()
                self._watch.begins(lease.order.stall_seconds)
            case messages.Settled():
                lease.no_more_saves()
            case messages.Trained(holds=holds):
                self.holds = None if holds is None else (holds[0], holds[1])
                lease.say_end(TrainedReport())  # before the next path has begun
                self._end(lease, TrainedReport())
            case messages.Released(reason=reason, holds=holds):
                self.holds = None if holds is None else (holds[0], holds[1])
                self._end(lease, ReleasedReport(reason=self._redaction.text(reason)))
            case messages.Failed(node=node, step=step):
                self._end(
                    lease,
                    FailedReport(
                        failure=FailureClass(message.failure),
                        message=self._redaction.text(message.message),
                        traceback=self._redaction.text(message.traceback),
                        node=node,
                        step=step,
                    ),
                )
            case _:
                raise AssertionError(f"a runner does not say {type(message).__name__}")

    def _end(self, lease: Lease, ending: Ending | None) -> None:
        """A path has ended; None: its turn has not come."""
        told = self._told.pop(lease.fence)
        if ending is None:
            self._leases.pop(lease.fence)
        else:
            told.spans.ended(ending.message if isinstance(ending, FailedReport) else "")
        if not told.ending.done():
            if ending is None:
                told.ending.set_exception(NotBegun())
            else:
                told.ending.set_result(ending)
        following = next(iter(self._told.values()), None)
        if following is None:
            self._watch.ends()
            self._free.set()
        elif ending is not None:
            self._watch.begins(following.lease.order.stall_seconds)
        is_of_use = following is not None and self.makes_for(following.lease.order)
        if self.prepares and not is_of_use and not self._is_over:
            self.is_given_up = True
            self.process.kill()  # nobody else waits for that trainer, nor watches how long it takes

    def _listens_no_more(self, listener: asyncio.Task[None]) -> None:
        """The listener tells the end of every path before its own, unless there is a mistake in it."""
        self._watch.ends()
        self._free.set()
        self._has_prepared("its runner died")
        for told in self._told.values():
            if not told.ending.done() and not listener.cancelled():
                error = listener.exception()
                told.ending.set_exception(
                    Unavailable(f"The worker failed at what its runner said: {error!r}.", "Look at its log.")
                )

    def _died(self, why: Death) -> None:
        self._is_over = True
        for lease in self._leases.values():
            if lease.fence not in self._told and not lease.settled:
                lease.lost_saves(f"{why.message} It had not written the state yet.")
        training = next((told for told in self._told.values() if told.begun), None)
        if training is None:
            # What it printed outside of paths is nobody's log; a broken installation shows itself there.
            printed = _tail(self._folder / "runner.log") + _tail(self._folder / SETUP_LOG)
            code = self.process.ended.result()
            logger.info(
                "runner_ended",
                extra={"pid": self.process.pid, "code": code, "printed": self._redaction.text(printed)},
            )
        else:
            begun, why = training.lease, training.verdict or why
            self._supplies.metrics.runner_died(why.failure.value)
            logger.warning(
                "runner_died", extra={"pid": self.process.pid, "fence": begun.fence, "why": why.message}
            )
            begun.no_more_saves()
            node, step = begun.position
            self._end(
                begun,
                FailedReport(
                    failure=why.failure,
                    message=why.message,
                    traceback=self._traceback(why, begun, node),
                    node=node,
                    step=step,
                ),
            )
        for told in list(self._told.values()):
            self._end(told.lease, None)

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
