"""Changes of studies while they live: extended by a user, or edited.

What has been drawn and trained stays. New trials are drawn from the space as it is now. Where the policy is another,
or has other arguments, it decides as if it had been there from the start: it asks for what it would have asked for,
what is trained of that is there at once, and the rest is trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hippo_core.choosing import choose
from hippo_core.differences import difference_lines
from hippo_core.domains import HORIZON
from hippo_core.engine.commands import EditStudy, ExtendStudy
from hippo_core.engine.creation import create_further_horizons
from hippo_core.engine.decision import Decision
from hippo_core.engine.endings import end_if_there, is_unfinished, require_none
from hippo_core.engine.environments import known_slots
from hippo_core.engine.evaluations import ended_for_policy, progress
from hippo_core.engine.events import (
    EndingLifted,
    StudyChanged,
    StudyStateChanged,
    TrialLimited,
    TrialStateChanged,
)
from hippo_core.engine.growing import create_known, require_created
from hippo_core.engine.lookup import find_study
from hippo_core.engine.points import continued, drawn_otherwise, further_points, tried_points
from hippo_core.engine.proposals import renew
from hippo_core.engine.quotas import require_room
from hippo_core.engine.requests import close_request, open_request
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import (
    ENDED_STUDY_STATES,
    ENDED_TRIAL_STATES,
    RequestState,
    StudyState,
    TrialState,
)
from hippo_core.engine.stopping import end_as_decided
from hippo_core.engine.study import Study
from hippo_core.engine.user_words import POLICY_EDITED, TAKEN_UP
from hippo_core.errors import Conflict, InvalidStudy
from hippo_core.policies import ExploringPolicy
from hippo_core.policies.own import OwnSpec
from hippo_core.program import canonical_json
from hippo_core.repeats import trial_of
from hippo_core.space import Assignment, EndOf
from hippo_core.study import StudySpec
from hippo_core.study_changes import differences, extended
from hippo_core.trial_schedules import hyperparameters_of
from hippo_core.values import Kind

#: How many lines tell what a change has changed.
MOST_LINES = 50

#: Where a trial may be when another policy takes it up.
RELEASED = frozenset({TrialState.WAITING, TrialState.COMPLETED, TrialState.STOPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What an edit comes to: lines for people; none: it changes nothing."""

    differences: tuple[str, ...]
    warnings: tuple[str, ...]


def extend(decision: Decision, command: ExtendStudy) -> None:
    """Raises max_trials or max_steps, adds horizons, or changes endings or the priority."""
    study = find_study(decision.state, command.project, command.name)
    spec = study.spec
    _raised("max_trials", command.max_trials, spec.max_trials)
    if command.max_steps is not None and isinstance(spec.max_steps, EndOf):
        raise InvalidStudy(
            "max_steps", "the study's max_steps is the end of a schedule", "It cannot be raised."
        )
    if isinstance(spec.max_steps, int):
        _raised("max_steps", command.max_steps, spec.max_steps)
    changed = extended(
        spec,
        max_trials=command.max_trials,
        max_steps=command.max_steps,
        priority=command.priority,
        endings=command.endings,
        horizons=command.horizons,
    )
    if differences(changed, spec):
        change(decision, study, changed)


def _raised(field: str, value: int | None, before: int) -> None:
    if value is not None and value < before:
        raise InvalidStudy(field, f"{value} is less than {before}", "It can only be raised.")


def edit(decision: Decision, command: EditStudy) -> Edited:
    """Changes a study to another specification of the same program."""
    study, spec = _wanted(decision.state, command)
    found = _edited(study, spec)
    if found.differences:
        change(decision, study, spec)
    return found


def preview(state: EngineState, command: EditStudy) -> Edited:
    """What an edit would come to. Raises as it would."""
    study, spec = _wanted(state, command)
    further_points(study, spec)
    return _edited(study, spec)


def _wanted(state: EngineState, command: EditStudy) -> tuple[Study, StudySpec]:
    study = find_study(state, command.project, command.name)
    if command.changes is not None and command.changes != study.changes:
        raise Conflict(
            f"study '{study.name}' was changed by somebody else meanwhile.", "Look at it, and edit it again."
        )
    spec = choose(command.spec, known_slots(state, command.spec.program.resources), study.spec)
    _check(study, spec)
    spec = continued(study, spec)
    _check_exploring(study, spec)
    is_grid = spec.sampler.enumerates and drawn_otherwise(spec, study.spec)
    _raised("max_trials", spec.max_trials, study.drawn if is_grid else study.spec.max_trials)
    return study, spec


def _check_exploring(study: Study, spec: StudySpec) -> None:
    """Refuses another space to a policy that changes the draws of trials: these must all be of one space."""
    if not isinstance(spec.build_policy(), ExploringPolicy):
        return
    spaces = {id(trial.space): trial.space for trial in study.trials.values()}
    if any(space != spec.space for space in spaces.values()):
        raise InvalidStudy(
            "space",
            f"is not that of all trials, and the policy {spec.policy.name} goes on from what trials have drawn",
            "Edit the space back, or use another policy.",
        )


