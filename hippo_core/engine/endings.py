"""Endings of studies: whether one holds, and what follows from it.

Time, slot hours, plateaus and terminators are looked at when a study settles. A target is looked at when something was
evaluated, before that closes a request, so that the trial that reached it stands where it did. A budget of steps is
looked at as requests are opened: it ends the study once nothing is open and what follows does not fit.

What follows: nothing further is asked of the study's policy or sampler. Trials that are open or rest are stopped; the
one that reached the target is completed where it stands, and so is the best at the deepest step where no trial has
come to its end. The ending holds until it is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hippo_core.endings import Ending, MaxSlotHours, MaxTrainedSteps, Plateau, Target, Terminator, Timeout
from hippo_core.engine.best import best_so_far, evaluated
from hippo_core.engine.budget import overcommitted, used_in_words, used_steps
from hippo_core.engine.decision import Decision
from hippo_core.engine.evaluations import point_values, progress
from hippo_core.engine.events import EndingHeld, StudyStateChanged
from hippo_core.engine.growing import create_no_more
from hippo_core.engine.requests import close_request, objective_value, through
from hippo_core.engine.stagnation import Stagnation, stagnation
from hippo_core.engine.states import RequestState, StudyState, TrialState
from hippo_core.engine.stopping import change, stop_trials
from hippo_core.engine.study import Study
from hippo_core.engine.terminators import judgement_of
from hippo_core.engine.trial import Trial
from hippo_core.engine.user_words import ENDED, STUDY_STOPPED
from hippo_core.errors import Conflict
from hippo_core.plan import Node
from hippo_core.policies import Values
from hippo_core.policies.policy import Worth, shown
from hippo_core.repeats import trial_of
from hippo_core.study import StudySpec

SECONDS_PER_HOUR = 3600.0
#: Sums of seconds are not exact: what is left of a timeout is nothing below this.
SLACK_SECONDS = 1e-3


@dataclass(frozen=True, slots=True)
class Held:
    """An ending that holds, and why."""

    ending: Ending
    reason: str


def end_if_held(decision: Decision, study: Study) -> bool:
    """Ends a running study if an ending holds, its target apart; tells whether it did."""
    held = _first(study, study.spec, look=False) or _overcommitted(decision, study)
    if held is None:
        return False
    _end(decision, study, held, None, 0)
    return True


def end_for_lack_of_room(decision: Decision, study: Study) -> None:
    """Ends a study of which nothing is open, as what follows does not fit into its budget of steps."""
    budget = study.spec.ending(MaxTrainedSteps)
    assert budget is not None
    _end(decision, study, Held(budget, study.short), None, 0)


def end_if_reached(decision: Decision, node: Node, step: int) -> None:
    """Ends the studies whose target a fresh evaluation reaches."""
    for number in sorted(decision.state.plans[node.plan].studies):
        study = decision.state.studies[number]
        if not _runs(study) or study.spec.ending(Target) is None:
            continue
        for trial in through(study, node, step):
            if trial.probe:
                continue
            first = study.trials[trial_of(trial.number)]
            if _reaches(study, _values_at(study, first, step)):
                _end_at(decision, study, first, step)
                break


def end_on_the_way(decision: Decision, study: Study, trial: Trial) -> bool:
    """Ends a running study if what is known of an open trial's path reaches the target; tells whether it did."""
    if not study.spec.endings or not _runs(study) or trial.probe:
        return False
    first = study.trials[trial_of(trial.number)]
    step = next(_reaching_steps(study, first), None)
    if step is None:
        return False
    _end_at(decision, study, first, step)
    return True


def end_if_there(decision: Decision, study: Study) -> None:
    """Ends a running study if a trial of it has reached the target already, though nobody looked then."""
    found = _best_reaching(study, study.spec) if _runs(study) else None
    if found is not None:
        _end_at(decision, study, *found)


def require_none(study: Study, spec: StudySpec) -> None:
    """Makes sure that no ending of a specification holds, so that an ended study can be taken up again.

    Raises:
        Conflict: One does.
    """
    held = _first(study, spec, look=True)
    if held is not None:
        remedy = f"Raise or change endings.{held.ending.word} too, and submit the study again."
        raise Conflict(f"study '{study.name}' would end at once: {held.reason}.", remedy)


def require_search(study: Study) -> None:
    """Makes sure that a study's policy and sampler are still asked.

    Raises:
        Conflict: An ending holds.
    """
    if study.ending:
        remedy = f"Raise or change endings.{study.ending} first, and submit the study again."
        raise Conflict(f"study '{study.name}' has ended: {study.ending_reason}.", remedy)


def complete_again(decision: Decision, study: Study) -> None:
    """Ends a study once more, after what users asked of its trials."""
    stop_trials(decision, study, f"{ENDED}{study.ending_reason}")
    _complete(decision, study)


