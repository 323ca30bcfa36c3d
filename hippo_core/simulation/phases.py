"""What was known when: the steps that were trained, by the barriers of the policies.

A barrier is a moment at which nothing was asked for any more and something new was: what comes after it was not known
before, and could not begin. The work of each phase between barriers has a lower bound of its own, and no schedule
that lets the same be known at the same barriers is shorter than their sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hippo_core.engine.events import Event, RequestClosed, RequestOpened, StepsTrained
from hippo_core.plan import Node
from hippo_core.simulation.bounds import Work
from hippo_core.simulation.costs import Clockwork

Part = tuple[int, int, int]
"""A node, and the first of its steps and one past the last that were trained for the first time."""


class Phases:
    """Follows the events of an engine."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], None] = {}
        self._parts: list[list[Part]] = []
        self._trained: dict[int, int] = {}

    def note(self, event: Event) -> None:
        """Takes an event in, in order."""
        match event:
            case StepsTrained():
                start = max(event.start, self._trained.get(event.node, event.start))
                if start < event.stop:
                    self._trained[event.node] = event.stop
                    self._parts[-1].append((event.node, start, event.stop))
            case RequestOpened():
                if not self._open:
                    self._parts.append([])
                self._open[event.study, event.trial] = None
            case RequestClosed():
                self._open.pop((event.study, event.trial), None)
            case _:
                return

    def work(
        self, nodes: Mapping[int, Node], clockwork: Clockwork, evaluate_every: Mapping[int, int]
    ) -> Iterator[list[Work]]:
        """The steps of each phase in which anything was trained.

        Args:
            nodes: The engine's.
            clockwork: What steps and evaluations take.
            evaluate_every: By plan: the states that are evaluated are its multiples.
        """
        for parts in self._parts:
            ends: dict[tuple[int, int], int] = {}
            found = []
            for number, start, stop in parts:
                node = nodes[number]
                owner = node.parent.id if start == node.start and node.parent is not None else number
                time = ends.get((owner, start), 0)
                every = evaluate_every[node.plan]
                for step in range(start, stop):
                    evaluation = clockwork.evaluate if (step + 1) % every == 0 else 0
                    duration = clockwork.step(node.laws, step) + evaluation
                    found.append(Work(time, duration))
                    time += duration
                    ends[number, step + 1] = time
            if found:
                yield found
