"""Hosts in the simulation: each keeps one process running, that of a server or a worker."""

from __future__ import annotations

import contextvars
import random
from abc import ABC, abstractmethod
from collections.abc import Callable

from tests.simulation.virtual_time import CURRENT, Process, VirtualLoop


class Host(ABC):
    """Runs a process: one that ends, or dies, is started again.

    Args:
        name: The host's name.
        loop: In whose time.
        chance: Decides how long things take.

    Attributes:
        process: The life that runs, or ended last.
        wanted: Whether a life that is over is followed by another.
        skew: By how much the wall clock is wrong, seconds.
    """

    def __init__(self, name: str, loop: VirtualLoop, chance: random.Random) -> None:
        self.name = name
        self.process = Process(f"{name}.0")
        self.process.alive = False
        self.wanted = True
        self.skew = 0.0
        self._loop = loop
        self._chance = chance
        self._lives = 0
        self._nowhere = contextvars.Context()

    def start(self) -> None:
        """Begins a life."""
        if self.process.alive or not self.wanted:
            return
        self._lives += 1
        clock = self._chance.uniform(0.0, 1000.0)  # each boot has a monotonic clock of its own
        process = self.process = Process(f"{self.name}.{self._lives}", self.skew, clock)
        process.at_end.append(self._ended)
        self._within(lambda: self._loop.create_task(self._live(process)))

    @abstractmethod
    async def _live(self, process: Process) -> None:
        """A life."""

    @abstractmethod
    def _clear(self) -> float:
        """Throws away what a life that is over left; gives the seconds until the next."""

    def _ended(self) -> None:
        self._loop.call_later(self._clear(), self.start, context=self._nowhere)

    def _within(self, call: Callable[[], object]) -> None:
        """Calls within the process."""
        context = contextvars.Context()
        context.run(CURRENT.set, self.process)
        context.run(call)
