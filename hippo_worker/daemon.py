"""The worker's daemon: one event loop that holds leases, slots and the conversation with the server together.

It decides nothing about studies. It keeps what the server granted until that is done, said and acknowledged; trains
on while the server cannot be reached; and lets go of everything when it has been alone for so long that others have
taken over (by its own clock, since nobody can tell it).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
import uuid
from collections import deque

from hippo_core.engine.commands import HeldLease, RegisterWorker, Report, SlotSpec
from hippo_core.errors import Unavailable
from hippo_storage.storage import Storage
from hippo_wire.orders import lease_from_proto, offer_from_proto, preparation_from_proto, stop_from_proto
from hippo_wire.service_manager import ServiceManager
from hippo_wire.v1 import worker_pb2
from hippo_worker.connection import LEAVE_SECONDS, ServerConnection
from hippo_worker.environment import Offer
from hippo_worker.idleness import Idleness
from hippo_worker.lease import Lease
from hippo_worker.logs import LogShipper
from hippo_worker.metrics import Glance, WorkerMetrics
from hippo_worker.policies.hosts import PolicyHosts
from hippo_worker.publishing import Patience
from hippo_worker.reports import Outbox
from hippo_worker.settings import ComingServer, Endpoint, WorkerSettings
from hippo_worker.slots.health import GPU_CHECK, HealthCheck
from hippo_worker.slots.slot import Slot
from hippo_worker.supplies import Supplies

logger = logging.getLogger(__name__)

REMEMBERED_FENCES = 1000
LOOK_SECONDS = 1.0
LAST_LOGS_SECONDS = 5.0


class Daemon:
    """A worker.

    Args:
        settings: What it was told.
        endpoint: The server.
        host: The host's name.
        offer: Its slots and environment.
        supplies: What its slots draw on.
        manager: Hears how it goes.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        endpoint: Endpoint,
        host: str,
        offer: Offer,
        supplies: Supplies,
        manager: ServiceManager,
    ) -> None:
        self.incarnation = uuid.uuid4().hex
        self._settings = settings
        self._host = host
        self._offer = offer
        self._supplies = supplies
        self._manager = manager
        self._leases: dict[int, Lease] = {}
        self._over: deque[int] = deque(maxlen=REMEMBERED_FENCES)
        self._draining = False
        self._drain_until = math.inf
        self._idleness = Idleness(settings.idle_seconds)
        self.abandoned = False  #: leases were left to the server as they were
        self._now = asyncio.Event()
        self._making_room = set[asyncio.Task[None]]()  # for paths of another worker of the host
        self._storage_address = ""
        self._lease_seconds = 30.0
        self._orphan_seconds = 600.0
        told = settings.endpoint
        look = told.address if isinstance(told, ComingServer) else lambda: None
        self.connection = ServerConnection(endpoint, self, look)
        self._logs = LogShipper(self.connection.append_log)
        self._policies = PolicyHosts(supplies, self._say_of_policy)
        self._answers: list[worker_pb2.PolicyAnswer] = []  # of policies, for the server
        self._health: dict[
            int, worker_pb2.SlotHealth
        ] = {}  # of slots' devices, by slot, to be said to the server
        self._last_health: dict[int, worker_pb2.SlotHealth] = {}
        self._ahead: dict[int, worker_pb2.SlotAhead] = {}  # by slot, to be said to the server
        self._unread: dict[int, str] = {}  # by slot: what the storage says, which it cannot read
        self._last_storage_failure: str | None = None
        self._storage_failure: str | None = None  # to be said to the server
        self._slots = [
            Slot(
                spec,
                gpu,
                supplies,
                self._logs,
                self._health_check(spec, gpu),
                self._say_of_health,
                self._say_of_storage,
                self._say_of_ahead,
                self._make_room,
            )
            for spec, gpu in zip(offer.slots, offer.gpus, strict=True)
        ]

    async def run(self) -> None:
        """Works until it has drained and left.

        Raises:
            HippoError: The server does not take the worker, or it was told to end before it was done.
        """
        parts = [
            asyncio.create_task(self.connection.run(), name="connection"),
            asyncio.create_task(self._guard(), name="guard"),
            asyncio.create_task(self._logs.run(), name="logs"),
            *(asyncio.create_task(slot.run(), name=f"slot {slot.spec.index}") for slot in self._slots),
        ]
        beside = [
            asyncio.create_task(self._manager.keep_alive(), name="signs of life"),
            *(asyncio.create_task(slot.watch_health(self._settings.health_seconds)) for slot in self._slots),
        ]
        self._manager.ready(f"{self._settings.name} looks for the server; slots: {len(self._slots)}")
        try:
            # Only the connection ends in peace; any other part that ends does so by an error.
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in parts:
                if part.done():
                    part.result()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._logs.ship(), LAST_LOGS_SECONDS)
        finally:
            for part in (*parts, *beside):
                part.cancel()
            await asyncio.gather(*parts, *beside, return_exceptions=True)
            await self._policies.forget()
            await self._supplies.publisher.close()
            self._supplies.spawner.close()
            await self.connection.close()

    def terminate(self) -> None:
        """Drains, as asked by a signal; asked again: ends at once."""
        if self._draining:
            self._now.set()
        else:
            asyncio.get_running_loop().create_task(self.drain("the worker was told to end"))

    async def drain(self, reason: str) -> None:
        """Saves and gives back every path, says so, and leaves."""
        if self._draining:
            return
        logger.info("draining", extra={"why": reason})
        self._manager.stopping(f"saves and gives back what it trains: {reason}")
        self._draining = True
        self._drain_until = time.monotonic() + self._settings.drain_seconds
        self._prepare(worker_pb2.Preparations())
        for lease in list(self._leases.values()):
            await self._slot(lease).stop(lease, save=True, reason=reason)
        self.connection.wake()

    def glance(self) -> Glance:
        """How the worker is now."""
        cache = self._supplies.checkpoints
        return Glance(
            connected=self.connection.connected,
            draining=self._draining,
            slots=tuple(slot.doing for slot in self._slots),
            leases=len(self._leases),
            unacknowledged=self.in_flight,
            cache_bytes=cache.size_bytes,
            cache_limit_bytes=cache.limit_bytes,
            folder=self._settings.data_folder,
        )

    @property
    def metrics(self) -> WorkerMetrics:
        """What it counts."""
        return self._supplies.metrics

    def not_ready(self) -> dict[str, str]:
        """Why the worker cannot take a lease now, by part; empty: it can."""
        found = {}
        if not self.connection.connected:
            found["server"] = "the server is not reached"
        if self._last_storage_failure:
            found["storage"] = self._last_storage_failure
        if all(slot.doing == "broken" for slot in self._slots):
            found["devices"] = "no slot's device is in order"
        if self._draining:
            found["draining"] = "the worker saves and gives back what it trains, to leave"
        return found

    # What the connection asks and brings.

    def registration(self) -> RegisterWorker:
        """Who this is, with the leases that it holds."""
        return RegisterWorker(
            worker=self._settings.name,
            incarnation=self.incarnation,
            host=self._host,
            slots=self._offer.slots,
            environment=self._offer.environment,
            labels=self._settings.labels,
            leases=tuple(
                HeldLease(fence=lease.fence, acknowledged=lease.outbox.acknowledged)
                for lease in self._leases.values()
            ),
        )

    async def registered(self, response: worker_pb2.RegisterWorkerResponse) -> None:
        """Takes over what the server says of storage, times and leases."""
        self._lease_seconds = response.lease_seconds
        self._orphan_seconds = response.orphan_seconds
        self._supplies.publisher.patience = Patience.of(response.lease_seconds, response.orphan_seconds)
        if response.storage != self._storage_address:
            # The server has made it: where it is not seen, it is not mounted.
            self._supplies.storage = await asyncio.to_thread(Storage.open, response.storage, make=False)
            self._storage_address = response.storage
        await self._policies.forget()  # the server asks anew
        self._logs.doubt()
        self._answers.clear()
        # What was said last may have been lost with the stream.
        self._health.update(self._last_health)
        self._ahead = {
            slot.spec.index: worker_pb2.SlotAhead(slot=slot.spec.index, count=slot.ahead.count)
            for slot in self._slots
            if slot.ahead.count
        }
        self._storage_failure = self._last_storage_failure
        self._idleness.begin(time.monotonic())
        self._manager.status(f"{self._settings.name} is known to the server")
        logger.info("registered", extra={"worker": self._settings.name, "term": response.term})
        for fence in response.revoked:
            await self._drop(fence)

    async def receive(self, response: worker_pb2.WorkResponse) -> None:
        """Carries out what the server says; all of it may be a repetition."""
        for acknowledged in response.acknowledged:
            if acknowledged.fence in self._leases:
                self._leases[acknowledged.fence].outbox.acknowledge(acknowledged.number)
        for fence in response.revoked:
            await self._drop(fence)
        for message in response.leases:
            await self._grant(message)
        for offered in response.offers:
            fence, node, step = offer_from_proto(offered)
            if (lease := self._leases.get(fence)) is not None:
                await self._slot(lease).offer(lease, (node, step))
        for stopped in response.stops:
            fence, save, reason = stop_from_proto(stopped)
            if (lease := self._leases.get(fence)) is not None:
                await self._slot(lease).stop(lease, save, reason)
        if response.policy_questions:
            self._idleness.begin(time.monotonic())
        for question in response.policy_questions:
            self._policies.ask(question)
        if response.HasField("preparations"):
            self._prepare(response.preparations)
        if response.make_room:
            task = asyncio.create_task(self._make_room())
            self._making_room.add(task)
            task.add_done_callback(self._making_room.discard)
        if response.drain:
            await self.drain("the server asked the worker to drain")
        self._forget_over()

    def unacknowledged(self) -> list[Report]:
        """Reports that were sent and not acknowledged."""
        return [report for lease in self._leases.values() for report in lease.outbox.unacknowledged()]

    def take(self, count: int) -> list[Report]:
        """At most so many new reports; each lease in turn, as a lease's next report holds all that it has to say."""
        taken: list[Report] = []
        for lease in self._leases.values():
            if len(taken) < count and (report := lease.outbox.take()) is not None:
                taken.append(report)
        return taken

    def take_answers(self) -> list[worker_pb2.PolicyAnswer]:
        """What users' own policies have answered, to be said on this connection."""
        taken, self._answers = self._answers, []
        return taken

    def take_health(self) -> list[worker_pb2.SlotHealth]:
        """What checks of slots' devices came to, to be said."""
        taken, self._health = list(self._health.values()), {}
        return taken

    def take_ahead(self) -> list[worker_pb2.SlotAhead]:
        """How many leases slots are to hold beside those that train, to be said."""
        taken, self._ahead = list(self._ahead.values()), {}
        return taken

    def take_storage_failure(self) -> str | None:
        """What the storage said when it was last read, to be said; None: nothing new."""
        taken, self._storage_failure = self._storage_failure, None
        return taken

    @property
    def in_flight(self) -> int:
        """How many reports were sent and are not acknowledged."""
        return sum(lease.outbox.in_flight for lease in self._leases.values())

    @property
    def draining(self) -> bool:
        """Whether no further leases are taken."""
        return self._draining

    @property
    def done(self) -> bool:
        """Whether a draining worker has nothing left to say, or says no more."""
        self._forget_over()
        return self._draining and (self.abandoned or not self._leases)

    def _say_of_policy(self, answer: worker_pb2.PolicyAnswer) -> None:
        self._answers.append(answer)
        self.connection.wake()

    def _health_check(self, spec: SlotSpec, gpu: str) -> HealthCheck | None:
        command = self._settings.health_check
        if command is None and spec.device != "cuda":
            return None
        variables = {
            **self._supplies.spawner.environment,
            "CUDA_VISIBLE_DEVICES": gpu,
            "HIPPO_SLOT": str(spec.index),
        }
        return HealthCheck(GPU_CHECK if command is None else ("/bin/sh", "-c", command), variables)

    def _say_of_health(self, slot: int, reason: str) -> None:
        logger.warning("device_checked", extra={"slot": slot, "why": reason or "in order again"})
        said = worker_pb2.SlotHealth(slot=slot, failed=bool(reason), reason=reason)
        self._health[slot] = self._last_health[slot] = said
        self.connection.wake()

    def _say_of_ahead(self, slot: int, count: int, fence: int) -> None:
        self._ahead[slot] = worker_pb2.SlotAhead(slot=slot, count=count, fence=fence)
        self.connection.wake()

    def _prepare(self, message: worker_pb2.Preparations) -> None:
        """Has idle slots made ready for what the server says, and for nothing where it says nothing."""
        orders = {each.slot: preparation_from_proto(each) for each in message.preparations}
        for slot in self._slots:
            slot.prepare(None if self._draining else orders.get(slot.spec.index))

    async def _make_room(self, slot: int | None = None) -> None:
        """Has all slots but one let go of the trainers that they keep, and waits until they are gone."""
        await asyncio.gather(*(each.let_go() for each in self._slots if each.spec.index != slot))

    def _say_of_storage(self, slot: int, failure: str) -> None:
        """A slot could not read the storage, or can again: the worker can where all its slots can."""
        logger.warning("storage_read", extra={"slot": slot, "why": failure or "it answers again"})
        self._unread.pop(slot, None)
        if failure:
            self._unread[slot] = failure
        self._storage_failure = self._last_storage_failure = next(iter(self._unread.values()), "")
        self.connection.wake()

    # Leases.

    async def _grant(self, message: worker_pb2.Lease) -> None:
        if message.fence in self._leases or message.fence in self._over:
            return
        order = lease_from_proto(message)
        outbox = Outbox(self._settings.name, self.incarnation, order.fence)
        lease = Lease(order, outbox, self.connection.wake)
        logger.info("lease_granted", extra={"fence": order.fence, "slot": order.slot})
        self._leases[order.fence] = lease
        slot = self._slot(lease)
        slot.grant(lease)
        if self._draining:
            await slot.stop(lease, save=True, reason="the worker drains")

    async def _drop(self, fence: int) -> None:
        lease = self._leases.pop(fence, None)
        if lease is not None:
            logger.info("lease_dropped", extra={"fence": fence})
            await self._slot(lease).drop(lease)
            self._end(lease)

    def _slot(self, lease: Lease) -> Slot:
        return self._slots[lease.order.slot]

    def _forget_over(self) -> None:
        for lease in [lease for lease in self._leases.values() if lease.over]:
            del self._leases[lease.fence]
            self._end(lease)

    def _end(self, lease: Lease) -> None:
        self._over.append(lease.fence)
        self._idleness.begin(time.monotonic())
        if not lease.kept_all:
            self._supplies.remove_states(lease.fence)

    async def _guard(self) -> None:
        """Ends what has been without a server, or has been draining, for too long.

        Raises:
            Unavailable: A draining worker cannot say what it gave back, or that it leaves.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), LOOK_SECONDS)
            if self._now.is_set() or time.monotonic() >= self._drain_until:
                # The server takes back what is not said to have ended as soon as it hears that the worker leaves.
                logger.warning("leaving_at_once", extra={"leases": sorted(self._leases)})
                self.abandoned = True
                self.connection.wake()
                await asyncio.sleep(LEAVE_SECONDS)
                raise Unavailable(
                    "The worker ended without telling the server.", "Its leases expire at the server."
                )
            silent = self.connection.silent_seconds
            if self._idleness.enough(time.monotonic(), leases=len(self._leases), silent_seconds=silent):
                await self.drain("there was nothing to do for as long as --exit-when-idle says")
            if self._draining and silent > self._lease_seconds:
                raise Unavailable(
                    f"The server was not reached for {silent:.0f} s while the worker drained.",
                    "Its leases expire at the server.",
                )
            if silent > self._orphan_seconds and self._leases:
                logger.warning("alone_for_too_long_all_leases_are_dropped", extra={"seconds": silent})
                for fence in list(self._leases):
                    await self._drop(fence)
