"""The part of ``apply`` for what is told at once; see ``hippo_core.engine.known``."""

from __future__ import annotations

from hippo_core.engine.fold import apply
from hippo_core.engine.fold_trials import create_trial, open_request
from hippo_core.engine.known import Created, Known, Nodes, Opened, Results, Saved
from hippo_core.engine.state import EngineState
from hippo_core.plan import Checkpoint


def apply_known(state: EngineState, known: Known) -> None:
    """Changes the state by what is known.

    Stage trees are told of nothing: what is needed of them follows from requests, leases and what is noted, each of
    which comes as an event.
    """
    match known:
        case Opened():
            open_request(state, known, waits=known.waits)
        case Created():
            create_trial(state, known)
        case Saved():
            _save(state, known)
        case Results():
            _know(state, known)
        case Nodes():
            _plant(state, known)
        case _:
            apply(state, known)


def _plant(state: EngineState, known: Nodes) -> None:
    nodes, plans = state.nodes, state.plans
    for number, plan, parent, start, laws in known.rows:
        plans[plan].plan.add(number, None if parent is None else nodes[parent], start, laws)
    state.last_node = max(state.last_node, known.rows[-1][0])


def _know(state: EngineState, known: Results) -> None:
    node = state.nodes[known.node]
    node.know(known.metrics, known.training)
    if known.steps:
        node.trained = max(node.trained, known.trained)
        node.steps += known.steps
        node.seconds += known.seconds
        state.tree_of(node).measure(known.seconds, known.steps)


def _save(state: EngineState, saved: Saved) -> None:
    node = state.nodes[saved.node]
    if not saved.kept:
        state.dropped[saved.node, saved.step, saved.fence] = node.plan
        return
    node.keep(saved.step, Checkpoint(fence=saved.fence, size_bytes=saved.size_bytes, digest=saved.digest))
    project = state.plans[node.plan].project
    state.checkpoint_bytes[project] = state.checkpoint_bytes.get(project, 0) + saved.size_bytes
