"""Creating trials: those of a point, and each with its repeats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hippo_core.domains import HORIZON
from hippo_core.engine.decision import Decision
from hippo_core.engine.events import TrialCreated
from hippo_core.engine.study import Study
from hippo_core.engine.trial import NO_NOTES
from hippo_core.repeats import number_of
from hippo_core.space import Assignment
from hippo_core.study import StudySpec


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
