"""The shape of a stage tree: who hangs on whom, on which line each node is drawn, and what is folded away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hippo_core.tree_node import TreeNode


@dataclass(frozen=True, slots=True)
class Placed:
    """A node on its line; ``parent_line`` is None at a root."""

    node: TreeNode
    line: int
    parent_line: int | None


class TreeShape:
    """A study's part of the search plan.

    Args:
        nodes: Its nodes, parents before children. A node whose parent is not among them is a root.
    """

    def __init__(self, nodes: Iterable[TreeNode]) -> None:
        self.nodes = tuple(nodes)
        self.by_number = {node.node: node for node in self.nodes}
        self._children: dict[int | None, list[TreeNode]] = {}
        for node in self.nodes:
            parent = node.parent if node.parent in self.by_number else None
            self._children.setdefault(parent, []).append(node)
        for children in self._children.values():
            children.sort(key=lambda child: (child.start, child.node))

        roots = self.roots if len(self.roots) > 1 else ()
        #: The values that all roots have.
        self._alike = {
            name: value
            for name, value in (roots[0].values.items() if roots else ())
            if all(name in each.values and each.values[name] == value for each in roots)
        }

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[TreeNode]:
        return iter(self.nodes)

    @property
    def roots(self) -> Sequence[TreeNode]:
        """Nodes without a parent."""
        return self._children.get(None, [])

    @property
    def first_step(self) -> int:
        """The first step of any node."""
        return min((node.start for node in self.nodes), default=0)

    @property
    def last_step(self) -> int:
        """One past the last step of any node; 1 where there is none."""
        return max(1, max((node.stop for node in self.nodes), default=1))

    def children(self, node: TreeNode) -> Sequence[TreeNode]:
        """The nodes that leave this one, the earliest first."""
        return self._children.get(node.node, [])

    def below(self, node: TreeNode) -> Iterator[TreeNode]:
        """A node and all that hangs on it, parents before children."""
        stack = [node]
        while stack:
            each = stack.pop()
            yield each
            stack += reversed(self.children(each))

    def path(self, node: TreeNode) -> tuple[TreeNode, ...]:
        """The nodes from a root to this one."""
        nodes = [node]
        while nodes[-1].parent is not None and nodes[-1].parent in self.by_number:
            nodes.append(self.by_number[nodes[-1].parent])
        return tuple(reversed(nodes))

    def label(self, node: TreeNode) -> str:
        """What sets the node apart: values that differ from its parent's, or between roots."""
        parent = None if node.parent is None else self.by_number.get(node.parent)
        above = self._alike if parent is None else parent.values
        apart = {
            name: value for name, value in node.values.items() if name not in above or above[name] != value
        }
        # A smooth schedule may have the same value at both starts by chance.
        return " ".join(f"{name}={short(value)}" for name, value in (apart or node.values).items())

    def placed(self) -> Iterator[Placed]:
        """All nodes, each on a line, from 0."""
        return (Placed(*each) for each in on_lines(self.roots, self.children))


class Spanning(Protocol):
    """What covers steps."""

    @property
    def start(self) -> int:
        """The first."""
        ...

    @property
    def stop(self) -> int:
        """One past the last."""
        ...


S = TypeVar("S", bound=Spanning)


def on_lines(roots: Sequence[S], children: Callable[[S], Sequence[S]]) -> Iterator[tuple[S, int, int | None]]:
    """All nodes of a tree, each with its line, from 0, and its parent's; None at a root.

    The first branch that continues a bar at its end stays on the bar's line; the others go below it, the latest
    nearest, so that no connector crosses a bar.

    Args:
        roots: The nodes without a parent.
        children: Those of a node, the earliest first.
    """
    free = 0
    # Last in, first out: what is drawn nearest is pushed last. None: on the next free line.
    stack: list[tuple[S, int | None, int | None]] = [(root, None, None) for root in reversed(roots)]
    while stack:
        node, line, parent_line = stack.pop()
        if line is None:
            line, free = free, free + 1
        yield node, line, parent_line
        below = children(node)
        onward = next((child for child in below if child.start == node.stop), None)
        # children come earliest first, so the latest is pushed last and gets the nearest line
        stack += [(child, None, line) for child in below if child is not onward]
        if onward is not None:
            stack.append((onward, line, None))


def short(value: object) -> str:
    """A value in few characters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
