"""A slot: trains the leases that it was granted one after the other, in a runner that it keeps warm.

Each lease is prepared (code, state to start from) while those before it train, and told to the runner at once: the end
of a path and the beginning of the next one wait for nobody. Only what depends on how the path before ends is not: a
path that starts from the runner's memory, or that needs another runner.

While it idles, it may be made ready for a lease to come; ``hippo_worker.slots.preparing`` tells of that.
"""

from __future__ import annotations

import asyncio
import bisect
import logging
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from hippo_core.engine.commands import FailedReport, SlotSpec, TrainedReport
from hippo_core.engine.states import FailureClass
from hippo_core.errors import HippoError, Unavailable
from hippo_core.lease_order import PrepareOrder
from hippo_wire.observing import tracing
from hippo_wire.observing.logs import bound
from hippo_worker.lease import Ending, Lease
from hippo_worker.logs import LogShipper
from hippo_worker.runner import messages
from hippo_worker.secrets import Redaction
from hippo_worker.slots.ahead import LeasesAhead
from hippo_worker.slots.conversation import NotBegun
from hippo_worker.slots.endings import not_begun, not_wanted
from hippo_worker.slots.health import DeviceHealth, HealthCheck
from hippo_worker.slots.kept_runner import KeptRunner, RunnerKey
from hippo_worker.slots.loading import Loader
from hippo_worker.slots.preparing import Preparing
from hippo_worker.slots.wanted import NotWanted, unless
from hippo_worker.supplies import Supplies, location_of_start, path_order

logger = logging.getLogger(__name__)

STILLBORN = 3  #: so many runners one after the other may die before they begin a path
DROP_SECONDS = 2.0  #: a path whose lease no longer stands has so long to end before its runner is killed


async def _keep_all(slot: int) -> None:
    """There are no other slots."""


