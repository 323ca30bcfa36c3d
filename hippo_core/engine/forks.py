"""Forks: trials that users and policies make of others, with other schedules from a step on."""

from __future__ import annotations

from typing import Any

from hippo_core import forking
from hippo_core.engine.commands import ForkTrial
from hippo_core.engine.creation import create_trial
from hippo_core.engine.decision import Decision
from hippo_core.engine.endings import require_search
from hippo_core.engine.events import StudyStateChanged, TrialCreated
from hippo_core.engine.lookup import find_study, find_trial
from hippo_core.engine.proposals import renew
from hippo_core.engine.quotas import require_room_in
from hippo_core.engine.states import ENDED_STUDY_STATES, StudyState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.errors import InvalidStudy
from hippo_core.policies import ExploringPolicy, Fork
from hippo_core.program import require_int
from hippo_core.space import Assignment


def fork_trial(decision: Decision, command: ForkTrial) -> int:
    """Creates a fork; returns its number.

    It is not counted in the study's max_trials, and no sampler hears of it. Its policy sees a trial like any other.
    """
    study = find_study(decision.state, command.project, command.name)
    parent = find_trial(study, command.trial)
    require_search(study)
    at = require_int(command.at, "at", 0)
    hyperparameters = forking.fork(study.spec, study.hyperparameters(parent), at, command.hyperparameters)
    ends = 0 if study.spec.horizons else forking.end_of(study.spec, hyperparameters)
    limit = max(ends, parent.limit)
    if at >= limit:
        remedy = f"Fork below it, or let the trial go further first (hippo trial extend {study.name})."
        raise InvalidStudy("at", f"{at} is not below step {limit}, at which training ends", remedy)
    sequence = study.spec.sequence_of(hyperparameters)
    unfit = sequence.first_not_finite(limit)
    if unfit is not None:
        step, name = unfit
        value = sequence.values(step)[name]
        raise InvalidStudy(f"hyperparameters[{name!r}]", f"is {value} at step {step}, and must be finite")
    require_room_in(decision.state, study, trials=study.spec.repeats)
    number = len(study.trials)
    create_trial(
        decision,
        TrialCreated(
            study=study.id,
            trial=number,
            assignment={},
            max_steps=limit,
            fork={"trial": parent.number, "at": at, "hyperparameters": hyperparameters},
        ),
    )
    renew(decision, study)
    if study.state in ENDED_STUDY_STATES:
        decision.emit(StudyStateChanged(study=study.id, state=StudyState.RUNNING, reason=""))
    return number


def fork_as_decided(decision: Decision, study: Study, verdict: Fork) -> None:
    """Creates a fork that the study's policy wants, with the values that it explores.

    It is no more counted in max_trials than a user's, and no sampler hears of it.
    """
    policy, parent = study.policy, study.trials[verdict.trial]
    assert isinstance(policy, ExploringPolicy), "who forks explores"
    assignment = policy.explore(verdict, lambda number: study.trials[number].assignment)
    hyperparameters, changes = _explored(study, parent, verdict.at, assignment)
    create_trial(
        decision,
        TrialCreated(
            study=study.id,
            trial=len(study.trials),
            assignment=dict(assignment),
            max_steps=forking.end_of(study.spec, hyperparameters),
            fork={
                "trial": parent.number,
                "at": verdict.at,
                "hyperparameters": hyperparameters,
                "instead_of": verdict.instead_of,
                "reason": f"{verdict.reason}; {changes}",
            },
        ),
    )
    renew(decision, study)


def _explored(study: Study, parent: Trial, at: int, assignment: Assignment) -> tuple[dict[str, Any], str]:
    """A fork's hyper-parameters, and in words what differs from its parent's."""
    before = study.spec.hyperparameters(parent.assignment)
    after = study.spec.hyperparameters(assignment)
    given = {name: part for name, part in after.items() if part != before[name]}
    hyperparameters = study.hyperparameters(parent)
    if not given:
        return hyperparameters, "with all values of it"
    changes = ", ".join(f"{name} {before[name]} -> {part}" for name, part in given.items())
    return forking.fork(study.spec, hyperparameters, at, given), changes