def is_unfinished(study: Study, trial: Trial) -> bool:
    """Whether a trial is at rest since its study ended, though its policy has asked for more of it."""
    with_study = trial.reason == STUDY_STOPPED or trial.reason.startswith(ENDED)
    cut_off = trial.state is TrialState.COMPLETED or (trial.state is TrialState.STOPPED and with_study)
    stopped_by_user = study.trials[trial_of(trial.number)].stopped_by_user
    return cut_off and trial.asked > trial.reached and not stopped_by_user


def standing(study: Study, ran_seconds: float) -> tuple[str, ...]:
    """How far each ending has come, in words and numbers, where the study has been running for so long."""
    return tuple(
        study.ending_reason if ending.word == study.ending else _standing(study, ending, ran_seconds)
        for ending in study.spec.endings
    )


# Whether one holds


def _first(study: Study, spec: StudySpec, *, look: bool) -> Held | None:
    """The first ending of a specification that holds; ``look``: also at its target."""
    for ending in spec.endings:
        reason = _reason(study, spec, ending) if look or not isinstance(ending, Target) else ""
        if reason:
            return Held(ending, reason)
    return None


def _reason(study: Study, spec: StudySpec, ending: Ending) -> str:
    """Why an ending holds; empty: it does not."""
    match ending:
        case Timeout():
            holds = study.ran_seconds + SLACK_SECONDS >= ending.seconds
            return _ran(study.ran_seconds, ending) if holds else ""
        case MaxSlotHours():
            return _used(study, ending) if study.seconds >= ending.hours * SECONDS_PER_HOUR else ""
        case MaxTrainedSteps():
            return _spent(study, ending)
        case Target():
            found = _best_reaching(study, spec)
            return "" if found is None else _reached(study, ending, *found)
        case Plateau():
            found_so_far = stagnation(study, spec, ending.min_change)
            holds = found_so_far is not None and found_so_far.trials >= ending.patience
            return _plateau(study, ending, found_so_far) if holds else ""
        case Terminator():
            return (
                judged.reason if (judged := judgement_of(study, ending)) is not None and judged.ends else ""
            )
        case _:
            raise TypeError(f"{ending!r} is no ending")


def _spent(study: Study, budget: MaxTrainedSteps) -> str:
    """Why a budget of steps is spent, where it ended the study and is no larger since; empty: it is not."""
    as_before = study.ending == budget.word and study.spec.ending(MaxTrainedSteps) == budget
    if as_before:
        return study.ending_reason
    ended = study.ending or study.state is not StudyState.RUNNING
    return used_in_words(study, budget) if ended and used_steps(study) >= budget.steps else ""


def _overcommitted(decision: Decision, study: Study) -> Held | None:
    """A budget of steps that what is open exceeds, since it was lowered or the study was moved."""
    budget = study.spec.ending(MaxTrainedSteps)
    if budget is None or study.id not in decision.volatile.reopened:
        return None
    del decision.volatile.reopened[study.id]
    reason = overcommitted(decision.state, study, budget)
    return Held(budget, reason) if reason else None


def _runs(study: Study) -> bool:
    return study.state is StudyState.RUNNING and not study.ending


def _reaches(study: Study, values: Values | None, spec: StudySpec | None = None) -> bool:
    spec = spec or study.spec
    target = spec.ending(Target)
    if target is None or values is None:
        return False
    infeasible_by, cost = spec.worth(values)
    return not infeasible_by and cost <= (-target.value if spec.objectives[0].maximize else target.value)


