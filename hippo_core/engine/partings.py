"""Where trials that may be trained further will leave the paths of others.

A trial of a policy that promotes has its place in the plan only as far as it was asked for. Another that goes on
through the same steps would pass by the state at which their values part, and should the first one be promoted later,
the way there would be trained again. So that state is noted for every trial that has not ended, as far as the plan has
nodes; it is saved where a path goes through it, as is the state at which a path leaves the node before.

Where a study has horizons, a longer one may be added later, whose trials go on from where those of the longest begin to
decay: that state is noted, too.
"""

from __future__ import annotations

from hippo_core.engine.state import EngineState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.lease import State
from hippo_core.plan import Node
from hippo_core.trial_schedules import trunk


def note_parting(state: EngineState, study: Study, trial: Trial) -> None:
    """Finds anew where a trial leaves the nodes that there are."""
    leaf = trial.leaf
    if trial.parting is not None:
        if _still_holds(state, trial, leaf):
            return
        forget_parting(state, study, trial)
    if leaf is None or leaf.plan != study.plan:
        return
    if trial.asked < trial.limit:
        _place(state, study, trial, leaf)
    elif trial.target is not None:
        end = end_of_trunk(study, trial, leaf, trial.target)
        if end is not None:
            _note(state, study, trial, end)


def end_of_trunk(study: Study, trial: Trial, leaf: Node, upto: int) -> State | None:
    """The state that a trial of the longest horizon has in common with any longer one, where that lies below a step."""
    if not study.spec.horizons or not study.is_learned_from(trial):
        return None
    end = trunk(study.hyperparameters(trial))
    return (leaf.owner(end).id, end) if 0 < end < upto else None


def forget_parting(state: EngineState, study: Study, trial: Trial) -> None:
    """A trial is not trained further, or its parting is found anew."""
    if trial.parting is not None:
        node = state.nodes[trial.parting[0]]
        state.tree_of(node).remove_parting(trial.parting, (study.id, trial.number))
        trial.parting = None


def move_partings(state: EngineState, node: Node) -> None:
    """A node was added: those that part from its parent by going there part further down."""
    if node.parent is None:
        return
    for number, trial_number in state.tree_of(node).partings.at((node.parent.id, node.start)):
        study = state.studies[number]
        trial = study.member(trial_number)
        if trial.sequence.key(node.start) == node.key:
            forget_parting(state, study, trial)
            _place(state, study, trial, node)


def _still_holds(state: EngineState, trial: Trial, leaf: Node | None) -> bool:
    """Whether a trial may be trained as far as when its parting was found, and its latest request lies on the way."""
    if trial.parting is None or leaf is None or trial.asked >= trial.limit:
        return False
    number, step = trial.parting
    node = state.nodes[number]
    was_limit = step > trial.limit or trial.sequence.key(step) == node.laws.key(step)
    if was_limit and step != trial.limit:
        return False
    return any(each is leaf for each in node.ancestry())


def _place(state: EngineState, study: Study, trial: Trial, start: Node) -> None:
    node, leave = state.plans[start.plan].plan.descend(start, trial.sequence, trial.limit)
    _note(state, study, trial, (node.id, trial.limit if leave is None else leave))


def _note(state: EngineState, study: Study, trial: Trial, parting: State) -> None:
    trial.parting = parting
    state.tree_of(state.nodes[parting[0]]).add_parting(parting, (study.id, trial.number))
