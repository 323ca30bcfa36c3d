"""The workers that can be asked what users' own policies decide."""

from __future__ import annotations

from typing import Protocol

from hippo_core.engine.consultations import PolicyQuestion
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import WorkerState
from hippo_server.changes import Changes
from hippo_wire.v1 import worker_pb2


class Consultant(Protocol):
    """A worker's connection."""

    @property
    def worker(self) -> str:
        """The worker's name."""
        ...

    async def ask(self, question: PolicyQuestion) -> worker_pb2.PolicyAnswer:
        """Asks a policy there.

        Raises:
            Unavailable: The connection has ended.
        """
        ...


class Consultants:
    """Those that are connected in a term. To be used in one event loop.

    Attributes:
        arrivals: Told of each that comes.
    """

    def __init__(self) -> None:
        self.arrivals = Changes()
        self._present: dict[Consultant, None] = {}

    def come(self, consultant: Consultant) -> None:
        """A worker has connected."""
        self._present[consultant] = None
        self.arrivals.notify()

    def go(self, consultant: Consultant) -> None:
        """Its connection has ended."""
        self._present.pop(consultant, None)

    def can_be_asked(self, consultant: Consultant, state: EngineState) -> bool:
        """Whether a worker is there, and is to stay."""
        worker = state.workers.get(consultant.worker)
        return consultant in self._present and worker is not None and worker.state is WorkerState.LIVE

    def choose(self, state: EngineState, busy: list[Consultant]) -> Consultant | None:
        """The worker to ask: one without GPUs before others, and one that is asked about few studies.

        Args:
            state: Knows the workers.
            busy: For each study that is being asked about, the worker.
        """
        present = [each for each in self._present if self.can_be_asked(each, state)]

        def rank(each: Consultant) -> tuple[bool, int, str]:
            slots = state.workers[each.worker].slots.values()
            return any(slot.gpus for slot in slots), busy.count(each), each.worker

        return min(present, key=rank, default=None)