def _reaching_steps(study: Study, trial: Trial, spec: StudySpec | None = None) -> Iterator[int]:
    """The evaluated steps of an open trial, beyond what it had reached before, that reach the target."""
    members = study.members(trial.number)
    if (spec or study.spec).ending(Target) is None or all(each.target is None for each in members):
        return
    every = study.spec.program.evaluate_every
    upto = min(
        progress(each) if each.target is None else min(progress(each), each.target) for each in members
    )
    reached = min(each.reached for each in members)
    for step in range((reached // every + 1) * every, upto + 1, every):
        if _reaches(study, _values_at(study, trial, step), spec):
            yield step


def _values_at(study: Study, trial: Trial, step: int) -> Values | None:
    """What is compared at a state of a trial's path, over repeats by the means; None: not known, or not finite."""
    return (
        None if step < 1 else point_values(study, [each.leaf for each in study.members(trial.number)], step)
    )


def _best_reaching(study: Study, spec: StudySpec) -> tuple[Trial, int] | None:
    """The best of the trials that reach a target, and where: by their values, or on the way of what is open."""
    if spec.ending(Target) is None:
        return None
    found: list[tuple[Worth, int, int]] = []
    for trial in study.trials.values():
        if trial.state in {TrialState.FAILED, TrialState.DIVERGED}:
            continue
        last, metrics = evaluated(study, trial)
        values = spec.values(metrics)
        if values is not None and _reaches(study, values, spec):
            found.append((spec.worth(values), trial.number, last))
        for step in _reaching_steps(study, trial, spec):
            values = _values_at(study, trial, step)
            assert values is not None
            found.append((spec.worth(values), trial.number, step))
    if not found:
        return None
    _, number, step = min(found)
    return study.trials[number], step


# What follows


def _end_at(decision: Decision, study: Study, winner: Trial, step: int) -> None:
    target = study.spec.ending(Target)
    assert target is not None
    _end(decision, study, Held(target, _reached(study, target, winner, step)), winner, step)


def _end(decision: Decision, study: Study, held: Held, winner: Trial | None, step: int) -> None:
    create_no_more(decision, study)
    decision.emit(EndingHeld(study=study.id, ending=held.ending.word, reason=held.reason))
    reason = f"{ENDED}{held.reason}"
    for each in [] if winner is None else study.members(winner.number):
        if each.target is not None:
            came = RequestState.REACHED if step == each.target else RequestState.CANCELLED
            close_request(decision, study, each, came, step)
        if each.state is not TrialState.COMPLETED:
            change(decision, study, each, TrialState.COMPLETED, reason)
    _rest(decision, study)
    stop_trials(decision, study, reason)
    if all(trial.state is not TrialState.COMPLETED for trial in study.trials.values()):
        stopped = [trial for trial in study.trials.values() if trial.state is TrialState.STOPPED]
        for trial in best_so_far(study, stopped):
            for each in study.members(trial.number):
                change(decision, study, each, TrialState.COMPLETED, reason)
    study.touched.clear()
    _complete(decision, study)


def _rest(decision: Decision, study: Study) -> None:
    """Lets those trials be that have just come to where they were to: a save on its way is not waited for."""
    for trial in [study.member(number) for number in study.open]:
        if (
            trial.target == progress(trial)
            and objective_value(study, trial.node, progress(trial)) is not None
        ):
            close_request(decision, study, trial, RequestState.REACHED, progress(trial))
    for number in study.touched:
        members = study.members(number)
        if all(each.target is None and each.reached >= each.limit for each in members):
            for trial in members:
                if trial.state is TrialState.WAITING:
                    change(decision, study, trial, TrialState.COMPLETED, "")


def _complete(decision: Decision, study: Study) -> None:
    completed = any(trial.state is TrialState.COMPLETED for trial in study.trials.values())
    state = StudyState.COMPLETED if completed else StudyState.FAILED
    nothing = "" if completed else ", and no trial has a value"
    decision.emit(StudyStateChanged(study=study.id, state=state, reason=f"{study.ending_reason}{nothing}"))


# In words


def _standing(study: Study, ending: Ending, ran_seconds: float) -> str:
    match ending:
        case Timeout():
            return _ran(ran_seconds, ending)
        case MaxSlotHours():
            return _used(study, ending)
        case MaxTrainedSteps():
            return f"{used_in_words(study, ending)}, {max(0, ending.steps - used_steps(study))} are left"
        case Target():
            found = _best_reaching(study, study.spec)
            name = study.spec.objectives[0].metric
            return f"target: {name} {ending.value:.6g}" if found is None else _reached(study, ending, *found)
        case Plateau():
            return _plateau(study, ending, stagnation(study, study.spec, ending.min_change))
        case Terminator():
            judged = judgement_of(study, ending)
            return (
                judged.reason
                if judged is not None and judged.reason
                else f"terminator {ending.improvement}: it is asked once {ending.min_trials} trials completed"
            )
        case _:
            raise TypeError(f"{ending!r} is no ending")


def _ran(ran_seconds: float, timeout: Timeout) -> str:
    return f"timeout: ran {in_words(ran_seconds)} of {in_words(timeout.seconds)}"


def _used(study: Study, budget: MaxSlotHours) -> str:
    return f"max_slot_hours: {study.seconds / SECONDS_PER_HOUR:.4g} of {budget.hours:g} slot hours are used"


def _reached(study: Study, target: Target, trial: Trial, step: int) -> str:
    values = _values_at(study, trial, step)
    assert values is not None
    name = study.spec.objectives[0].metric
    return (
        f"target {target.value:.6g} reached: trial {trial.number} has {name} {values[0]:.6g} at step {step}"
    )


def _plateau(study: Study, plateau: Plateau, found: Stagnation | None) -> str:
    name = study.spec.objectives[0].metric
    if found is None:
        return f"plateau: no trial has come to its end with a value of {name} yet"
    value = shown(found.best, (study.spec.objectives[0].maximize,))
    best = f"{name} {value} of trial {found.trial} at step {found.step}"
    count = (
        f"{found.trials} trials that came to their end"
        if found.trials != 1
        else "1 trial that came to its end"
    )
    return f"plateau: no improvement on {best} in {count}, patience is {plateau.patience}"


def in_words(seconds: float) -> str:
    """A duration: ``2 h 5 min``, ``5 min 3 s``, ``1.5 s``."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
