"""A mapping of few nodes by where they begin, in a fraction of a dict's memory: most nodes have one child, or two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from hippo_core.values import ValueKey

MOST = 6
"""So many are found as soon by looking at each as in a dict."""


class Begins(Protocol):
    """What has a first step, and values there."""

    @property
    def start(self) -> int:
        """The first step."""

    @property
    def key(self) -> ValueKey:
        """The values there."""


Child = TypeVar("Child", bound=Begins)


class Few(Mapping[tuple[int, ValueKey], Child], Generic[Child]):
    """``{(child.start, child.key): child}``, not to be changed.

    Args:
        nodes: The children, in the order in which they came.
    """

    __slots__ = ("nodes",)

    def __init__(self, *nodes: Child) -> None:
        self.nodes = nodes

    def __getitem__(self, place: tuple[int, ValueKey]) -> Child:
        start, key = place
        for node in self.nodes:
            if node.start == start and node.key == key:
                return node
        raise KeyError(place)

    def __iter__(self) -> Iterator[tuple[int, ValueKey]]:
        return ((node.start, node.key) for node in self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"Few({', '.join(map(repr, self.nodes))})"
