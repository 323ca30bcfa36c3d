"""Commands of users: submit, pause, resume, stop, extend, retry, delete; stop and extend one trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hippo_core.engine.commands import (
    DeleteStudy,
    ExtendStudy,
    ExtendTrial,
    PauseStudy,
    ResumeStudy,
    RetryTrials,
    StopStudy,
    StopTrial,
    SubmitStudy,
)
from hippo_core.engine.decision import Decision
from hippo_core.engine.endings import end_if_there, is_unfinished, require_none
from hippo_core.engine.environments import choose_plan, clear_plan
from hippo_core.engine.events import (
    EndingLifted,
    FailuresForgotten,
    StudyChanged,
    StudyDeleted,
    StudyPlanned,
    StudyStateChanged,
    StudySubmitted,
    TrialCreated,
    TrialLimited,
    TrialStateChanged,
    TrialWanted,
)
from hippo_core.engine.lookup import find_study, find_trial
from hippo_core.engine.policy_answers import forgive
from hippo_core.engine.proposals import renew_failed
from hippo_core.engine.requests import open_request
from hippo_core.engine.state import Study
from hippo_core.engine.states import ENDED_STUDY_STATES, StudyState, TrialState
from hippo_core.engine.stopping import stop_one, stop_trials
from hippo_core.engine.user_words import RETRIED, STOPPED, STUDY_STOPPED, TAKEN_UP
from hippo_core.errors import Conflict, InvalidStudy
from hippo_core.policies.own import own_code
from hippo_core.policies.policy import round_up
from hippo_core.program import require_int
from hippo_core.space import EndOf
from hippo_core.study import LARGEST_STEP, StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What a submission came to."""

    study: int
    outcome: Literal["created", "unchanged", "extended"]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialExtended:
    """What the extension of a trial came to; not ``extended``: it was there, or on its way, before."""

    extended: bool
    warnings: tuple[str, ...]


def submit(decision: Decision, command: SubmitStudy) -> Submitted:
    """Creates the study, finds the equal one, or extends it."""
    spec = command.spec
    study = decision.state.study_named(command.project, spec.name)
    if study is None:
        return _create(decision, command)
    if not spec.differences(study.spec):
        return Submitted(study=study.id, outcome="unchanged", warnings=spec.warnings)
    if not spec.extends(study.spec):
        difference = "\n".join(spec.differences(study.spec))
        why = ""
        if spec.program.code_digest != study.spec.program.code_digest:
            why = "The trainer's code, or what it imports, has changed. "
        elif own_code(spec.policy) != own_code(study.spec.policy):
            why = "The policy's code, or what it imports, has changed. "
        raise Conflict(
            f"a study named '{spec.name}' exists with other content:\n{difference}\n",
            f"{why}Give the study another name, or delete the earlier one (hippo study delete).",
        )
    _extend(decision, study, spec)
    return Submitted(study=study.id, outcome="extended", warnings=spec.warnings)


def _create(decision: Decision, command: SubmitStudy) -> Submitted:
    spec = command.spec
    number = decision.state.last_study + 1
    decision.emit(
        StudySubmitted(
            study=number,
            project=command.project,
            user=command.user,
            name=spec.name,
            program_key=spec.program.key,
            spec=spec.to_json(),
        )
    )
    study = decision.state.studies[number]
    plan = choose_plan(decision, study)
    decision.emit(StudyPlanned(study=number, plan=plan, bound=False))
    _add_trials(decision, study)
    return Submitted(study=number, outcome="created", warnings=spec.warnings)


def _add_trials(decision: Decision, study: Study) -> None:
    """Creates the trials whose points are known; a sampler that learns is asked for further ones later."""
    for place in range(study.drawn, study.spec.known_trials):
        assignment = study.spec.point(place)
        decision.emit(
            TrialCreated(
                study=study.id,
                trial=len(study.trials),
                assignment=dict(assignment),
                max_steps=study.spec.max_steps_of(assignment),
            )
        )


