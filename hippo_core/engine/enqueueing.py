"""Points that users give to a study that is there."""

from __future__ import annotations

from hippo_core.engine.commands import EnqueueTrial
from hippo_core.engine.creation import create_point
from hippo_core.engine.decision import Decision
from hippo_core.engine.endings import require_search
from hippo_core.engine.events import StudyStateChanged
from hippo_core.engine.lookup import find_study
from hippo_core.engine.quotas import require_room_in
from hippo_core.engine.states import ENDED_STUDY_STATES, StudyState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.errors import Conflict, InvalidStudy
from hippo_core.points import read_point

LONGEST_ASK = 200


def enqueue(decision: Decision, command: EnqueueTrial) -> int:
    """Creates the study's next trial, at the point that is given; returns its number.

    Where a sampler proposes one point after another, or points come from outside, it takes the place of the one that
    would come next, counts in max_trials, and the sampler learns from it. Where all points are known from the start
    they are trials already: it is one more, beside max_trials, as a fork is.
    """
    study = find_study(decision.state, command.project, command.name)
    point = study.spec.checked_point(read_point(study.spec.space, command.point, "point"))
    answered = _answered(study, command.ask)
    if answered is not None:
        if answered.assignment != point:
            raise Conflict(
                f"ask {command.ask} was answered with another point: it is trial {answered.number}.",
                "Ask for another (run.ask), or enqueue the point (run.enqueue).",
            )
        return answered.number
    require_search(study)
    if study.spec.sampler.learns:
        _require_room(study)
    require_room_in(decision.state, study, trials=study.spec.repeats * max(1, len(study.spec.horizons)))
    number = len(study.trials)
    notes = {"ask": command.ask} if command.ask else {}
    create_point(decision, study, point, notes, enqueued=True)
    if study.state in ENDED_STUDY_STATES:
        decision.emit(StudyStateChanged(study=study.id, state=StudyState.RUNNING, reason=""))
    return number


def _answered(study: Study, ask: str) -> Trial | None:
    """The trial that answered an ask."""
    if len(ask) > LONGEST_ASK or not ask.isprintable():
        raise InvalidStudy("ask", "was not given out here", "Tell what run.ask() returned.")
    number = study.asks.get(ask)
    return None if number is None else study.trials[number]


def _require_room(study: Study) -> None:
    remedy = (
        f"Raise max_trials first: hippo study extend {study.name} --max-trials {study.spec.max_trials + 1}"
    )
    if not study.room:
        raise Conflict(f"study '{study.name}' has all its {study.spec.max_trials} trials.", f"{remedy}.")
    if study.state in ENDED_STUDY_STATES:
        raise Conflict(f"study '{study.name}' is {study.state.value}.", f"{remedy} takes it up again.")
