"""Commands of users: submit, pause, resume, stop, retry, delete; stop and extend one trial."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from hippo_core.choosing import choose
from hippo_core.engine.accounts import open_accounts
from hippo_core.engine.budget import Room
from hippo_core.engine.changes import change
from hippo_core.engine.commands import (
    DeleteStudy,
    ExtendTrial,
    PauseStudy,
    ResumeStudy,
    RetryTrials,
    StopStudy,
    StopTrial,
    SubmitStudy,
)
from hippo_core.engine.decision import Decision
from hippo_core.engine.endings import end_if_there
from hippo_core.engine.environments import choose_plan, clear_plan, known_slots
from hippo_core.engine.events import (
    FailuresForgotten,
    StudyDeleted,
    StudyPlanned,
    StudyStateChanged,
    StudySubmitted,
    TrialLimited,
    TrialWanted,
)
from hippo_core.engine.growing import create_known, create_no_more
from hippo_core.engine.lookup import find_study, find_trial
from hippo_core.engine.points import continued, drawn_otherwise, further_points
from hippo_core.engine.policy_answers import forgive
from hippo_core.engine.proposals import renew_failed
from hippo_core.engine.quotas import require_room, require_room_in, require_seconds, trials_of
from hippo_core.engine.requests import open_request
from hippo_core.engine.states import ENDED_STUDY_STATES, StudyState, TrialState
from hippo_core.engine.stopping import stop_one, stop_trials
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.engine.user_words import PAUSED, RETRIED, STOPPED, STUDY_STOPPED
from hippo_core.errors import Conflict, InvalidStudy
from hippo_core.policies import ExploringPolicy
from hippo_core.policies.own import own_code
from hippo_core.policies.policy import round_up
from hippo_core.program import require_int
from hippo_core.study import StudySpec
from hippo_core.study_changes import differences, extends
from hippo_core.study_checks import LARGEST_STEP


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialsRetried:
    """How many failed trials were opened again, and which were not, in words."""

    count: int
    warnings: tuple[str, ...]


def submit(decision: Decision, command: SubmitStudy) -> Submitted:
    """Creates the study, finds the equal one, or extends it.

    What the study once was is the same study: it is found as it has been changed since.
    """
    spec = command.spec
    study = decision.state.study_named(command.project, spec.name)
    slots = known_slots(decision.state, spec.program.resources)
    if study is None:
        return _create(decision, replace(command, spec=choose(spec, slots)))
    spec = as_found = choose(spec, slots, study.spec)
    if study.spec.earlier and not drawn_otherwise(spec, study.spec):
        spec = continued(study, spec)
    if not differences(spec, study.spec):
        return Submitted(study=study.id, outcome="unchanged", warnings=spec.warnings)
    if any(not differences(choose(command.spec, slots, former), former) for former in study.former):
        warnings = (*study.spec.warnings, _changed_since(study, as_found))
        return Submitted(study=study.id, outcome="unchanged", warnings=warnings)
    if not extends(spec, study.spec):
        difference = "\n".join(differences(spec, study.spec))
        why = ""
        if spec.program.code_digest != study.spec.program.code_digest:
            why = "The trainer's code, or what it imports, has changed. "
        elif own_code(spec.policy) != own_code(study.spec.policy):
            why = "The policy's code, or what it imports, has changed. "
        raise Conflict(
            f"a study named '{spec.name}' exists with other content:\n{difference}\n",
            f"{why}{_remedy(spec, study.spec)}",
        )
    gone = [each.word for each in study.spec.endings if spec.ending(type(each)) is None]
    change(decision, study, spec)
    taken_away = tuple(f"the study had an ending {word}, which is taken away" for word in gone)
    return Submitted(study=study.id, outcome="extended", warnings=(*spec.warnings, *taken_away))


def _changed_since(study: Study, spec: StudySpec) -> str:
    """That a study is no more what it was when it was such a specification."""
    changes = "; ".join(differences(study.spec, spec))
    return (
        f"the study was changed since it was as submitted here, and stays so ({changes}); "
        f"to change it back: hippo study edit {study.name} STUDY.py"
    )


def _remedy(spec: StudySpec, before: StudySpec) -> str:
    """What to do where a study of that name has other content."""
    another = "Give the study another name, or delete the earlier one (hippo study delete)."
    own = spec.policy != before.policy and (own_code(spec.policy) or own_code(before.policy))
    another_search = spec.objectives != before.objectives or spec.constraints != before.constraints
    if spec.program != before.program or another_search or own:
        return another
    return f"To change the study that is there: hippo study edit {before.name} STUDY.py. Otherwise: {another.lower()}"


def _create(decision: Decision, command: SubmitStudy) -> Submitted:
    spec = replace(command.spec, earlier=0) if command.spec.earlier else command.spec
    number = decision.state.last_study + 1
    require_room(
        decision.state,
        command.project,
        command.user,
        studies=1,
        trials=trials_of(spec),
        priority=spec.priority,
    )
    open_accounts(decision, command.project, command.user)
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
    create_known(decision, study, further_points(study, spec))
    return Submitted(study=number, outcome="created", warnings=spec.warnings)


def pause(decision: Decision, command: PauseStudy) -> None:
    """Grants no further leases for the study."""
    study = find_study(decision.state, command.project, command.name)
    if study.state is StudyState.PAUSED:
        return
    _expect(study, StudyState.RUNNING, "paused")
    decision.emit(StudyStateChanged(study=study.id, state=StudyState.PAUSED, reason=PAUSED))


def resume(decision: Decision, command: ResumeStudy) -> None:
    """Takes a paused study up again."""
    study = find_study(decision.state, command.project, command.name)
    require_seconds(decision.state, study.project, study.user)
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
    decision.keeps = True
    create_no_more(decision, study)
    decision.emit(StudyStateChanged(study=study.id, state=StudyState.STOPPED, reason=STOPPED))
    stop_trials(decision, study, STUDY_STOPPED)


def retry(decision: Decision, command: RetryTrials) -> TrialsRetried:
    """Opens failed trials again, but for those whose place in a population a fork has taken."""
    study = find_study(decision.state, command.project, command.name)
    if command.trial is None:
        trials = [study.trials[number] for number in sorted(study.trials)]
    else:
        trials = [find_trial(study, command.trial)]
        if trials[0].state is not TrialState.FAILED:
            raise Conflict(
                f"trial {command.trial} is {trials[0].state.value}.", "Only failed trials can be retried."
            )
        _require_place(study, trials[0])
    failed = [trial for trial in trials if trial.state is TrialState.FAILED]
    replaced = _replaced(study)
    left_out = sum(trial.number in replaced for trial in failed)
    failed = [trial for trial in failed if trial.number not in replaced]
    again = [
        each for trial in failed for each in study.members(trial.number) if each.state is TrialState.FAILED
    ]
    were = "trial was replaced by a fork and is" if left_out == 1 else "trials were replaced by forks and are"
    warnings = (f"{left_out} failed {were} not retried",) if left_out else ()
    if not failed:
        return TrialsRetried(count=0, warnings=warnings)
    require_room_in(decision.state, study, trials=len(again))
    if study.state in ENDED_STUDY_STATES:
        decision.emit(StudyStateChanged(study=study.id, state=StudyState.RUNNING, reason=""))
    for trial in again:
        if trial.by_user:
            open_request(decision, study, trial, trial.wanted, RETRIED, by_user=True)
        else:
            decision.emit(TrialLimited(study=study.id, trial=trial.number, max_steps=trial.max_steps))
            if trial.asked:  # else another policy has come since, which asks for what it wants
                open_request(decision, study, trial, trial.asked, RETRIED)
        assert trial.node is not None
        for node in trial.node.path():
            if node.failures is not None:
                decision.emit(FailuresForgotten(node=node.id))
    decision.volatile.reopened[study.id] = None
    return TrialsRetried(count=len(failed), warnings=warnings)


def _replaced(study: Study) -> dict[int, int]:
    """By trial whose place in the population a fork has: the fork; none where the policy is of another kind."""
    if not isinstance(study.spec.build_policy(), ExploringPolicy):
        return {}
    forks = ((trial.fork or {}, trial.number) for trial in study.trials.values())
    return {fork["instead_of"]: number for fork, number in forks if "instead_of" in fork}


def _require_place(study: Study, trial: Trial) -> None:
    """Makes sure that no fork has replaced a failed trial.

    Raises:
        Conflict: One has.
    """
    fork = _replaced(study).get(trial.number)
    if fork is not None:
        raise Conflict(
            f"trial {trial.number} has failed and was replaced by trial {fork}.",
            "A trial without a place in the population is not tried again.",
        )


def stop_trial(decision: Decision, command: StopTrial) -> bool:
    """Ends one trial; tells whether it had not ended."""
    study = find_study(decision.state, command.project, command.name)
    decision.keeps = True
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
        _require_place(study, trial)
        remedy = f"Try it again first (hippo trial retry {study.name} {trial.number})."
        raise Conflict(f"trial {trial.number} has failed: {trial.reason}.", remedy)
    unfit = trial.sequence.first_not_finite(to)
    if unfit is not None:
        step, name = unfit
        value = trial.sequence.values(step)[name]
        raise InvalidStudy("to", f"{name} is {value} at step {step}, and must be finite", "Extend less far.")
    rounded = f"to={command.to} is rounded up to {to}, for evaluate_every={every}"
    warnings = (rounded,) if to != command.to else ()
    short = [each for each in study.members(trial.number) if to > max(each.reached, each.wanted)]
    if not short:
        return TrialExtended(extended=False, warnings=warnings)
    room = Room.of(decision, study) if study.ending or study.state in ENDED_STUDY_STATES else None
    if room is not None and not room.admits(study.members(trial.number), to):
        remedy = (
            f"Raise endings.max_trained_steps first (hippo study extend {study.name} --max-trained-steps)."
        )
        raise Conflict(f"{room.short}.", remedy)
    require_room_in(decision.state, study)
    for each in short:
        decision.emit(TrialWanted(study=study.id, trial=each.number, step=to))
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
