"""Evaluations as a study's policy is told of them.

Metrics belong to nodes. A trial's evaluations are those on its path, up to what it has come to: a function of the plan
and of the trial, so that a policy is told the same after a restart as before. In what order they came is not kept; but
those of a closed request are told when it is closed, at the latest, and in what order requests are closed is.
"""

from __future__ import annotations

from collections.abc import Iterator

from hippo_core.engine.state import EngineState, Reported, Study, Trial
from hippo_core.engine.states import TrialState
from hippo_core.plan import Node
from hippo_core.policies import Values

AT_REST = frozenset({TrialState.STOPPED, TrialState.COMPLETED})


def objective_values(study: Study, node: Node, step: int) -> Values | None:
    """A study's objectives at a state of a path; None where one is not finite or not known."""
    metrics = node.owner(step).metrics.get(step, {})
    found = []
    for objective in study.spec.objectives:
        value = metrics.get(objective.metric)
        if value is None:
            return None
        found.append(value)
    return tuple(found)


def progress(trial: Trial) -> int:
    """The step that a trial has reached: that of its last closed request, or what is trained of its open one."""
    if trial.target is None or trial.node is None:
        return trial.reached
    stop = trial.target
    for node in trial.node.ancestry():
        if node.trained > node.start:
            return max(trial.reached, min(node.trained, stop))
        stop = node.start
    return trial.reached


def record_evaluations(state: EngineState, study: Study, trial: Trial, upto: int) -> None:
    """Tells a policy that watches of the evaluations up to where a closed request has come, and remembers them."""
    for step, values in _evaluations(study, trial, trial.recorded, upto):
        state.tell(study, Reported(trial.number, step, values))
        trial.recorded = step
        trial.told = max(trial.told, step)


def tell_evaluations(study: Study) -> None:
    """Tells a policy that watches of the evaluations that have become known on the way of open requests."""
    for number in study.untold:
        trial = study.trials[number]
        for step, values in _evaluations(study, trial, trial.told, progress(trial)):
            study.policy.reported(number, step, values)
            trial.told = step
    study.untold.clear()


def note_evaluations(state: EngineState) -> None:
    """Finds the trials that nodes trained or evaluated since concern, where a policy watches."""
    for number in state.touched_nodes:
        node = state.nodes[number]
        for each in state.plans[node.plan].studies:
            study = state.studies[each]
            if study.policy.watches and each in node.open:
                study.untold.update(dict.fromkeys(_below(study, node)))
                state.touched_studies[each] = None
    state.touched_nodes.clear()


def renew_policy(study: Study) -> None:
    """Makes a policy from the study's specification and history."""
    study.policy = study.spec.build_policy()
    study.outdated = False
    for call in study.history:
        call.tell(study.policy)
    for trial in study.trials.values():
        trial.told = trial.recorded
        if study.policy.watches:
            study.untold[trial.number] = None
        if trial.state in AT_REST:
            study.policy.stopped(trial.number)


def _evaluations(study: Study, trial: Trial, after: int, upto: int) -> Iterator[tuple[int, Values | None]]:
    """A trial's evaluations above one step, up to another, in order and without a gap."""
    node, every = trial.node, study.spec.program.evaluate_every
    if node is None:
        return
    for step in range(after + every, upto + 1, every):
        if step not in node.owner(step).metrics:
            return
        yield step, objective_values(study, node, step)


def _below(study: Study, node: Node) -> Iterator[int]:
    """The trials of a study with an open request on a node, or on one below it."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        for trials in each.requests.values():
            yield from (trial for number, trial in trials if number == study.id)
        waiting.extend(child for child in each.children.values() if study.id in child.open)
