"""Trials come to rest: one, or all of a study."""

from __future__ import annotations

from hippo_core.engine.decision import Decision
from hippo_core.engine.evaluations import progress
from hippo_core.engine.events import TrialStateChanged, TrialStopped, TrialWanted
from hippo_core.engine.requests import close_request
from hippo_core.engine.states import ENDED_TRIAL_STATES, RequestState, TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial


def stop_trials(decision: Decision, study: Study, reason: str) -> None:
    """Ends every trial that is still open or may be promoted."""
    for trial in list(study.branches()):
        if trial.state not in ENDED_TRIAL_STATES:
            _stop(decision, study, trial, reason)


def stop_one(decision: Decision, study: Study, trial: Trial, reason: str) -> bool:
    """Ends a trial for good, as a user says; tells whether it had not ended."""
    members = [each for each in study.members(trial.number) if each.state not in ENDED_TRIAL_STATES]
    if not members:
        return False
    decision.emit(TrialStopped(study=study.id, trial=trial.number))
    for each in [*members, *open_probes(study, trial)]:
        _stop(decision, study, each, reason)
    return True


def open_probes(study: Study, trial: Trial) -> list[Trial]:
    """The probes of a trial that are still to come, with their repeats."""
    found = (each for probe in study.probes_of(trial.number) for each in study.members(probe.number))
    return [each for each in found if each.state not in ENDED_TRIAL_STATES]


def _stop(decision: Decision, study: Study, trial: Trial, reason: str) -> None:
    if trial.target is not None:
        close_request(decision, study, trial, RequestState.CANCELLED, progress(trial))
    if trial.number in study.wishes:
        decision.emit(TrialWanted(study=study.id, trial=trial.number, step=0))
    # What a user lets go on beyond its end has come to it all the same.
    completes = trial.led >= trial.max_steps
    change(decision, study, trial, TrialState.COMPLETED if completes else TrialState.STOPPED, reason)


def end_as_decided(
    decision: Decision, study: Study, trial: Trial, state: TrialState, reason: str, reached: int
) -> None:
    """A trial has come to its end, at a step, as its policy decides."""
    if trial.target is not None:
        close_request(decision, study, trial, RequestState.CANCELLED, reached)
    change(decision, study, trial, state, reason)


def change(decision: Decision, study: Study, trial: Trial, state: TrialState, reason: str) -> None:
    """Brings a trial into another state."""
    decision.emit(TrialStateChanged(study=study.id, trial=trial.number, state=state, reason=reason))
