"""A stage tree as text for a terminal.

A line a node: the steps that it covers, the values that set it apart, a bar on the common axis of steps, and
how many trials go through it. A node's bar begins where it leaves its parent's, so what is under one bar is
trained once::

                                      0                       27  trials
    0-9   lr=0.1                      ━━━━━━━━                     3
    ├╴9-27  lr=0.01                           ━━━━━━━━┄┄┄┄┄┄┄┄     1
    └╴9-27  lr=0.02                           ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄     2
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hippo_core.drawings.tree_shape import TreeShape
from hippo_core.engine.states import NodeState
from hippo_core.tree_node import TreeNode

TRAINED, RUNNING, WAITING, FAILED = "━", "╌", "┄", "╳"
_NARROWEST_AXIS = 12
_WIDEST_AXIS = 60


def to_text(tree: TreeShape, width: int, max_lines: int | None = None) -> str:
    """The tree as text.

    Args:
        tree: The tree.
        width: Of a line, in columns.
        max_lines: Draw at most so many nodes, those nearest to a root, and say how many were left out.
    """
    if not tree.nodes:
        return "nothing to train yet"
    drawn = _nearest(tree, max_lines)
    rows = [row for root in tree.roots if root.node in drawn for row in _rows(tree, root, drawn, "", "")]
    counts = max(len("trials"), *(len(row.trials) for row in rows))
    axis = min(_WIDEST_AXIS, max(_NARROWEST_AXIS, width // 2 - counts - 4))
    labels = max(10, min(max(len(row.label) for row in rows), width - axis - counts - 4))
    last = tree.last_step
    end = str(last)
    lines = [f"{'':{labels}}  0{end:>{axis - 1}}  {'trials':>{counts}}"]
    lines += [
        f"{_cut(row.label, labels):{labels}}  {_bar(row.node, last, axis)}  {row.trials:>{counts}}"
        for row in rows
    ]
    hidden = len(tree.nodes) - len(drawn)
    if hidden:
        lines.append(f"and {hidden} more nodes")
    return "\n".join(line.rstrip() for line in lines)


@dataclass(frozen=True, slots=True)
class _Row:
    node: TreeNode
    label: str
    trials: str


def _nearest(tree: TreeShape, limit: int | None) -> set[int]:
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


def _rows(tree: TreeShape, root: TreeNode, drawn: set[int], first: str, others: str) -> Iterator[_Row]:
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
    if node.stop == node.start:
        return (" " * begin + FAILED).ljust(columns)
    rest = RUNNING if node.state is NodeState.RUNNING else WAITING
    return (" " * begin + TRAINED * (trained - begin) + rest * (end - trained)).ljust(columns)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
