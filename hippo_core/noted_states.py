"""States at which somebody may come to part from others, or to fork: needed by nobody, saved by whatever comes by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from hippo_core.lease import State

Who = TypeVar("Who")


class NotedStates(Generic[Who]):
    """By node and step: for whom a state is noted."""

    __slots__ = ("_nodes",)

    def __init__(self) -> None:
        self._nodes: dict[int, dict[int, dict[Who, None]]] = {}

    def __contains__(self, node: int) -> bool:
        """Whether any state of a node is noted."""
        return node in self._nodes

    def add(self, state: State, who: Who) -> None:
        """Notes a state for somebody."""
        number, step = state
        self._nodes.setdefault(number, {}).setdefault(step, {})[who] = None

    def remove(self, state: State, who: Who) -> None:
        """It is noted for them no more."""
        number, step = state
        at = self._nodes[number]
        del at[step][who]
        if not at[step]:
            del at[step]
        if not at:
            del self._nodes[number]

    def at(self, state: State) -> Sequence[Who]:
        """For whom a state is noted."""
        number, step = state
        return tuple(self._nodes.get(number, {}).get(step, ()))

    def steps(self, node: int, counts: Callable[[Who], bool]) -> Iterator[int]:
        """The steps of a node at which a state is noted for somebody who counts."""
        for step, noted in self._nodes.get(node, {}).items():
            if any(map(counts, noted)):
                yield step