def _edited(study: Study, spec: StudySpec) -> Edited:
    differences = _lines(spec, study.spec)
    warnings = spec.warnings if differences else ()
    if study.state is StudyState.STOPPED and _takes_up(study, spec, bool(further_points(study, spec).count)):
        warnings = (*warnings, "the study was stopped, and this edit starts it again")
    if drawn_otherwise(spec, study.spec) and spec.max_trials <= study.drawn:
        warnings = (
            *warnings,
            f"all {study.drawn} trials are drawn already; a larger max_trials has further ones drawn from what is "
            "edited",
        )
    return Edited(differences=differences, warnings=warnings)


def _lines(spec: StudySpec, before: StudySpec) -> tuple[str, ...]:
    return tuple(differences(spec, before, MOST_LINES))


def _check(study: Study, spec: StudySpec) -> None:
    """Refuses what no edit can change.

    Raises:
        InvalidStudy: A kind is another, a limit is lower, a point is to be tried first too late.
        Conflict: It is another search, or of another program.
    """
    before = study.spec
    if spec.name != before.name:
        raise InvalidStudy(
            "name",
            f"is '{spec.name}', but the study to edit is '{before.name}'",
            f"Write name=\"{before.name}\", or edit '{spec.name}'.",
        )
    _check_kinds(before, spec)
    _check_pair(before, spec)
    if not set(spec.lengths).issuperset(before.lengths) or bool(spec.horizons) != bool(before.horizons):
        raise InvalidStudy(
            "horizons",
            f"are {list(spec.lengths)}, and the study's are {list(before.lengths)}: they can only be added to",
            "Submit it as another study, under another name; what is equal is shared.",
        )
    if spec.repeats != before.repeats:
        raise InvalidStudy(
            "repeats",
            f"is {spec.repeats}, and the study's is {before.repeats}",
            "Submit it as another study, under another name; what is equal is shared.",
        )
    for what, old, new in (
        ("what is trained", before.program.to_json(), spec.program.to_json()),
        (
            "what is optimised",
            {"objectives": [each.to_json() for each in before.objectives]},
            {"objectives": [each.to_json() for each in spec.objectives]},
        ),
        (
            "what is feasible",
            {"constraints": [each.expression for each in before.constraints]},
            {"constraints": [each.expression for each in spec.constraints]},
        ),
    ):
        lines = difference_lines(old, new)
        if lines:
            raise Conflict(
                f"an edit cannot change {what}:\n" + "\n".join(lines) + "\n",
                "Submit it as another study, under another name; what is equal is shared.",
            )
    if isinstance(spec.max_steps, int) and isinstance(before.max_steps, int):
        _raised("max_steps", spec.max_steps, before.max_steps)
    require_created(study, spec)
    _check_initial(study, spec)


def _check_initial(study: Study, spec: StudySpec) -> None:
    """Refuses points to try first that are no trials: an edit makes none of them."""
    before = study.spec
    first = [_hyperparameters(before, point, before) for point in before.initial]
    further = [
        point
        for point in (_hyperparameters(spec, each, before) for each in spec.initial)
        if point not in first
    ]
    if not further:
        return
    tried = tried_points(study)
    if any(canonical_json(point) not in tried for point in further):
        raise InvalidStudy(
            "initial",
            "has a point that it had not when the study was submitted, and that is no trial",
            f"Leave it out; `hippo study enqueue {before.name}` tries a point at any time.",
        )


def _hyperparameters(spec: StudySpec, point: Assignment, before: StudySpec) -> dict[str, Any]:
    """Those at a point, of the longest trial that it has in the study that is there."""
    horizon = {HORIZON: before.lengths[-1]} if before.horizons else {}
    return hyperparameters_of(spec.space, {**point, **horizon})


def _check_pair(before: StudySpec, spec: StudySpec) -> None:
    """Refuses what a policy cannot follow: one of a user's own, or one whose sampler gives each trial a step."""
    if spec.policy != before.policy and any(isinstance(each.policy, OwnSpec) for each in (before, spec)):
        raise InvalidStudy(
            "policy",
            "a policy of your own cannot be edited, nor come or go: it has been told what it has decided on",
            "Submit the study under another name: it shares what was trained.",
        )
    if spec.sampler != before.sampler and (spec.sampler.outside or before.sampler.outside):
        raise InvalidStudy(
            "sampler",
            "whether points come from outside is fixed when a study is submitted",
            "Submit the study under another name: it shares what was trained.",
        )
    tied = next((each.policy.name for each in (before, spec) if not each.policy.raisable), None)
    differs = spec.policy != before.policy or spec.max_steps != before.max_steps
    if tied is not None and (differs or drawn_otherwise(spec, before)):
        raise InvalidStudy(
            "policy",
            f"{tied} and its points come together: neither they nor the space or max_steps can be edited",
            "Submit the study under another name: it shares what was trained.",
        )


