"""What all slots of a worker draw on, and how a lease becomes an order that a runner can carry out."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from hippo_core.errors import Unavailable
from hippo_core.lease_order import LeaseOrder, PrepareOrder
from hippo_storage.manifest import CheckpointLocation
from hippo_storage.storage import Storage
from hippo_worker.bundles import BundleCache
from hippo_worker.checkpoints import CheckpointCache
from hippo_worker.hosting.order import PathOrder, SetupOrder, StageOrder, StartFrom
from hippo_worker.lease import Lease
from hippo_worker.metrics import WorkerMetrics
from hippo_worker.publishing import Publisher
from hippo_worker.secrets import Secrets
from hippo_worker.slots.spawner import Spawner


@dataclass(slots=True, kw_only=True)
class Supplies:
    """What slots share.

    Attributes:
        spawner: Starts runners.
        bundles: Unpacked code.
        checkpoints: Recent checkpoints.
        publisher: Makes states durable.
        spool: Where runners write; emptied at start-up.
        data_folder: For trainers' data, as ``context.data_dir``.
        secrets: What trainers get of the worker's secrets.
        gpu_memory_fraction: How much of its GPU's memory each runner may take; None: all there is.
        storage: The shared storage; known once the worker has registered.
        metrics: Counts what happens.
    """

    spawner: Spawner
    bundles: BundleCache
    checkpoints: CheckpointCache
    publisher: Publisher
    spool: Path
    data_folder: Path
    secrets: Secrets
    gpu_memory_fraction: float | None = None
    storage: Storage | None = None
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)

    @property
    def shared(self) -> Storage:
        """The shared storage.

        Raises:
            Unavailable: The worker has not registered yet.
        """
        if self.storage is None:
            raise Unavailable("The worker does not know the shared storage yet.", "It registers first.")
        return self.storage

    @property
    def states(self) -> Path:
        """Where runners write states, each a folder whose name begins with its lease's fence."""
        return self.spool / "states"

    def remove_states(self, fence: int) -> None:
        """Removes what a lease's path has left there."""
        for folder in self.states.glob(f"{fence}-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def logs_folder(self, fence: int) -> Path:
        """What was printed during a lease, one file for each node; removed when it is shipped."""
        return self.spool / "logs" / str(fence)

    async def code(self, digest: str) -> Path:
        """The folder of a bundle."""
        return await asyncio.to_thread(self.bundles.obtain, self.shared, digest)


def location_of_start(order: LeaseOrder) -> CheckpointLocation | None:
    """Where the checkpoint lies that a lease starts from; None at step 0."""
    if order.start is None:
        return None
    node, step, fence = order.start
    return CheckpointLocation(plan=order.plan, node=node, step=step, fence=fence)


def setup_order(order: PrepareOrder, supplies: Supplies, code: Path) -> SetupOrder:
    """What the runner is told that is to make a trainer for a path to come; ``code``: the folder of the bundle."""
    return SetupOrder(
        program=order.program,
        program_key=order.program_key,
        code=code,
        setup_laws=order.setup_laws,
        data_dir=supplies.data_folder,
    )


def path_order(lease: Lease, supplies: Supplies, *, code: Path, start: Path | None) -> PathOrder:
    """What the runner is told.

    Args:
        lease: The lease.
        supplies: Whose spool and data folder it uses.
        code: The folder of the bundle.
        start: The folder of the checkpoint to start from; None: the runner holds the state, or it is step 0.
    """
    order = lease.order
    return PathOrder(
        fence=order.fence,
        plan=order.plan,
        program=order.program,
        program_key=order.program_key,
        code=code,
        setup_laws=order.setup_laws,
        start=None
        if order.start is None
        else StartFrom(node=order.start[0], step=order.start[1], fence=order.start[2], folder=start),
        stages=tuple(
            StageOrder(node=stage.node, start=stage.start, stop=stage.stop, laws=stage.laws)
            for stage in order.stages
        ),
        save_points=frozenset(lease.promised),
        checkpoint_every=order.checkpoint_every,
        objectives=order.objectives,
        watched=order.watched,
        spool=supplies.states,
        data_dir=supplies.data_folder,
    )
