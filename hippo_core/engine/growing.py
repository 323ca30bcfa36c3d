"""Studies whose points are known, and whose trials come some at a time, so that others are answered between.

They come whether a study runs or is paused. Meanwhile it has no ending, no path of its program begins, and what its
points follow from stays as it is; where it is stopped, there are no more.
"""

from __future__ import annotations

from dataclasses import replace

from hippo_core.engine.commands import CreateTrials
from hippo_core.engine.creation import create_known, create_point, trials_to_create
from hippo_core.engine.decision import Decision
from hippo_core.engine.endings import end_if_there
from hippo_core.engine.events import StudyChanged
from hippo_core.engine.points import drawn_otherwise, further_points
from hippo_core.engine.study import Study
from hippo_core.errors import Conflict, InvalidStudy
from hippo_core.study import StudySpec
from hippo_core.study_changes import differences


def create_more(decision: Decision, command: CreateTrials) -> None:
    """Creates the next trials of a study, unless that was done meanwhile, or is wanted no more."""
    if command in trials_to_create(decision.state):
        study = decision.state.studies[command.study]
        create_known(decision, study, further_points(study, study.spec))
        if not study.uncreated:
            end_if_there(decision, study)


def create_no_more(decision: Decision, study: Study) -> None:
    """A study that is to end has as many trials as there are by now; where it may not have so few, it gets all."""
    if not study.uncreated:
        return
    try:
        shortened = replace(study.spec, max_trials=study.drawn)
    except InvalidStudy:
        for point in further_points(study, study.spec).points:
            create_point(decision, study, point)
        return
    lines = tuple(differences(shortened, study.spec))
    decision.emit(StudyChanged(study=study.id, spec=shortened.to_json(), differences=lines))


def require_created(study: Study, spec: StudySpec) -> None:
    """Makes sure that a change leaves alone which points are still to become trials.

    Raises:
        Conflict: It does not.
    """
    before = study.spec
    of_points = (before.initial, before.max_steps, before.lengths) != (
        spec.initial,
        spec.max_steps,
        spec.lengths,
    )
    if study.uncreated and (of_points or drawn_otherwise(before, spec)):
        raise Conflict(
            f"study '{study.name}' has {study.coming:,} trials that are still being created.",
            f"Change it once they are there: hippo study show {study.name}.",
        )
