"""Settling: after a command, policies decide and requests close until nothing more follows; then studies complete."""

from __future__ import annotations

from typing import assert_never

from hippo_core.engine.budget import Room, trains
from hippo_core.engine.consultations import awaits_answer, unanswered_trials
from hippo_core.engine.decision import Decision
from hippo_core.engine.endings import complete_again, end_for_lack_of_room, end_if_held, end_on_the_way
from hippo_core.engine.evaluations import AT_REST, note_evaluations, progress
from hippo_core.engine.events import StudyStateChanged, TrialStopped
from hippo_core.engine.forks import fork_as_decided
from hippo_core.engine.judging import judge
from hippo_core.engine.probes import planned_probe, probe_as_decided
from hippo_core.engine.proposals import exhausted_in_words, pause_if_given_up
from hippo_core.engine.requests import close_what_is_known, open_request
from hippo_core.engine.retention import let_boundaries_go, let_probe_go
from hippo_core.engine.states import ENDED_TRIAL_STATES, StudyState, TrialState
from hippo_core.engine.stopping import change, end_as_decided
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.engine.user_words import AS_ASKED, EXTENDED
from hippo_core.policies import Extend, Fork, Probe, Promote, Stop, Verdict
from hippo_core.repeats import trial_of


def settle(decision: Decision) -> None:
    """Lets everything follow from what has happened, in order of arrival."""
    state = decision.state
    note_evaluations(state)
    while state.touched_requests or state.touched_studies:
        if state.touched_requests:
            _look_at_requests(decision)
            continue
        number = next(iter(state.touched_studies))
        del state.touched_studies[number]
        study = state.studies.get(number)
        if study is None:
            continue
        judge(decision, study)
        if study.state is StudyState.RUNNING:
            _follow_policy(decision, study)
        let_boundaries_go(decision, study)


def _look_at_requests(decision: Decision) -> None:
    """Closes what is known of the requests that were opened; those that come meanwhile are looked at next."""
    touched = decision.state.touched_requests
    # A dict whose first is taken again and again is gone through from where it began.
    for key in list(touched):
        if key not in touched:
            continue
        del touched[key]
        study = decision.state.studies.get(key[0])
        if study is not None and study.state is StudyState.RUNNING:
            judge(decision, study)
            trial = study.member(key[1])
            if trial.target is not None and not end_on_the_way(decision, study, trial):
                close_what_is_known(decision, study, trial)
    if not touched:
        touched.clear()


def _follow_policy(decision: Decision, study: Study) -> None:
    if study.ending:
        _follow_users(decision, study)
        return
    if end_if_held(decision, study):
        return
    room = Room.of(decision, study)
    verdicts = study.policy.decide()
    promotions = [each for each in verdicts if isinstance(each, Promote)]
    carried = [
        each for each in verdicts if not isinstance(each, Promote) and carry_out(decision, study, each, room)
    ]
    if any(isinstance(each, Fork) for each in carried):
        return  # what is wanted of the forks is to be known before anything rests or ends
    _open_wishes(decision, study, room)
    if promotions and not study.open:
        carry_out(decision, study, promotions.pop(0), room)
    study.promotions = tuple(promotions)
    undecided = unanswered_trials(study) if study.touched else frozenset()
    for number in list(study.touched):
        members = study.members(number)
        if number in undecided and members[0].reached < members[0].limit:
            continue  # its policy is being asked
        if all(trial.target is None for trial in members):
            for trial in members:
                if trial.state is TrialState.WAITING:
                    _rest(decision, study, trial, min(each.reached for each in members))
            if members[0].probe:
                let_probe_go(decision, study, members)
        del study.touched[number]
    if not study.touched:
        study.touched.clear()  # see _look_at_requests
    if _ends_short(decision, study, room) or study.open:
        return
    if study.to_come:
        pause_if_given_up(decision, study)
        return
    if awaits_answer(study):
        return
    last = study.policy.finish()
    for each in last:
        carry_out(decision, study, each, room)
    if not _ends_short(decision, study, room) and not last and not _rests(study):
        _complete(decision, study)


def _ends_short(decision: Decision, study: Study, room: Room | None) -> bool:
    """Notes whether something does not fit into the study's budget; ends it, or waits, where nothing is open.

    Returns:
        Whether nothing else is to follow.
    """
    study.short = "" if room is None else room.short
    if not study.short or study.open:
        return False
    # What a path trains on that nobody waits for any more is charged; else there is room for more.
    if not trains(decision.state, study):
        end_for_lack_of_room(decision, study)
    return True


def _follow_users(decision: Decision, study: Study) -> None:
    """After an ending only what users ask of single trials is trained: each is complete where it comes to."""
    _open_wishes(decision, study, Room.of(decision, study))
    for number in list(study.touched):
        for trial in study.members(number):
            if trial.target is None and trial.state is TrialState.WAITING:
                change(decision, study, trial, TrialState.COMPLETED, f"at step {trial.reached}, {AS_ASKED}")
    study.touched.clear()
    if not study.open:
        complete_again(decision, study)


