"""Which trials are best.

A trial's value is that of its last evaluation. Those compared are the trials that completed; where none did, those at
the deepest step that any trial was evaluated at, and none where the study has failed. With several objectives the best
are the Pareto front. Of a point with repeats, values are their means, at the step that all of them have reached. Where
the study has constraints, what is feasible comes first; where nothing is, what violates them least.
"""

from __future__ import annotations

from collections.abc import Iterable

from hippo_core.engine.spread import point_evaluations, reached_by_all
from hippo_core.engine.state import Study, Trial
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.plan import Metrics
from hippo_core.policies.pareto import dominates
from hippo_core.policies.policy import Worth


def best_trials(study: Study) -> list[Trial]:
    """The best trials, the very best first; the lower number first among equals. Of horizons, of the longest one."""
    return _best_of(study, [trial for trial in study.trials.values() if study.is_learned_from(trial)])


def ranked_trials(study: Study) -> list[Trial]:
    """All trials with a value, the best first: those that completed, then those evaluated at the deepest steps."""
    known = [
        (trial, worth) for trial in study.trials.values() if (worth := worth_of(study, trial)) is not None
    ]
    return [
        trial
        for trial, _ in sorted(
            known,
            key=lambda each: (
                each[0].state is not TrialState.COMPLETED,
                0 if each[0].state is TrialState.COMPLETED else -evaluated(study, each[0])[0],
                each[1],
                each[0].number,
            ),
        )
    ]


def best_by_horizon(study: Study) -> dict[int, list[Trial]]:
    """The best completed trials of each horizon, ascending; nothing for one where none completed with a value.

    What a longer trial gives on its trunk is not compared: its schedule has not been cooled down.
    """
    completed = [trial for trial in study.trials.values() if trial.state is TrialState.COMPLETED]
    found = {
        horizon: _best(study, [trial for trial in completed if trial.horizon == horizon])
        for horizon in study.spec.lengths
    }
    return {horizon: best for horizon, best in found.items() if best}


def _best_of(study: Study, trials: list[Trial]) -> list[Trial]:
    completed = [trial for trial in trials if trial.state is TrialState.COMPLETED]
    if any(worth_of(study, trial) is not None for trial in completed):
        return _best(study, completed)
    return [] if study.state is StudyState.FAILED else best_so_far(study, trials)


def best_so_far(study: Study, trials: Iterable[Trial]) -> list[Trial]:
    """The best of those trials that were evaluated at the deepest step."""
    steps = {
        trial.number: evaluated(study, trial)[0] for trial in trials if worth_of(study, trial) is not None
    }
    deepest = max(steps.values(), default=0)
    return _best(study, [study.trials[number] for number, step in steps.items() if step == deepest])


def _best(study: Study, trials: Iterable[Trial]) -> list[Trial]:
    known = [(found, trial) for trial in trials if (found := worth_of(study, trial)) is not None]
    ranked = sorted(known, key=lambda each: (each[0], each[1].number))
    if len(study.spec.objectives) == 1:
        return [trial for _, trial in ranked[:1]]
    return [trial for ours, trial in ranked if not any(dominates(theirs, ours) for theirs, _ in known)]


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
