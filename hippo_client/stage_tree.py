"""A study's stage tree as values and as text for a terminal; :mod:`hippo_client.stage_tree_svg` draws it.

A line a node: the steps that it covers, the values that set it apart, a bar on the common axis of steps, and
how many trials go through it. A node's bar begins where it leaves its parent's, so what is under one bar is
trained once::

                                      0                       27  trials
    0-9   lr=0.1                      ━━━━━━━━                     3
    ├╴9-27  lr=0.01                           ━━━━━━━━┄┄┄┄┄┄┄┄     1
    └╴9-27  lr=0.02                           ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄     2
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hippo_wire.json_shapes import metrics_json

if TYPE_CHECKING:
    from hippo_wire.v1 import study_pb2

TRAINED, RUNNING, WAITING = "━", "╌", "┄"
_NARROWEST_AXIS = 12
_WIDEST_AXIS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeNode:
    """A node of the search plan, as far as a study's trials need it.

    Attributes:
        node: Its number.
        parent: Its parent's number; None at a root.
        start: Its first step.
        stop: One past the last step that is asked of it.
        trained: Trained so far, as a state's step.
        values: The values at its first step, by name.
        trials: The study's trials that go through it.
        ending: Those that end in it.
        probes: The trials whose probes go through it, where they have parted from them.
        metrics: Of its last evaluated state.
        checkpoints: States with a checkpoint.
        running: Whether it is being trained now.
        not_reproducible: A retrained step of it gave other metrics.
    """

    node: int
    parent: int | None
    start: int
    stop: int
    trained: int
    values: Mapping[str, Any]
    trials: tuple[int, ...]
    ending: tuple[int, ...] = ()
    probes: tuple[int, ...] = ()
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    checkpoints: tuple[int, ...] = ()
    running: bool = False
    not_reproducible: bool = False

    @classmethod
    def from_proto(cls, message: study_pb2.StageTreeNode) -> TreeNode:
        """The node as the server tells it."""
        return cls(
            node=message.node,
            parent=message.parent if message.HasField("parent") else None,
            start=message.start,
            stop=message.stop,
            trained=message.trained,
            values=json.loads(message.values_json),
            trials=tuple(message.trials),
            ending=tuple(message.ending),
            probes=tuple(message.probes),
            metrics=metrics_json(message.metrics),
            checkpoints=tuple(message.checkpoints),
            running=message.running,
            not_reproducible=message.not_reproducible,
        )


class StageTree:
    """The study's part of the search plan.

    ``str`` of it is text for a terminal, and a notebook shows it as a drawing.

    Args:
        nodes: Its nodes, parents before children.
    """

    def __init__(self, nodes: Iterable[TreeNode]) -> None:
        self.nodes = tuple(nodes)
        self._by_number = {node.node: node for node in self.nodes}
        self._children: dict[int | None, list[TreeNode]] = {}
        for node in self.nodes:
            self._children.setdefault(node.parent, []).append(node)
        for children in self._children.values():
            children.sort(key=lambda child: (child.start, child.node))

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[TreeNode]:
        return iter(self.nodes)

    @property
    def roots(self) -> Sequence[TreeNode]:
        """Nodes without a parent."""
        return self._children.get(None, [])

    @property
    def last_step(self) -> int:
        """One past the last step of any node; 1 where there is none."""
        return max((node.stop for node in self.nodes), default=1)

    def children(self, node: TreeNode) -> Sequence[TreeNode]:
        """The nodes that leave this one, the earliest first."""
        return self._children.get(node.node, [])

    def label(self, node: TreeNode) -> str:
        """What sets the node apart: values that differ from its parent's, or between roots."""
        if node.parent is not None:
            others = [self._by_number[node.parent].values]
        else:
            others = [root.values for root in self.roots if root is not node]
        apart = {
            name: value
            for name, value in node.values.items()
            if not others or any(name not in other or other[name] != value for other in others)
        }
        # A smooth schedule may have the same value at both starts by chance.
        return " ".join(f"{name}={short(value)}" for name, value in (apart or node.values).items())

    def to_text(self, width: int = 100, max_lines: int | None = None) -> str:
        """The tree as text.

        Args:
            width: Of a line, in columns.
            max_lines: Draw at most so many nodes, those nearest to a root, and say how many were left out.
        """
        if not self.nodes:
            return "nothing to train yet"
        drawn = _nearest(self, max_lines)
        rows = [row for root in self.roots if root.node in drawn for row in _rows(self, root, drawn, "", "")]
        counts = max(len("trials"), *(len(row.trials) for row in rows))
        axis = min(_WIDEST_AXIS, max(_NARROWEST_AXIS, width // 2 - counts - 4))
        labels = max(10, min(max(len(row.label) for row in rows), width - axis - counts - 4))
        end = str(self.last_step)
        lines = [f"{'':{labels}}  0{end:>{axis - 1}}  {'trials':>{counts}}"]
        lines += [
            f"{_cut(row.label, labels):{labels}}  {_bar(row.node, self.last_step, axis)}  {row.trials:>{counts}}"
            for row in rows
        ]
        hidden = len(self.nodes) - len(drawn)
        if hidden:
            lines.append(f"and {hidden} more nodes")
        return "\n".join(line.rstrip() for line in lines)

    def to_svg(self, width: int = 900) -> str:
        """The tree as a drawing of its own: an SVG document without scripts or outside references."""
        from hippo_client.stage_tree_svg import draw

        return draw(self, width)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        trained = sum(max(0, node.trained - node.start) for node in self.nodes)
        wanted = sum(node.stop - node.start for node in self.nodes)
        return f"<StageTree: {len(self.nodes)} nodes, {trained} of {wanted} steps trained>"

    def _repr_html_(self) -> str:
        return self.to_svg()


@dataclass(frozen=True, slots=True)
class _Row:
    node: TreeNode
    label: str
    trials: str


def _nearest(tree: StageTree, limit: int | None) -> set[int]:
    """The nodes to draw, breadth first: a drawn node's parent is drawn."""
    drawn: set[int] = set()
    level = list(tree.roots)
    while level:
        for node in level:
            if limit is not None and len(drawn) >= limit:
                return drawn
            drawn.add(node.node)
        level = [child for node in level for child in tree.children(node)]
    return drawn


def _rows(tree: StageTree, root: TreeNode, drawn: set[int], first: str, others: str) -> Iterator[_Row]:
    # With a stack of its own: a chain of forks may be deeper than Python's recursion.
    stack = [(root, first, others)]
    while stack:
        node, head, indent = stack.pop()
        mark = " !" if node.not_reproducible else ""
        label = f"{head}{node.start}-{node.stop}  {tree.label(node)}{mark}"
        yield _Row(node, label, _through(node))
        children = [child for child in tree.children(node) if child.node in drawn]
        for child in reversed(children):
            last = child is children[-1]
            stack.append((child, indent + ("└╴" if last else "├╴"), indent + ("  " if last else "│ ")))


def _through(node: TreeNode) -> str:
    """How many trials go through a node; where none does, it is probes."""
    if node.trials or not node.probes:
        return str(len(node.trials))
    return "probe" if len(node.probes) == 1 else f"{len(node.probes)} probes"


def _bar(node: TreeNode, last_step: int, columns: int) -> str:
    def column(step: int) -> int:
        return round(step * columns / last_step)

    begin = min(column(node.start), columns - 1)
    end = max(begin + 1, column(node.stop))
    trained = max(begin, min(end, column(node.trained)))
    if node.trained >= node.stop:
        trained = end
    rest = RUNNING if node.running else WAITING
    return (" " * begin + TRAINED * (trained - begin) + rest * (end - trained)).ljust(columns)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def short(value: object) -> str:
    """A value in few characters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