def _rests(study: Study) -> bool:
    """Whether trials rest that a user is to decide on."""
    return study.policy.patient and any(trial.state is TrialState.PAUSED for trial in study.trials.values())


def _open_wishes(decision: Decision, study: Study, room: Room | None) -> None:
    """Opens what users want of trials that their policy wants nothing of now."""
    for number in sorted(study.wishes):
        trial = study.member(number)
        if trial.target is None and trial.state not in {TrialState.FAILED, TrialState.DIVERGED}:
            if room is not None and not room.admits(study.members(number), trial.wanted):
                return
            if trial.state in AT_REST and trial.is_itself:
                decision.emit(TrialStopped(study=study.id, trial=number))
            open_request(decision, study, trial, trial.wanted, EXTENDED, by_user=True)
            if room is not None:
                room.opened(study.members(number))


def carry_out(decision: Decision, study: Study, each: Verdict, room: Room | None = None) -> bool:
    """Does what a policy has decided; tells whether it did.

    Args:
        decision: What is decided.
        study: The study.
        each: What its policy has decided.
        room: What is left of the study's budget; None: it has none.
    """
    if room is not None and _lacks_room(study, each, room):
        return False
    match each:
        case Extend():
            for trial in study.members(each.trial):
                open_request(decision, study, trial, each.to, each.reason)
            if room is not None:
                room.opened(study.members(each.trial))
        case Stop():
            state = TrialState.COMPLETED if each.completes else TrialState.STOPPED
            for trial in study.members(each.trial):
                end_as_decided(decision, study, trial, state, each.reason, progress(trial))
        case Fork():
            reason = f"{each.reason}; a fork of it, trial {len(study.trials)}, takes the place"
            for replaced in study.members(each.instead_of):
                if replaced.state not in ENDED_TRIAL_STATES:
                    end_as_decided(decision, study, replaced, TrialState.STOPPED, reason, progress(replaced))
            fork_as_decided(decision, study, each)
        case Probe():
            opened = probe_as_decided(decision, study, each)
            if room is not None:
                room.opened(opened)
        case _:
            assert_never(each)
    return True


def _lacks_room(study: Study, each: Verdict, room: Room) -> bool:
    match each:
        case Extend():
            return not room.admits(study.members(each.trial), each.to)
        case Probe():
            return not room.admits(planned_probe(study, each), each.to)
        case Fork():
            return bool(room.short)
        case Stop():
            return False
        case _:
            assert_never(each)


def _rest(decision: Decision, study: Study, trial: Trial, reached: int) -> None:
    """A trial whose request was reached and that the policy does not extend now."""
    if reached >= trial.limit:
        change(decision, study, trial, TrialState.COMPLETED, "")
    elif trial.by_user:
        change(decision, study, trial, TrialState.PAUSED, f"at step {trial.reached}, {AS_ASKED}")
    else:
        change(decision, study, trial, TrialState.PAUSED, f"at step {trial.reached}, {study.policy.resting}")


def _complete(decision: Decision, study: Study) -> None:
    waiting = [trial for trial in study.trials.values() if trial.state is TrialState.WAITING]
    unbegun = sum(not trial.reached for trial in waiting)
    for trial in study.all_members():
        if trial.state is TrialState.PAUSED:
            why = study.policy.standing(trial_of(trial.number))
            reason = f"not promoted beyond step {trial.reached}{': ' if why else ''}{why}"
            change(decision, study, trial, TrialState.STOPPED, reason)
        elif trial.state is TrialState.WAITING:
            more = "more " if trial.reached else ""
            change(decision, study, trial, TrialState.STOPPED, f"its policy asked for nothing {more}of it")
    trials = study.trials.values()
    # Where users decide, a trial that they stop has come to its end.
    stopped = study.policy.patient and any(
        trial.state is TrialState.STOPPED and trial.reached for trial in trials
    )
    if stopped or any(trial.state is TrialState.COMPLETED for trial in trials):
        reason = exhausted_in_words(study)
        decision.emit(StudyStateChanged(study=study.id, state=StudyState.COMPLETED, reason=reason))
        return
    decision.emit(
        StudyStateChanged(
            study=study.id, state=StudyState.FAILED, reason=f"no trial completed{_why_none(study, unbegun)}"
        )
    )


def _why_none(study: Study, unbegun: int) -> str:
    """Why a study has no completed trial; ``unbegun``: how many trials its policy never asked for."""
    trials = study.trials.values()
    ended = [trial for trial in trials if trial.state in {TrialState.FAILED, TrialState.DIVERGED}]
    if unbegun and not ended:
        were = "trial was" if unbegun == 1 else "trials were"
        return f"; the policy {study.spec.policy.name} asked for nothing more; {unbegun} {were} never begun"
    ended = ended or [trial for trial in trials if trial.state is TrialState.STOPPED]
    return f"; trial {ended[0].number}: {ended[0].reason}" if ended else ""
