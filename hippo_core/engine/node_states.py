"""How far the training of a node is, and what it waits for."""

from __future__ import annotations

from hippo_core.engine.states import NodeState
from hippo_core.plan import Node
from hippo_core.tree import StageTree

WAITS_FOR_A_SLOT = "waits for a free slot"


def node_state(node: Node, stop: int, tree: StageTree, waiting: str) -> tuple[NodeState, str]:
    """The state of a node, and what it waits for, in words.

    Args:
        node: The node.
        stop: One past the last step that is asked of it.
        tree: What of its plan is still to run.
        waiting: Why those of a study wait that wait; empty: for their turn.
    """
    again = f"being tried again after a failure: {node.failures.message}" if node.failures is not None else ""
    if node.trained >= stop:
        return NodeState.TRAINED, ""
    leases = [lease for lease in tree.leases.get(node.id, {}).values() if lease.training]
    if any(lease.next_node == node.id for lease in leases):
        return NodeState.RUNNING, again
    for lease in leases:
        if lease.will_reach(node.id, node.trained + 1):
            return NodeState.GRANTED, f"slot {lease.slot} of worker {lease.worker} comes to it"
    ranges = [each for each in tree.outlook_of(node.id).ranges if each.points[-1] > node.trained]
    if not ranges or node.id in tree.blocked:
        return NodeState.WAITING, again or waiting
    if any(tree.ready(node, each) for each in ranges):
        return NodeState.READY, again or waiting or WAITS_FOR_A_SLOT
    base = ranges[0].base
    if base > node.start or node.parent is None:
        return NodeState.WAITING, again or f"waits for its state at step {base}"
    return NodeState.WAITING, again or f"waits for node {node.parent.id} to come to step {base}"