class Slot:
    """One place that trains.

    Args:
        spec: What it has.
        gpu: Its GPU as ``CUDA_VISIBLE_DEVICES`` names it; empty: it trains on processor cores.
        supplies: What it draws on.
        logs: Ships what user code prints.
        health: Checks its device; None: nothing does.
        on_health: Called with what a check came to where it failed, and where it succeeds after that.
        on_storage: Called with what the storage says when it cannot be read, and without words when it can again.
        on_ahead: Called when it is to hold another number of leases beside the one that trains: with the number, and
            the lease behind which alone, or 0.
        make_room: Called before a path begins that is to be alone: has the host's other slots let go of what they keep.
    """

    def __init__(
        self,
        spec: SlotSpec,
        gpu: str,
        supplies: Supplies,
        logs: LogShipper,
        health: HealthCheck | None = None,
        on_health: Callable[[int, str], None] = lambda slot, reason: None,
        on_storage: Callable[[int, str], None] = lambda slot, failure: None,
        on_ahead: Callable[[int, int, int], None] = lambda slot, count, fence: None,
        make_room: Callable[[int], Coroutine[Any, Any, None]] = _keep_all,
    ) -> None:
        self.spec = spec
        self.ahead = LeasesAhead(partial(on_ahead, spec.index))
        self._supplies = supplies
        self._loader = Loader(spec.index, supplies, on_storage)
        self._logs = logs
        self._make_room = make_room
        self._waiting: list[Lease] = []  # in the order of their fences
        self._arrived = asyncio.Event()
        self._kept = KeptRunner(spec, gpu, supplies)
        self._makes_room = False  # for a path that is to be alone, and waits for the others to let go
        self._stillborn = 0  # so many of its runners, up to the last let go, died before they began a path
        self._told: set[Lease] = set()  # told to a runner, and their ends are not said
        self._paths: set[asyncio.Task[None]] = set()  # of leases that are prepared, or told to the runner
        self._defect: BaseException | None = None  # what went wrong with one of them, and should not have
        self._ended = 0.0  # when the last path did
        self._preparing = Preparing(
            lambda: not (self._paths or self._waiting),
            self._kept,
            self._loader,
            supplies,
            self._path_is_over,
        )
        self._health = DeviceHealth(health, lambda reason: on_health(spec.index, reason))

    @property
    def doing(self) -> str:
        """What it does: training, idle, or broken."""
        return "broken" if self._health.is_broken else "training" if self._paths else "idle"

    # What the daemon tells.

    def grant(self, lease: Lease) -> None:
        """Trains a lease after those granted before."""
        self._wait(lease)

    def prepare(self, order: PrepareOrder | None) -> None:
        """Has a trainer made for a lease to come while the slot idles; None: for none, and what was made goes."""
        self._preparing.order(order)

    async def offer(self, lease: Lease, state: tuple[int, int]) -> None:
        """Passes an offered save point on to whoever can answer."""
        if not lease.offer(state):
            return
        if lease not in self._told or lease.ending is not None:
            lease.answer(state)
        elif self._kept.runner is not None:
            # Of a path that has ended the runner says nothing: what it left open is answered with its end.
            node, step = state
            await self._kept.runner.process.send(
                messages.Offer(fence=lease.fence, node=node, step=step, is_on_path=lease.is_on_path(state))
            )

    async def stop(self, lease: Lease, save: bool, reason: str) -> None:
        """Ends a path at its next step, or gives it back if it has not begun."""
        lease.unwanted.set()  # of one that has ended, too: what it waits for is its saves
        if lease.ending is not None or lease.stop is not None:
            return
        stop = messages.Stop(fence=lease.fence, save=save, reason=reason)
        lease.end_early(stop)
        if lease in self._waiting:
            self._waiting.remove(lease)
            self._logs.finish(lease.fence)  # a runner that died may have been told of it
            lease.say_end(not_wanted(lease))
            self._preparing.look()
        elif lease in self._told and self._kept.runner is not None:
            await self._kept.runner.process.send(stop)

    async def drop(self, lease: Lease) -> None:
        """The lease no longer stands: its path ends, asked at first so that the runner stays warm."""
        lease.drop()
        await self.stop(lease, save=False, reason="the lease no longer stands")
        self._kill_later(lease)

    async def let_go(self) -> None:
        """Ends the runner that it keeps, with its trainer, once what it trains has ended and is saved.

        Not where more has come until then. A path that has others let go is not waited for: it may wait for this one.
        """
        while self._paths and not self._makes_room:
            await asyncio.wait(self._paths)
        await self._preparing.withdraw()
        runner = self._kept.runner
        if runner is not None:
            await runner.until_settled()
            if not (self._paths or self._waiting) and self._kept.runner is runner:
                self._kept.let_go()
        await self._kept.until_gone()

    def _kill_later(self, lease: Lease) -> None:
        if lease in self._told:
            asyncio.get_running_loop().call_later(DROP_SECONDS, self._kill_for, lease)

    def _kill_for(self, lease: Lease) -> None:
        """Kills the runner that goes on with a path whose lease no longer stands."""
        if lease in self._told and self._kept.runner is not None and self._kept.runner.trains(lease):
            self._kept.runner.process.kill()
        self._kill_later(lease)

    # What it does.

    async def run(self) -> None:
        """Trains leases until it is cancelled; its runner is killed then."""
        try:
            while self._defect is None:
                if not self._waiting:
                    self._arrived.clear()
                    await self._arrived.wait()
                    continue
                told = asyncio.Event()
                path = asyncio.create_task(self._train(self._waiting.pop(0), told))
                self._paths.add(path)
                path.add_done_callback(self._path_is_over)
                await told.wait()
            raise self._defect
        finally:
            self._preparing.close()
            for path in self._paths:
                path.cancel()
            self._loader.close()
            await self._kept.close()

    def _path_is_over(self, path: asyncio.Task[None]) -> None:
        self._paths.discard(path)
        if not path.cancelled() and (defect := path.exception()) is not None:
            self._defect = defect
            self._arrived.set()
        self._preparing.look()

    def _wait(self, lease: Lease) -> None:
        bisect.insort(self._waiting, lease, key=lambda waiting: waiting.fence)
        self._arrived.set()

    async def watch_health(self, seconds: float) -> None:
        """Checks its device every so many seconds while it idles, or is known to be broken; until it is cancelled."""
        await self._health.watch(seconds, lambda: not self._paths)

    async def _blamed(self, ending: Ending) -> Ending:
        """The end of a path, which is nobody's fault where its device is broken.

        The slot's runner goes then, and with it the path that trains there meanwhile: its device is the same.
        """
        if not isinstance(ending, FailedReport) or ending.failure is FailureClass.INVALID:
            return ending
        reason = await self._health.look()
        if not reason:
            return ending
        if self._kept.runner is not None:
            await self._kept.runner.kill()
        return FailedReport(
            failure=FailureClass.INFRASTRUCTURE,
            message=f"The device of slot {self.spec.index} failed its health check: {reason}. {ending.message}",
            traceback=ending.traceback,
            node=ending.node,
            step=ending.step,
        )

    async def _train(self, lease: Lease, told: asyncio.Event) -> None:
        """Brings a lease to its end, whatever that is, or has it wait again where its runner was gone before it began.

        Args:
            lease: The lease.
            told: To be set once the runner knows of it, or need not know: the next one may be prepared.
        """
        order = lease.order
        stages = " ".join(f"{stage.node}/{stage.start}-{stage.stop}" for stage in order.stages)
        about = {"fence": order.fence, "plan": order.plan, "slot": order.slot, "stages": stages}
        with bound(**about), tracing.span("path", {f"hippo.{name}": about[name] for name in about}):
            try:
                await self._bring_to_its_end(lease, told)
            except NotBegun:
                lease.begins_anew()
                self._wait(lease)
            finally:
                self._told.discard(lease)
                told.set()

    async def _bring_to_its_end(self, lease: Lease, told: asyncio.Event) -> None:
        pinned: list[Path] = []
        try:
            ending = await self._outcome(lease, told, pinned)
        except (HippoError, OSError) as error:
            logger.warning("path_not_begun", extra={"why": str(error)})
            lease.no_more_saves()
            ending = not_begun(lease, error)
        finally:
            for folder in pinned:
                self._supplies.checkpoints.give_back(folder)
        self._logs.finish(lease.fence)
        if not isinstance(ending, TrainedReport):
            # The server takes nothing in after such an end, so what was saved is published first.
            await lease.until_settled()
        lease.say_end(await self._blamed(ending))

    async def _outcome(self, lease: Lease, told: asyncio.Event, pinned: list[Path]) -> Ending:
        """Trains a path; what it pins in the cache is noted in ``pinned``.

        Raises:
            NotBegun: The runner was gone before the path had begun.
        """
        order = lease.order
        if lease.stop is not None or lease.dropped.is_set():
            return not_wanted(lease)
        secrets, kept = self._supplies.secrets.chosen(order.secrets), self._kept
        key, redaction = RunnerKey.of(order, secrets), Redaction(secrets)
        await self._preparing.claim(order, key)
        try:
            if kept.code is None or not kept.is_for(key):
                code = await self._loader.code(order.bundle, lease.unwanted)
            else:
                code = kept.code  # the runner's own: it stays while the worker lives
            await self._let_go_unless(key, lease)
            if order.alone:
                await self._have_room(lease)
            start = await self._start(lease, pinned)
        except NotWanted:
            return not_wanted(lease)
        runner = kept.runner or await kept.start(key, order.program, code, redaction)
        if lease.stop is not None or lease.dropped.is_set():  # meanwhile
            return not_wanted(lease)
        self._logs.watch(lease.fence, self._supplies.logs_folder(lease.fence), redaction)
        lease.on_steps = partial(self.ahead.trained, lease)
        self._told.add(lease)  # now it is the runner who answers
        began = time.monotonic()
        try:
            training = await runner.train(lease, path_order(lease, self._supplies, code=code, start=start))
            told.set()
            ending = await training
            self._stillborn = 0
        except NotBegun:
            if lease.unwanted.is_set():
                return not_wanted(lease)
            raise
        now = time.monotonic()
        if isinstance(ending, TrainedReport):
            self.ahead.took(now - max(began, self._ended))
        self._ended = now
        return ending

    async def _have_room(self, lease: Lease) -> None:
        """Has the host's other slots let go of what they keep.

        Raises:
            NotWanted: The lease was stopped or dropped meanwhile.
        """
        self._makes_room = True
        try:
            await unless(lease.unwanted, self._kept.until_gone())
            await unless(lease.unwanted, self._make_room(self.spec.index))
        finally:
            self._makes_room = False

    async def _start(self, lease: Lease, pinned: list[Path]) -> Path | None:
        """The folder of the checkpoint to start from; None at step 0, and where the runner holds the state."""
        location = location_of_start(lease.order)
        if location is None:
            return None
        if lease.order.in_memory:
            await self._until_free(lease)  # what the runner will hold then is not known before
            if self._in_memory(lease):
                return None
        began = time.monotonic()
        folder = await self._loader.checkpoint(lease, location)
        self._supplies.metrics.loaded(time.monotonic() - began)
        pinned.append(folder)
        return folder

    async def _until_free(self, lease: Lease) -> None:
        """Waits until the runner trains nothing.

        Raises:
            NotWanted: The lease was stopped or dropped meanwhile.
        """
        if self._kept.runner is not None:
            await unless(lease.unwanted, self._kept.runner.until_free())

    def _in_memory(self, lease: Lease) -> bool:
        """Whether the state that a path starts from is still where its lease says: in the runner."""
        start = lease.order.start
        held = None if self._kept.runner is None else self._kept.runner.holds
        return lease.order.in_memory and start is not None and held == start[:2]

    async def _let_go_unless(self, key: RunnerKey, lease: Lease) -> None:
        """Ends a runner that is dead, or that is for something else; what it was told to train ends first.

        Raises:
            NotWanted: The lease that needs another one was stopped or dropped meanwhile.
            Unavailable: It is one of too many that died before they began.
        """
        runner, is_dead = self._kept.runner, self._kept.is_for(key)
        if runner is None or (runner.alive and is_dead):
            return
        await self._until_free(lease)
        if not runner.is_given_up:
            self._stillborn = self._stillborn + 1 if is_dead and not runner.has_begun else 0
        self._kept.let_go()
        if self._stillborn >= STILLBORN:
            self._stillborn = 0
            raise Unavailable("Runners die before they begin.", "Look at the worker's log.")
