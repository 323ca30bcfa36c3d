"""Which states may go: when a study has ended, and when a probe has come.

States at which phases begin were saved for forks that might come (``hippo_core.engine.boundaries``). When the study has
ended, those that nobody has gone on from go, but for those on the paths of its best trials: who takes it up again
forks these first. Of a probe its values were wanted: its states go at once, unless somebody else has use for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from hippo_core.engine.best import best_by_horizon, best_trials
from hippo_core.engine.decision import Decision
from hippo_core.engine.events import CheckpointDropped
from hippo_core.engine.partings import end_of_trunk
from hippo_core.engine.probe_views import own_stretches
from hippo_core.engine.state import EngineState, Study, Trial
from hippo_core.engine.states import ENDED_STUDY_STATES
from hippo_core.engine.trial_paths import walk
from hippo_core.lease import State
from hippo_core.plan import Node


def let_boundaries_go(decision: Decision, study: Study) -> None:
    """Drops the states at phases' beginnings of a study that has ended, of which nobody has made anything."""
    if study.state not in ENDED_STUDY_STATES or not study.boundaries:
        return
    state = decision.state
    kept = [(number, step) for number, step in study.boundaries if state.nodes[number].checkpoints.get(step)]
    if not kept:
        return
    plans = sorted({state.nodes[number].plan for number, _ in kept})
    needed = set(_needed(state, plans))
    for number, step in kept:
        node = state.nodes[number]
        if (number, step) in needed or _is_gone_on_from(state, node, step):
            continue
        for fence in list(node.checkpoints[step]):
            decision.emit(CheckpointDropped(node=number, step=step, fence=fence))


def let_probe_go(decision: Decision, study: Study, probes: Iterable[Trial]) -> None:
    """Drops the states of a probe that has come, and of its repeats, where nobody else's way leads or may come to."""
    state, every = decision.state, study.spec.checkpoint_every
    nodes = [node for probe in probes for node, _, _ in own_stretches(probe, probe.reached)]
    if not any(node.checkpoints and _is_alone(state, node) for node in nodes):
        return
    taken = {
        trial.reached_node.id
        for number in state.plans[study.plan].studies
        for trial in state.studies[number].all_members()
        if trial.reached_node is not None
    }
    taken.update(lease.start[0] for lease in state.leases.values() if lease.start is not None)
    for node in nodes:
        if node.id in taken or not _is_alone(state, node):
            continue
        kept = [(step, fence) for step, fences in node.checkpoints.items() for fence in fences]
        for step, fence in kept:
            if every is None or step % every:  # else its user asked for it: later trials may part there
                decision.emit(CheckpointDropped(node=node.id, step=step, fence=fence))


def _is_alone(state: EngineState, node: Node) -> bool:
    """Whether nobody waits for a node, or may go on in it, and nothing goes on from it."""
    return not (node.open or node.children or state.tree_of(node).is_noted(node))


def _best(study: Study) -> Iterator[State]:
    """The states of its best trials."""
    for trial in (*best_trials(study), *chain(*best_by_horizon(study).values())):
        for node, start, stop in walk(trial, trial.reached):
            yield from ((node.id, step) for step in range(start + 1, stop + 1) if step in node.checkpoints)


def _needed(state: EngineState, plans: Iterable[int]) -> Iterator[State]:
    """States of plans that somebody may have use for.

    Those of best trials, of running studies, where trials ended, where a further horizon would go on, of live leases.
    """
    for plan in plans:
        for number in state.plans[plan].studies:
            study = state.studies[number]
            yield from _best(study)
            if study.state not in ENDED_STUDY_STATES:
                yield from study.boundaries
            for trial in study.all_members():
                if trial.reached_node is not None:
                    yield trial.reached_node.id, trial.reached
                    end = end_of_trunk(study, trial, trial.reached_node, trial.reached)
                    if end is not None:
                        yield end
    for lease in state.leases.values():
        if lease.start is not None:
            yield lease.start[:2]


def _is_gone_on_from(state: EngineState, node: Node, step: int) -> bool:
    """Whether trials have gone different ways from a state, or somebody waits for it."""
    ways = sum(start == step for start, _ in node.children) + (node.trained > step)
    return ways > 1 or step in node.requests or state.tree_of(node).starts_at(node.id, step)
