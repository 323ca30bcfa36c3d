"""A slot that idles is made ready for a lease to come: it has a trainer made, which waits in the slot's runner.

What is ordered holds until something else is, or nothing. Any lease goes before: it takes over what is there. Nothing
of it is told to the server, and what goes wrong is the lease's to tell, if it goes wrong again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from hippo_core.errors import HippoError
from hippo_core.lease_order import LeaseOrder, PrepareOrder
from hippo_wire.observing.logs import unbound
from hippo_worker.secrets import Redaction
from hippo_worker.slots.conversation import Conversation
from hippo_worker.slots.kept_runner import KeptRunner, RunnerKey
from hippo_worker.slots.loading import Loader
from hippo_worker.slots.wanted import NotWanted, unless
from hippo_worker.supplies import Supplies, setup_order

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Preparation:
    """What a slot is made ready for, and how far that is."""

    order: PrepareOrder
    unwanted: asyncio.Event = field(default_factory=asyncio.Event)
    runner: Conversation | None = None
    failed: bool = False


class Preparing:
    """What one slot is made ready for; a single task carries out what is ordered.

    Args:
        is_free: Whether the slot trains nothing, and nothing waits there.
        kept: The slot's runner.
        loader: Fetches for the slot.
        supplies: What the slot draws on.
        on_end: Called with each task when it is done.
    """

    def __init__(
        self,
        is_free: Callable[[], bool],
        kept: KeptRunner,
        loader: Loader,
        supplies: Supplies,
        on_end: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self._is_free = is_free
        self._kept = kept
        self._loader = loader
        self._supplies = supplies
        self._on_end = on_end
        self._ordered: PrepareOrder | None = None
        self._present: _Preparation | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def order(self, order: PrepareOrder | None) -> None:
        """What the slot is to be made ready for as soon as it is free; None: for nothing, and what was made goes."""
        self._ordered = order
        self.look()

    def look(self) -> None:
        """Begins with what is ordered, if the slot is free; to be called whenever it may have become so."""
        if not self._is_due():
            return
        if self._present is not None:
            self._present.unwanted.set()
        if self._task is None:
            self._task = asyncio.create_task(self._carry_out(), context=unbound())
            self._task.add_done_callback(self._is_over)

    async def claim(self, order: LeaseOrder, key: RunnerKey) -> None:
        """What was made is a lease's from now on, or ends: none waits for a trainer with other values than its own.

        Args:
            order: The lease's.
            key: What its runner is for.
        """
        if self._present is not None:
            self._present.unwanted.set()
        await self._until_over()
        present, self._present = self._present, None
        if present is not None and self._ordered == present.order:
            self._ordered = None  # that is done; what was ordered since holds after the lease
        if present is None or present.failed:
            return
        runner, kept = present.runner, self._kept
        is_use = runner is not None and runner.alive and kept.runner is runner and kept.is_for(key)
        if is_use and runner is not None and runner.prepares:
            is_use = runner.makes_for(order)
        if runner is not None and not is_use:
            await kept.kill(runner)
        self._supplies.metrics.prepared("kept" if is_use else "given_up")

    async def withdraw(self) -> None:
        """Lets go of what the slot was made ready for, and waits until it is gone."""
        self.order(None)
        await self._until_over()

    def close(self) -> None:
        """The slot ends."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()

    def _is_due(self) -> bool:
        there = None if self._present is None else self._present.order
        return not self._closed and self._is_free() and self._ordered != there

    async def _until_over(self) -> None:
        if self._task is not None:
            await asyncio.wait({self._task})

    def _is_over(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._on_end(task)

    async def _carry_out(self) -> None:
        while self._is_due():
            if self._present is not None:
                if not self._present.failed:
                    self._supplies.metrics.prepared("given_up")
                if self._present.runner is not None:
                    await self._kept.kill(self._present.runner)
                self._present = None
            elif self._ordered is not None:
                self._present = _Preparation(self._ordered)
                await self._make(self._present)

    async def _make(self, present: _Preparation) -> None:
        order = present.order
        try:
            present.runner = await self._new_runner(order, present.unwanted)
            why = await unless(present.unwanted, present.runner.until_prepared())
        except NotWanted:
            return
        except (HippoError, OSError) as error:
            why = str(error)
        if why:
            present.failed = True
            if present.runner is not None:  # no lease is to meet with it
                await self._kept.kill(present.runner)
            self._supplies.metrics.prepared("failed")
            logger.info("not_prepared", extra={"slot": order.slot, "plan": order.plan, "why": why})

    async def _new_runner(self, order: PrepareOrder, unwanted: asyncio.Event) -> Conversation:
        """A runner that makes a trainer, in place of the one that is kept, whose saves are written first.

        Raises:
            NotWanted: It is not wanted any more.
        """
        secrets, kept = self._supplies.secrets.chosen(order.secrets), self._kept
        code = await self._loader.code(order.bundle, unwanted)
        if kept.runner is not None:
            await unless(unwanted, kept.runner.until_settled())
            kept.let_go()
        if unwanted.is_set() or not self._is_free():
            raise NotWanted
        runner = await kept.start(RunnerKey.of(order, secrets), order.program, code, Redaction(secrets))
        if (
            self._is_free() and not unwanted.is_set()
        ):  # a lease that has come meanwhile needs no other trainer
            await runner.prepare(setup_order(order, self._supplies, code), order.stall_seconds)
        return runner
