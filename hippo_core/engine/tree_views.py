"""What people see of a study's stage tree."""

from __future__ import annotations

import sys
from collections.abc import Collection

from hippo_core.engine.engine import Engine
from hippo_core.engine.node_states import node_state
from hippo_core.engine.tree_survey import Traffic, TreeSurvey
from hippo_core.engine.waiting import trials_waiting_reason
from hippo_core.tree import StageTree
from hippo_core.tree_node import TreeNode, TrialEnds


def stage_tree(engine: Engine, project: str, name: str) -> tuple[TreeNode, ...]:
    """The study's part of the plan, parents before children."""
    survey = TreeSurvey(project, name)
    survey.go_on(engine, sys.maxsize)
    return tree_nodes(engine, survey, survey.traffic)


def tree_nodes(engine: Engine, survey: TreeSurvey, numbers: Collection[int]) -> tuple[TreeNode, ...]:
    """Nodes of a study, parents before children.

    Args:
        engine: Read.
        survey: What goes through all nodes of the study.
        numbers: Of the nodes that are meant.
    """
    study = survey.study(engine)
    tree = engine.state.plans[study.plan].tree
    critical = survey.critical(engine)
    waiting = trials_waiting_reason(engine.state, study)
    return tuple(
        _tree_node(survey.traffic[number], tree, number in critical, waiting)
        for number in survey.in_order(numbers)
    )


def _tree_node(traffic: Traffic, tree: StageTree, critical: bool, waiting: str) -> TreeNode:
    node = traffic.node
    last = max((step for step in node.metrics if step <= traffic.stop), default=None)
    state, reason = node_state(node, traffic.stop, tree, waiting)
    return TreeNode(
        node=node.id,
        parent=None if node.parent is None else node.parent.id,
        start=node.start,
        stop=traffic.stop,
        trained=min(node.trained, traffic.stop),
        values=node.laws.values(node.start),
        trials=tuple(traffic.trials),
        ending=tuple(traffic.ending),
        ends=tuple(TrialEnds(*place, count) for place, count in sorted(traffic.ends.items())),
        probes=tuple(traffic.probes),
        metrics={} if last is None else node.metrics[last],
        checkpoints=tuple(sorted(node.checkpoints)),
        state=state,
        reason=reason,
        seconds=node.seconds,
        steps_saved=traffic.came - max(0, traffic.furthest - node.start),
        critical=critical,
        not_reproducible=node.not_reproducible,
    )
