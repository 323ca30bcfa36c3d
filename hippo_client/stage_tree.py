"""A study's stage tree as values, as text for a terminal, and as a drawing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hippo_core.drawings.stage_tree_svg import Drawing, draw
from hippo_core.drawings.stage_tree_text import to_text
from hippo_core.drawings.tree_shape import TreeShape
from hippo_core.engine.states import NodeState
from hippo_core.tree_node import TreeNode, TrialEnds
from hippo_wire.json_shapes import metrics_json

if TYPE_CHECKING:
    from hippo_wire.v1 import study_pb2


def tree_node(message: study_pb2.StageTreeNode) -> TreeNode:
    """A node as the server tells it."""
    return TreeNode(
        node=message.node,
        parent=message.parent if message.HasField("parent") else None,
        start=message.start,
        stop=message.stop,
        trained=message.trained,
        values=json.loads(message.values_json),
        trials=tuple(message.trials),
        ending=tuple(message.ending),
        ends=tuple(TrialEnds(each.step, each.state, each.count) for each in message.ends),
        probes=tuple(message.probes),
        metrics=metrics_json(message.metrics),
        checkpoints=tuple(message.checkpoints),
        state=NodeState(message.state),
        reason=message.reason,
        seconds=message.seconds,
        steps_saved=message.steps_saved,
        critical=message.critical,
        not_reproducible=message.not_reproducible,
    )


class StageTree(TreeShape):
    """The study's part of the search plan.

    ``str`` of it is text for a terminal, and a notebook shows it as a drawing.

    Args:
        nodes: Its nodes, parents before children.
    """

    def to_text(self, width: int = 100, max_lines: int | None = None) -> str:
        """The tree as text.

        Args:
            width: Of a line, in columns.
            max_lines: Draw at most so many nodes, those nearest to a root, and say how many were left out.
        """
        return to_text(self, width, max_lines)

    def to_svg(self, width: int = 900, metric: str = "") -> str:
        """The tree as a drawing of its own: an SVG document without scripts or outside references.

        Args:
            width: In pixels; the height follows.
            metric: Which metric stands at the ends; empty: none.
        """
        return draw(self, Drawing(width=width, metric=metric))

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        trained = sum(max(0, node.trained - node.start) for node in self.nodes)
        wanted = sum(node.stop - node.start for node in self.nodes)
        return f"<StageTree: {len(self.nodes)} nodes, {trained} of {wanted} steps trained>"

    def _repr_html_(self) -> str:
        return self.to_svg()