def _extend(decision: Decision, study: Study, spec: StudySpec) -> None:
    further = spec.max_trials > study.spec.max_trials or spec.max_steps != study.spec.max_steps
    ended = study.state in ENDED_STUDY_STATES
    taken_up = (ended or bool(study.ending)) and (further or _frees(study, spec))
    if taken_up:
        require_none(study, spec)
    decision.emit(StudyChanged(study=study.id, spec=spec.to_json()))
    if further:
        _raise_limits(decision, study)
    if taken_up:
        if study.ending:
            decision.emit(EndingLifted(study=study.id))
        if ended:
            decision.emit(StudyStateChanged(study=study.id, state=StudyState.RUNNING, reason=""))
        for trial in [study.trials[number] for number in sorted(study.trials)]:
            if is_unfinished(trial):
                open_request(decision, study, trial, trial.asked, TAKEN_UP)
    if further:
        _add_trials(decision, study)
    end_if_there(decision, study)


def _frees(study: Study, spec: StudySpec) -> bool:
    """Whether the ending that holds is changed, or is none any more."""
    before = [each for each in study.spec.endings if each.word == study.ending]
    return bool(study.ending) and before != [each for each in spec.endings if each.word == study.ending]


def _raise_limits(decision: Decision, study: Study) -> None:
    """Lets trials be trained as far as their study says by now."""
    spec = study.spec
    for trial in study.trials.values():
        if trial.state in {TrialState.FAILED, TrialState.DIVERGED} or trial.stopped_by_user:
            continue
        limit = trial.limit if isinstance(spec.max_steps, EndOf) else spec.max_steps_of(trial.assignment)
        if limit > trial.limit:
            at_end = trial.reached >= trial.limit
            decision.emit(TrialLimited(study=study.id, trial=trial.number, max_steps=limit))
            if trial.state is TrialState.COMPLETED and at_end:
                reason = f"at step {trial.reached}, may go on to {limit}"
                decision.emit(
                    TrialStateChanged(
                        study=study.id, trial=trial.number, state=TrialState.PAUSED, reason=reason
                    )
                )


def pause(decision: Decision, command: PauseStudy) -> None:
    """Grants no further leases for the study."""
    study = find_study(decision.state, command.project, command.name)
    if study.state is StudyState.PAUSED:
        return
    _expect(study, StudyState.RUNNING, "paused")
    decision.emit(StudyStateChanged(study=study.id, state=StudyState.PAUSED, reason="paused by a user"))


def resume(decision: Decision, command: ResumeStudy) -> None:
    """Takes a paused study up again."""
    study = find_study(decision.state, command.project, command.name)
    renew_failed(decision, study)
    forgive(decision, study)
    if study.state is StudyState.RUNNING:
        return
    _expect(study, StudyState.PAUSED, "resumed")
    decision.emit(StudyStateChanged(study=study.id, state=StudyState.RUNNING, reason=""))
    for trial in study.open:
        decision.state.touched_requests[study.id, trial] = None
    end_if_there(decision, study)


def stop(decision: Decision, command: StopStudy) -> None:
    """Ends the study and its open trials."""
    study = find_study(decision.state, command.project, command.name)
    if study.state in ENDED_STUDY_STATES:
        return
    decision.emit(StudyStateChanged(study=study.id, state=StudyState.STOPPED, reason=STOPPED))
    stop_trials(decision, study, STUDY_STOPPED)


def extend(decision: Decision, command: ExtendStudy) -> None:
    """Raises max_trials or max_steps, or changes endings or the priority."""
    study = find_study(decision.state, command.project, command.name)
    spec = study.spec
    _raised("max_trials", command.max_trials, spec.max_trials)
    if command.max_steps is not None and isinstance(spec.max_steps, EndOf):
        raise InvalidStudy(
            "max_steps", "the study's max_steps is the end of a schedule", "It cannot be raised."
        )
    if isinstance(spec.max_steps, int):
        _raised("max_steps", command.max_steps, spec.max_steps)
    changed = spec.extended(
        max_trials=command.max_trials,
        max_steps=command.max_steps,
        priority=command.priority,
        endings=command.endings,
    )
    if changed.differences(spec):
        _extend(decision, study, changed)


def _raised(field: str, value: int | None, before: int) -> None:
    if value is not None and value < before:
        raise InvalidStudy(field, f"{value} is less than {before}", "It can only be raised.")


