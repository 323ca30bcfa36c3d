"""The runner that a slot keeps warm, what it is for, and those that it has let go of.

A runner serves one program: another program, bundle or environment gets another one, so that nothing that user code
leaves behind in a process has to be undone.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hippo_core.engine.commands import SlotSpec
from hippo_core.lease_order import LeaseOrder, PrepareOrder
from hippo_core.program import Program
from hippo_worker.runner.settings import RunnerSettings
from hippo_worker.secrets import Redaction
from hippo_worker.slots.conversation import Conversation
from hippo_worker.supplies import Supplies

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerKey:
    """What a runner is for: leases that agree in it share one."""

    program_key: str
    bundle: str
    environment: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, order: LeaseOrder | PrepareOrder, secrets: Mapping[str, str]) -> Self:
        """What the runner of a lease is for, or of one to come; ``secrets``: those that it names, and their values."""
        return cls(
            program_key=order.program_key,
            bundle=order.bundle,
            environment=tuple(sorted({**order.program.env, **secrets}.items())),
        )


class KeptRunner:
    """What a slot trains in.

    Args:
        spec: The slot.
        gpu: Its GPU as ``CUDA_VISIBLE_DEVICES`` names it; empty: it trains on processor cores.
        supplies: What it draws on.

    Attributes:
        runner: The one that is kept; None: none is.
        code: What that has loaded.
    """

    def __init__(self, spec: SlotSpec, gpu: str, supplies: Supplies) -> None:
        self.runner: Conversation | None = None
        self.code: Path | None = None
        self._key: RunnerKey | None = None
        self._spec = spec
        self._gpu = gpu
        self._supplies = supplies
        self._numbers = itertools.count(1)
        self._quitting: dict[asyncio.Task[None], Conversation] = {}  # those let go of, and how they end

    def is_for(self, key: RunnerKey) -> bool:
        """Whether what is kept, or was last, is for that; it may be dead."""
        return self._key == key

    async def start(self, key: RunnerKey, program: Program, code: Path, redaction: Redaction) -> Conversation:
        """Starts a runner, to be kept from now on; there is none, and those that were let go of are gone.

        Args:
            key: What it is for.
            program: What it trains.
            code: The folder of its bundle.
            redaction: Hides the secrets that it is given in what it says.
        """
        # What a process holds until it ends, a GPU's memory, a lock or a port, the next one may need.
        await self.until_gone()
        folder = self._supplies.spool / "runners" / f"{self._spec.index}-{next(self._numbers)}"
        folder.mkdir(parents=True)
        settings = RunnerSettings(
            slot=self._spec.index,
            device=self._spec.device,
            threads=program.resources.cpus,
            folder=folder,
            gpu_memory_fraction=self._supplies.gpu_memory_fraction,
        )
        process = await self._supplies.spawner.spawn(
            settings,
            {**dict(key.environment), "CUDA_VISIBLE_DEVICES": self._gpu},
            # What a study sets for its libraries, they read when they are loaded.
            own_interpreter=bool(program.env),
        )
        self._supplies.metrics.runner_started()
        logger.info("runner_started", extra={"pid": process.pid})
        self.runner = Conversation(process, folder, self._supplies, redaction=redaction)
        self._key, self.code = key, code
        return self.runner

    def let_go(self) -> None:
        """Ends what is kept in peace, beside what follows; what comes from now on has another."""
        runner, self.runner, self.code = self.runner, None, None
        if runner is not None:
            quitting = asyncio.create_task(runner.quit())
            self._quitting[quitting] = runner
            quitting.add_done_callback(self._quitting.pop)

    async def until_gone(self) -> None:
        """Waits for the ends of those that were let go of."""
        if self._quitting:
            await asyncio.wait(self._quitting)

    async def kill(self, runner: Conversation) -> None:
        """Ends a runner at once; if it is what is kept, nothing is."""
        if self.runner is runner:
            self.runner = self.code = None
        await runner.kill()

    async def close(self) -> None:
        """Ends them all at once."""
        for runner in [*self._quitting.values(), *([] if self.runner is None else [self.runner])]:
            await runner.kill()
