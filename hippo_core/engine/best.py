"""Which trials are best.

A trial's value is that of its last evaluation. Those compared are the trials that completed; where none did, those at
the deepest step that any trial was evaluated at, and none where the study has failed. With several objectives the best
are the Pareto front. Of a point with repeats, values are their means, at the step that all of them have reached. Where
the study has constraints, what is feasible comes first; where nothing is, what violates them least.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hippo_core.engine.spread import point_evaluations, reached_by_all
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.plan import Metrics
from hippo_core.policies.pareto import dominates
from hippo_core.policies.policy import Worth


def best_trials(study: Study) -> list[Trial]:
    """The best trials, the very best first; the lower number first among equals. Of horizons, of the longest one."""
    trials = list(study.trials.values())
    if study.spec.horizons:
        trials = [trial for trial in trials if study.is_learned_from(trial)]
    return _best_of(study, trials)


def ranked_trials(study: Study) -> list[Trial]:
    """All trials with a value, the best first: those that completed, then those evaluated at the deepest steps."""
    ranked = sorted(
        _judged(study, study.trials.values()),
        key=lambda each: (
            each.trial.state is not TrialState.COMPLETED,
            0 if each.trial.state is TrialState.COMPLETED else -each.step,
            each.worth,
            each.trial.number,
        ),
    )
    return [each.trial for each in ranked]


def best_by_horizon(study: Study) -> dict[int, list[Trial]]:
    """The best completed trials of each horizon, ascending; nothing for one where none completed with a value.

    What a longer trial gives on its trunk is not compared: its schedule has not been cooled down.
    """
    completed = [trial for trial in study.trials.values() if trial.state is TrialState.COMPLETED]
    found = {
        horizon: _best(study, _judged(study, [trial for trial in completed if trial.horizon == horizon]))
        for horizon in study.spec.lengths
    }
    return {horizon: best for horizon, best in found.items() if best}


def _best_of(study: Study, trials: list[Trial]) -> list[Trial]:
    completed = list(_judged(study, [trial for trial in trials if trial.state is TrialState.COMPLETED]))
    if completed:
        return _best(study, completed)
    return [] if study.state is StudyState.FAILED else best_so_far(study, trials)


def best_so_far(study: Study, trials: Iterable[Trial]) -> list[Trial]:
    """The best of those trials that were evaluated at the deepest step."""
    known = list(_judged(study, trials))
    deepest = max((each.step for each in known), default=0)
    return _best(study, [each for each in known if each.step == deepest])


class _Judged(NamedTuple):
    """A trial, the step of its last evaluation, and what it is worth there."""

    worth: Worth
    number: int
    step: int
    trial: Trial


def _judged(study: Study, trials: Iterable[Trial]) -> Iterator[_Judged]:
    """Those trials that are worth something."""
    objective = study.spec.objectives[0]
    sign = -1.0 if objective.maximize else 1.0
    # What a trial came to is then all that it is worth, so that many are looked through fast.
    is_plain = len(study.spec.objectives) == 1 and not study.spec.constraints and not study.repeats
    for trial in trials:
        if is_plain and trial.value is not None and trial.state is not TrialState.DIVERGED:
            yield _Judged((0.0, sign * trial.value), trial.number, trial.reached, trial)
        elif trial.reached and (worth := worth_of(study, trial)) is not None:
            yield _Judged(worth, trial.number, evaluated(study, trial)[0], trial)


def _best(study: Study, known: Iterable[_Judged]) -> list[Trial]:
    if len(study.spec.objectives) == 1:
        best = min(known, default=None)
        return [] if best is None else [best.trial]
    front: list[_Judged] = []
    for ours in sorted(known):  # whoever dominates comes before, and so does somebody who is in the front
        if not any(dominates(each.worth, ours.worth) for each in front):
            front.append(ours)
    return [each.trial for each in front]


def worth_of(study: Study, trial: Trial) -> Worth | None:
    """What a trial is worth, less being better; None where an objective is not known or not finite."""
    if trial.state is TrialState.DIVERGED:
        return None
    values = study.spec.values(evaluated(study, trial)[1])
    return None if values is None else study.spec.worth(values)


def violation_of(study: Study, trial: Trial) -> float | None:
    """By how much a trial violates constraints at its last evaluation; None: there are none, or it has no value."""
    found = worth_of(study, trial) if study.spec.constraints else None
    return None if found is None else found[0]


def evaluated(study: Study, trial: Trial) -> tuple[int, Metrics]:
    """The step of the last evaluation of what a trial has reached, and what it gave; 0: there is none."""
    if study.repeats:
        found = list(point_evaluations(study, trial, reached_by_all(study, trial)))
        return found[-1][:2] if found else (0, {})
    upto = trial.reached
    for node in () if trial.reached_node is None else trial.reached_node.ancestry():
        step = (
            upto if upto in node.metrics else max((each for each in node.metrics if each <= upto), default=0)
        )
        if step:
            return step, node.metrics[step]
        upto = node.start
    return 0, {}
