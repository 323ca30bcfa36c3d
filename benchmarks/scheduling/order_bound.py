"""How short a run can be in which results arrive in the order in which they arrived.

An asynchronous policy decides by what has arrived. So of a run whose requests ended in a certain order, what was asked
for after an end could not begin before it; and that end could not come before all was trained that it, and the ends
before it, needed. This gives a chain of barriers. With ``E(c)`` for the earliest time of the end ``c`` of a request,

    E(c) = max over earlier ends b, and the beginning, of E(b) + level(b, c)

where ``level(b, c)`` is Hu's level bound of those steps that the ends up to ``c`` needed and that were first asked for
after ``b``. The bound is ``E`` of the last end. Looked at are the ends after which something was asked for: any choice
of ends gives a lower bound, and no other end gives a higher one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hippo_core.engine.events import Event, NodeCreated, RequestClosed, RequestOpened
from hippo_core.simulation.bounds import Work, level_bound


@dataclass(slots=True)
class _Node:
    """A node: for each of its steps, after how many ends it was first asked for, and the first end that needed it."""

    parent: int | None
    start: int
    asked: list[int] = field(default_factory=list)
    needed: list[int] = field(default_factory=list)


class Chronicle:
    """Follows the events of a run in which all steps take equally long.

    Attributes:
        ends: How many requests have ended.
    """

    def __init__(self) -> None:
        self.ends = 0
        self._nodes: dict[int, _Node] = {}
        self._open: dict[tuple[int, int], int] = {}  # by study and trial: the node of its request

    def note(self, event: Event) -> None:
        """Takes an event in, in order."""
        match event:
            case NodeCreated():
                self._nodes[event.node] = _Node(event.parent, event.start)
            case RequestOpened():
                self._open[event.study, event.trial] = event.node
                for node, steps in self._above(event.node, event.step):
                    node.asked += [self.ends] * (steps - len(node.asked))
            case RequestClosed():
                self.ends += 1
                for node, steps in self._above(self._open.pop((event.study, event.trial)), event.reached):
                    node.needed += [self.ends] * (steps - len(node.needed))
            case _:
                return

    def bound(self, slots: int) -> int:
        """The order bound, in steps.

        Args:
            slots: How many steps are trained at a time.
        """
        asked = sorted({index for node in self._nodes.values() for index in node.asked})
        chosen = [*asked, self.ends]
        earliest: list[int] = []
        for place, end in enumerate(chosen):
            earliest.append(
                max(
                    (earliest[index] + self._level(chosen[index], end, slots) for index in range(place)),
                    default=0,
                )
            )
        return earliest[-1]

    def _level(self, after: int, until: int, slots: int) -> int:
        """Hu's level bound of the steps that were asked for after one end, and needed by the ends up to another."""
        work: list[Work] = []
        depths: dict[tuple[int, int], int] = {}
        for number, node in self._nodes.items():
            depth = 0 if node.parent is None else depths.get((node.parent, node.start), 0)
            for index, (asked, needed) in enumerate(zip(node.asked, node.needed, strict=False)):
                if asked < after or needed > until:
                    depth = 0
                    continue
                work.append(Work(depth, 1))
                depth += 1
                depths[number, node.start + index + 1] = depth
        return level_bound(work, slots)

    def _above(self, number: int, step: int) -> list[tuple[_Node, int]]:
        """The nodes of a path up to a step, each with how many of its steps these are."""
        found = []
        following: int | None = number
        while following is not None:
            node = self._nodes[following]
            if step > node.start:
                found.append((node, step - node.start))
                step = node.start
            following = node.parent
        return found
