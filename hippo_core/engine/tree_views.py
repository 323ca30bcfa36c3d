"""What people see of a study's stage tree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hippo_core.engine.engine import Engine
from hippo_core.engine.evaluations import progress
from hippo_core.engine.lookup import find_study
from hippo_core.engine.probe_views import own_stretches
from hippo_core.engine.state import EngineState, Study, Trial
from hippo_core.engine.states import NodeState
from hippo_core.engine.trial_paths import walk
from hippo_core.engine.trial_views import shown_state
from hippo_core.engine.waiting import trials_waiting_reason
from hippo_core.plan import Node
from hippo_core.repeats import trial_of
from hippo_core.tree import StageTree
from hippo_core.tree_node import TreeNode, TrialEnds

WAITS_FOR_A_SLOT = "waits for a free slot"


@dataclass(slots=True)
class _Traffic:
    """What of a study goes through a node."""

    stop: int = 0
    trials: list[int] = field(default_factory=list)
    ending: list[int] = field(default_factory=list)
    ends: dict[tuple[int, str], int] = field(default_factory=dict)
    probes: list[int] = field(default_factory=list)
    came: int = 0  #: steps that its trials came to, each counted for itself
    furthest: int = 0


def stage_tree(engine: Engine, project: str, name: str) -> tuple[TreeNode, ...]:
    """The study's part of the plan, parents before children."""
    state = engine.state
    study = find_study(state, project, name)
    tree = state.plans[study.plan].tree
    traffic = _traffic(state, study)
    critical = _critical(tree, study.all_members())
    waiting = trials_waiting_reason(state, study)
    return tuple(
        _tree_node(state.nodes[number], traffic[number], tree, number in critical, waiting)
        for number in sorted(traffic, key=lambda each: (state.nodes[each].start, each))
    )


def _traffic(state: EngineState, study: Study) -> dict[int, _Traffic]:
    found: dict[int, _Traffic] = {}
    for trial in sorted(study.all_members(), key=lambda each: (trial_of(each.number), each.number)):
        number, reached = trial_of(trial.number), progress(trial)
        last, stop = None, 0
        for node, start, stop in walk(trial, trial.target or trial.reached):
            last = found.get(node.id)
            if last is None:
                last = found[node.id] = _Traffic()
            last.stop = max(last.stop, stop)
            last.trials.append(number)
            here = min(stop, reached)
            last.came += max(0, here - start)
            last.furthest = max(last.furthest, here)
        if last is not None:
            last.ending.append(number)
            rests = trial.target is None and not study.repeats
            shown = trial.state if rests else shown_state(state, study, study.trials[number])
            last.ends[stop, shown.value] = last.ends.get((stop, shown.value), 0) + 1
    for probe in sorted(study.probes.values(), key=lambda each: (trial_of(each.number), each.number)):
        for node, _, stop in own_stretches(probe, probe.target or probe.reached):
            there = found.setdefault(node.id, _Traffic())
            there.stop = max(there.stop, stop)
            there.probes.append(trial_of(probe.number))
    return found


def _critical(tree: StageTree, trials: Iterable[Trial]) -> frozenset[int]:
    """The nodes with something left to train on the longest way that any trial has to go; the first of equal ones."""
    longest, nodes = 0.0, frozenset[int]()
    for trial in trials:
        if trial.target is None:
            continue
        left = {
            node.id: (stop - max(start, node.trained)) * tree.step_seconds(node)
            for node, start, stop in walk(trial, trial.target)
            if stop > max(start, node.trained)
        }
        if (seconds := sum(left.values())) > longest:
            longest, nodes = seconds, frozenset(left)
    return nodes


def _tree_node(node: Node, traffic: _Traffic, tree: StageTree, critical: bool, waiting: str) -> TreeNode:
    last = max((step for step in node.metrics if step <= traffic.stop), default=None)
    state, reason = _state(node, traffic.stop, tree, waiting)
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


def _state(node: Node, stop: int, tree: StageTree, waiting: str) -> tuple[NodeState, str]:
    """How far the training of a node is, and what it waits for, in words."""
    again = f"being tried again after a failure: {node.failures.message}" if node.failures is not None else ""
    if node.trained >= stop:
        return NodeState.TRAINED, ""
    leases = [lease for lease in tree.leases.get(node.id, {}).values() if lease.training]
    if any(lease.stages[lease.index][0] == node.id for lease in leases):
        return NodeState.RUNNING, again
    for lease in leases:
        if lease.will_reach(node.id, node.trained + 1):
            return NodeState.GRANTED, f"slot {lease.slot} of worker {lease.worker} comes to it"
    outlook = tree.outlooks.get(node.id)
    ranges = [] if outlook is None else [each for each in outlook.ranges if each.points[-1] > node.trained]
    if not ranges or node.id in tree.blocked:
        return NodeState.WAITING, again or waiting
    if any(tree.ready(node, each) for each in ranges):
        return NodeState.READY, again or waiting or WAITS_FOR_A_SLOT
    base = ranges[0].base
    if base > node.start or node.parent is None:
        return NodeState.WAITING, again or f"waits for its state at step {base}"
    return NodeState.WAITING, again or f"waits for node {node.parent.id} to come to step {base}"
