"""Pins: checkpoints that stay, whatever the budgets, for a user said so. They are a study's, and go with it."""

from __future__ import annotations

from hippo_core.engine.best import best_trials
from hippo_core.engine.commands import PinCheckpoint, UnpinCheckpoints
from hippo_core.engine.decision import Decision
from hippo_core.engine.events import CheckpointPinned, CheckpointUnpinned
from hippo_core.engine.lookup import find_study, find_trial
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.engine.trial_paths import CheckpointRef, find_checkpoint, walk
from hippo_core.errors import NotFound


def pin(decision: Decision, command: PinCheckpoint) -> CheckpointRef:
    """Pins a trial's checkpoint; one that is pinned stays so."""
    study = find_study(decision.state, command.project, command.name)
    found = find_checkpoint(study, chosen_trial(study, command.trial), command.step)
    if study.id not in decision.state.pins.get((found.node, found.step), {}):
        decision.emit(CheckpointPinned(study=study.id, node=found.node, step=found.step))
    return found


def unpin(decision: Decision, command: UnpinCheckpoints) -> int:
    """Lets pins of a study go: all, those on a trial's path, or the one at a step of it. Returns how many."""
    study = find_study(decision.state, command.project, command.name)
    pinned = [state for state, studies in decision.state.pins.items() if study.id in studies]
    if command.trial is not None:
        trial = find_trial(study, command.trial)
        path = {node.id: stop for node, _, stop in walk(trial, max(trial.target or 0, trial.reached))}
        pinned = [(node, step) for node, step in pinned if step <= path.get(node, 0)]
    if command.step is not None:
        pinned = [(node, step) for node, step in pinned if step == command.step]
    for node, step in pinned:
        decision.emit(CheckpointUnpinned(study=study.id, node=node, step=step))
    return len(pinned)


def chosen_trial(study: Study, number: int | None) -> Trial:
    """The trial of that number; the best one where none is given.

    Raises:
        NotFound: There is none.
    """
    if number is not None:
        return find_trial(study, number)
    best = best_trials(study)
    if not best:
        raise NotFound(f"study '{study.name}' has no best trial yet.", "Name a trial (--trial N).")
    return best[0]
