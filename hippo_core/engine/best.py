"""Which trials are best.

A trial's value is that of its last evaluation. Those compared are the trials that completed; where none did, those at
the deepest step that any trial was evaluated at, and none where the study has failed. With several objectives the best
are the Pareto front.
"""

from __future__ import annotations

from hippo_core.engine.state import Study, Trial
from hippo_core.engine.states import StudyState, TrialState


def best_trials(study: Study) -> list[Trial]:
    """The best trials, the very best first; the lower number first among equals."""
    valued = [trial for trial in study.trials.values() if _values(study, trial) is not None]
    completed = [trial for trial in valued if trial.state is TrialState.COMPLETED]
    if completed:
        candidates = completed
    elif study.state is StudyState.FAILED:
        candidates = []
    else:
        deepest = max((trial.reached for trial in valued), default=0)
        candidates = [trial for trial in valued if trial.reached == deepest]
    ranked = sorted(candidates, key=lambda trial: (*(_values(study, trial) or ()), trial.number))
    if len(study.spec.objectives) == 1:
        return ranked[:1]
    return [trial for trial in ranked if not any(_dominates(study, other, trial) for other in candidates)]


def _values(study: Study, trial: Trial) -> tuple[float, ...] | None:
    """A trial's objectives, signed so that less is better; None where one is not known or not finite."""
    if trial.reached_node is None or trial.state is TrialState.DIVERGED:
        return None
    node, step = trial.reached_node, trial.reached
    metrics = node.metrics.get(step)
    if metrics is None:
        earlier = [each for each in node.metrics if each <= step]
        metrics = node.metrics[max(earlier)] if earlier else {}
    values = []
    for objective in study.spec.objectives:
        value = metrics.get(objective.metric)
        if value is None:
            return None
        values.append(-value if objective.maximize else value)
    return tuple(values)


def _dominates(study: Study, one: Trial, other: Trial) -> bool:
    ours, theirs = _values(study, one), _values(study, other)
    if ours is None or theirs is None:
        return False
    return all(a <= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs
