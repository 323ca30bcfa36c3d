"""Creating trials: those of a point, and each with its repeats.

Of a study whose points are known there may be very many: see ``hippo_core.engine.growing``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from hippo_core.domains import HORIZON
from hippo_core.engine.commands import CreateTrials
from hippo_core.engine.decision import Decision
from hippo_core.engine.events import StudyChanged, TrialCreated
from hippo_core.engine.points import Further, further_points
from hippo_core.engine.state import EngineState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import NO_NOTES
from hippo_core.errors import InvalidStudy
from hippo_core.repeats import number_of
from hippo_core.space import Assignment
from hippo_core.study import StudySpec
from hippo_core.study_changes import differences

AT_ONCE = 200
"""So many trials are created by one decision, where their points are known: a fiftieth of a second's work."""


def trials_to_create(state: EngineState) -> Iterator[CreateTrials]:
    """What is wanted of the studies with points that are known, and no trials yet; the fewest points first."""
    for study in sorted(map(state.studies.__getitem__, state.growing), key=lambda each: each.uncreated):
        if study.uncreated:
            yield CreateTrials(study=study.id, drawn=study.drawn)


def growing_plans(state: EngineState) -> set[int]:
    """The plans in which trials of running studies are still to be created, which may part from others anywhere."""
    studies = (state.studies[number] for number in state.growing if number in state.active)
    return {study.plan for study in studies if study.uncreated}


def forget_grown(state: EngineState) -> None:
    """Lists no longer what has all its trials."""
    for number in [number for number in state.growing if not state.studies[number].uncreated]:
        del state.growing[number]


def create_known(decision: Decision, study: Study, further: Further) -> None:
    """Creates trials whose points are known: the next ones, or all, where none may come later."""
    most = max(1, AT_ONCE // study.spec.trials_of_a_point) if study.uncreated else None
    for point in islice(further.points, most):
        create_point(decision, study, point)


def create_no_more(decision: Decision, study: Study) -> None:
    """A study that is about to end has as many trials as there are by now, or as it has to have.

    That is then its ``max_trials``, so that nothing that is asked of it later brings the others.
    """
    if not study.uncreated:
        return
    points = iter(further_points(study, study.spec).points)
    count = max(study.drawn, len(study.spec.initial))
    try:
        shortened = replace(study.spec, max_trials=count)
    except InvalidStudy:
        count, shortened = study.drawn + study.uncreated, study.spec
    for point in islice(points, count - study.drawn):
        create_point(decision, study, point)
    lines = tuple(differences(shortened, study.spec))
    if lines:
        decision.emit(StudyChanged(study=study.id, spec=shortened.to_json(), differences=lines))


def create_trial(decision: Decision, event: TrialCreated) -> None:
    """Creates a trial, and its repeats, which have the same point."""
    decision.emit(event)
    for repeat in range(1, decision.state.studies[event.study].spec.repeats):
        decision.emit(replace(event, trial=number_of(event.trial, repeat), notes={}))


def create_point(
    decision: Decision,
    study: Study,
    point: Assignment,
    notes: Mapping[str, Any] | None = None,
    *,
    enqueued: bool = False,
) -> None:
    """Creates the next trials of a study, those of a point: one, or one for each horizon."""
    for assignment in study.spec.trials_of(point):
        _create(decision, study, assignment, notes or NO_NOTES, enqueued=enqueued)


def _create(
    decision: Decision, study: Study, assignment: Assignment, notes: Mapping[str, Any], *, enqueued: bool
) -> None:
    create_trial(
        decision,
        TrialCreated(
            study=study.id,
            trial=len(study.trials),
            assignment=assignment,
            max_steps=study.spec.max_steps_of(assignment),
            notes=notes,
            enqueued=enqueued,
        ),
    )


def create_further_horizons(decision: Decision, study: Study, before: StudySpec) -> None:
    """Creates the trials of the points that there are at the horizons that were added."""
    further = [each for each in study.spec.lengths if each not in before.lengths]
    there = [trial for trial in study.trials.values() if trial.fork is None]
    for trial in there if further else ():
        if trial.horizon != before.lengths[0] or trial.point is None:
            continue
        for horizon in further:
            point = {**trial.point, HORIZON: horizon}
            _create(decision, study, point, trial.notes, enqueued=trial.enqueued)
