"""What people see of a study's stage tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hippo_core.engine.engine import Engine
from hippo_core.engine.lookup import find_study
from hippo_core.engine.probe_views import (
    own_stretches,
)
from hippo_core.engine.trial_paths import (
    walk,
)
from hippo_core.plan import Metrics, Node
from hippo_core.repeats import trial_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeNodeView:
    """A node of the search plan, as far as a study's trials need it."""

    node: int
    parent: int | None
    start: int
    stop: int
    trained: int
    values: Mapping[str, Any]
    trials: tuple[int, ...]
    ending: tuple[int, ...]
    probes: tuple[int, ...]  #: the trials whose probes go through it, where they have parted from them
    metrics: Metrics
    checkpoints: tuple[int, ...]
    running: bool
    not_reproducible: bool


def stage_tree(engine: Engine, project: str, name: str) -> tuple[TreeNodeView, ...]:
    """The study's part of the plan, parents before children."""
    study = find_study(engine.state, project, name)
    stops: dict[int, int] = {}
    trials: dict[int, list[int]] = {}
    ending: dict[int, list[int]] = {}
    probes: dict[int, list[int]] = {}
    for trial in sorted(study.all_members(), key=lambda each: (trial_of(each.number), each.number)):
        number = trial_of(trial.number)
        parts = list(walk(trial, trial.target or trial.reached))
        for node, _, stop in parts:
            stops[node.id] = max(stops.get(node.id, 0), stop)
            trials.setdefault(node.id, []).append(number)
        if parts:
            ending.setdefault(parts[-1][0].id, []).append(number)
    for probe in sorted(study.probes.values(), key=lambda each: (trial_of(each.number), each.number)):
        for node, _, stop in own_stretches(probe, probe.target or probe.reached):
            stops[node.id] = max(stops.get(node.id, 0), stop)
            probes.setdefault(node.id, []).append(trial_of(probe.number))
    tree = engine.state.plans[study.plan].tree
    return tuple(
        _tree_node(
            engine.state.nodes[number],
            stops[number],
            trials.get(number, []),
            ending.get(number, []),
            probes.get(number, []),
            tree.leases,
        )
        for number in sorted(stops, key=lambda each: (engine.state.nodes[each].start, each))
    )


def _tree_node(
    node: Node,
    stop: int,
    trials: list[int],
    ending: list[int],
    probes: list[int],
    leases: Mapping[int, Mapping[int, Any]],
) -> TreeNodeView:
    last = max((step for step in node.metrics if step <= stop), default=None)
    return TreeNodeView(
        node=node.id,
        parent=None if node.parent is None else node.parent.id,
        start=node.start,
        stop=stop,
        trained=min(node.trained, stop),
        values=node.laws.values(node.start),
        trials=tuple(trials),
        ending=tuple(ending),
        probes=tuple(probes),
        metrics={} if last is None else node.metrics[last],
        checkpoints=tuple(sorted(node.checkpoints)),
        running=any(
            lease.training and lease.stages[lease.index][0] == node.id
            for lease in leases.get(node.id, {}).values()
        ),
        not_reproducible=node.not_reproducible,
    )