def retry(decision: Decision, command: RetryTrials) -> int:
    """Opens failed trials again; returns how many."""
    study = find_study(decision.state, command.project, command.name)
    if command.trial is None:
        trials = [study.trials[number] for number in sorted(study.trials)]
    else:
        trials = [find_trial(study, command.trial)]
    failed = [trial for trial in trials if trial.state is TrialState.FAILED]
    if command.trial is not None and not failed:
        raise Conflict(
            f"trial {command.trial} is {trials[0].state.value}.", "Only failed trials can be retried."
        )
    if not failed:
        return 0
    if study.state in ENDED_STUDY_STATES:
        decision.emit(StudyStateChanged(study=study.id, state=StudyState.RUNNING, reason=""))
    for trial in failed:
        if trial.by_user:
            open_request(decision, study, trial, trial.wanted, RETRIED, by_user=True)
        else:
            decision.emit(TrialLimited(study=study.id, trial=trial.number, max_steps=trial.max_steps))
            open_request(decision, study, trial, trial.asked, RETRIED)
        assert trial.node is not None
        for node in trial.node.path():
            if node.failures is not None:
                decision.emit(FailuresForgotten(node=node.id))
    return len(failed)


def stop_trial(decision: Decision, command: StopTrial) -> bool:
    """Ends one trial; tells whether it had not ended."""
    study = find_study(decision.state, command.project, command.name)
    return stop_one(decision, study, find_trial(study, command.trial), STOPPED)


def extend_trial(decision: Decision, command: ExtendTrial) -> TrialExtended:
    """Lets one trial be trained further, once its policy's request is done."""
    study = find_study(decision.state, command.project, command.name)
    trial = find_trial(study, command.trial)
    every = study.spec.program.evaluate_every
    to = round_up(require_int(command.to, "to", 1), every)
    if to > LARGEST_STEP:
        raise InvalidStudy("to", f"must be at most {LARGEST_STEP}, not {command.to}")
    if to < trial.reached:
        raise InvalidStudy(
            "to",
            f"{to} is below step {trial.reached}, which trial {trial.number} has reached",
            "It is absolute.",
        )
    if trial.state is TrialState.DIVERGED:
        raise Conflict(f"trial {trial.number} has diverged: {trial.reason}.", "It cannot be trained further.")
    if trial.state is TrialState.FAILED:
        remedy = f"Try it again first (hippo trial retry {study.name} {trial.number})."
        raise Conflict(f"trial {trial.number} has failed: {trial.reason}.", remedy)
    unfit = trial.sequence.first_not_finite(to)
    if unfit is not None:
        step, name = unfit
        value = trial.sequence.values(step)[name]
        raise InvalidStudy("to", f"{name} is {value} at step {step}, and must be finite", "Extend less far.")
    rounded = f"to={command.to} is rounded up to {to}, for evaluate_every={every}"
    warnings = (rounded,) if to != command.to else ()
    if to <= max(trial.reached, trial.wanted):
        return TrialExtended(extended=False, warnings=warnings)
    decision.emit(TrialWanted(study=study.id, trial=trial.number, step=to))
    if study.state in ENDED_STUDY_STATES:
        decision.emit(StudyStateChanged(study=study.id, state=StudyState.RUNNING, reason=""))
    return TrialExtended(extended=True, warnings=warnings)


def delete(decision: Decision, command: DeleteStudy) -> int:
    """Forgets a study, and with the last one of a plan what was trained; returns how many trials went."""
    study = find_study(decision.state, command.project, command.name)
    if study.state is StudyState.RUNNING:
        raise Conflict(f"study '{study.name}' is running.", "Stop or pause it first (hippo study stop).")
    count = len(study.trials)
    plan = decision.state.plans[study.plan]
    decision.emit(StudyDeleted(study=study.id))
    if not plan.studies:
        clear_plan(decision, plan)
    return count


def _expect(study: Study, state: StudyState, verb: str) -> None:
    if study.state is not state:
        raise Conflict(
            f"study '{study.name}' is {study.state.value} and cannot be {verb}.",
            "A larger max_trials or max_steps takes an ended study up again (hippo study show).",
        )