def _check_kinds(before: StudySpec, spec: StudySpec) -> None:
    ours, theirs = before.space.kinds, spec.space.kinds
    for name in sorted({*ours, *theirs}):
        if name not in theirs or name not in ours:
            word = "is missing" if name in ours else "is new"
            raise InvalidStudy(
                f"space[{name!r}]",
                f"{word}, but the names of hyper-parameters are fixed when a study is submitted",
                "Give a plain value to what is not to vary any more, or submit another study.",
            )
        if ours[name] is not theirs[name]:
            written = " (space.choice([...], type=float))" if ours[name] is Kind.FLOAT else ""
            raise InvalidStudy(
                f"space[{name!r}]",
                f"is of kind {theirs[name].value}, and the program's is {ours[name].value}",
                f"Kinds are fixed when a study is submitted: give it values of that kind{written}, or submit another "
                "study.",
            )


def change(decision: Decision, study: Study, spec: StudySpec) -> None:
    """Gives a study another specification, and begins what follows from it.

    Raises:
        InvalidStudy: Its grid has too few points.
        Conflict: It would end at once, or is still being created.
    """
    require_created(study, spec)
    before, points = study.spec, further_points(study, spec)
    coming = study.uncreated  # for which there is room
    more = points.count > coming
    another_policy = spec.policy != before.policy
    further = _goes_further(study, spec, more)
    ended = study.state in ENDED_STUDY_STATES
    taken_up = _takes_up(study, spec, more)
    if taken_up:
        require_none(study, spec)
    require_room(
        decision.state,
        study.project,
        study.user,
        studies=int(ended and taken_up),
        trials=max(0, points.count - coming) * spec.trials_of_a_point,
        priority=spec.priority if spec.priority != before.priority else None,
    )
    if another_policy:
        _release_trials(decision, study)
    decision.emit(StudyChanged(study=study.id, spec=spec.to_json(), differences=_lines(spec, before)))
    if drawn_otherwise(before, spec):
        renew(decision, study)
    if further and not spec.horizons:
        _raise_limits(decision, study)
    if taken_up:
        if study.ending:
            decision.emit(EndingLifted(study=study.id))
        if ended:
            decision.emit(StudyStateChanged(study=study.id, state=StudyState.RUNNING, reason=""))
        for trial in list(study.branches()):
            if is_unfinished(study, trial):
                open_request(decision, study, trial, trial.asked, TAKEN_UP)
    create_further_horizons(decision, study, before)
    create_known(decision, study, points)
    decision.volatile.reopened[study.id] = None
    end_if_there(decision, study)


def _goes_further(study: Study, spec: StudySpec, points: bool) -> bool:
    """Whether there is more to train: trials, known points that are new among them, or steps."""
    before = study.spec
    longer = spec.max_steps != before.max_steps or spec.lengths != before.lengths
    return spec.max_trials > before.max_trials or longer or points


def _takes_up(study: Study, spec: StudySpec, points: bool) -> bool:
    """Whether a study that has ended, or that one of its endings has at rest, goes on with another specification."""
    rests = study.state in ENDED_STUDY_STATES or bool(study.ending)
    another_policy = spec.policy != study.spec.policy
    another_space = bool(study.exhausted) and drawn_otherwise(spec, study.spec)
    further = _goes_further(study, spec, points) or another_space
    return rests and (further or another_policy or _frees(study, spec))


def _frees(study: Study, spec: StudySpec) -> bool:
    """Whether the ending that holds is changed, or is none any more."""
    before = [each for each in study.spec.endings if each.word == study.ending]
    return bool(study.ending) and before != [each for each in spec.endings if each.word == study.ending]


def _release_trials(decision: Decision, study: Study) -> None:
    """Takes all trials from the policy, to be given to another one: what it has asked for is cancelled."""
    ended = ended_for_policy(study)
    for probe in study.probes.values():
        if probe.state not in ENDED_TRIAL_STATES:
            end_as_decided(decision, study, probe, TrialState.STOPPED, POLICY_EDITED, progress(probe))
    for trial in list(study.all_members()):
        number = trial.number
        if trial.target is not None and not trial.by_user:
            close_request(decision, study, trial, RequestState.CANCELLED, progress(trial))
        if trial_of(number) not in ended and trial.target is None and trial.state in RELEASED:
            decision.emit(
                TrialStateChanged(study=study.id, trial=number, state=TrialState.PAUSED, reason=POLICY_EDITED)
            )


def _raise_limits(decision: Decision, study: Study) -> None:
    """Lets trials be trained as far as the specification says."""
    spec = study.spec
    for trial in study.all_members():
        first = study.trials[trial_of(trial.number)]
        if trial.state in {TrialState.FAILED, TrialState.DIVERGED} or first.stopped_by_user:
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
