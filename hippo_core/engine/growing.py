"""Studies whose points are known, and whose trials come some at a time, so that others are answered between.

They come whether a study runs or is paused. Meanwhile no path of its plan begins, if it runs, and what its points
follow from stays as it is. Where it ends before, there are no more: see ``create_no_more``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from hippo_core.engine.commands import CreateTrials
from hippo_core.engine.creation import create_point
from hippo_core.engine.decision import Decision
from hippo_core.engine.events import StudyChanged
from hippo_core.engine.points import Further, drawn_otherwise, further_points
from hippo_core.engine.state import EngineState
from hippo_core.engine.study import Study
from hippo_core.errors import Conflict, InvalidStudy
from hippo_core.study import StudySpec
from hippo_core.study_changes import differences

AT_ONCE = 200
"""So many trials are created by one decision, where their points are known: a fiftieth of a second's work."""


def trials_to_create(state: EngineState) -> Iterator[CreateTrials]:
    """What is wanted of the studies with points that are known, and no trials yet; first those that lack fewest."""
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


def create_more(decision: Decision, command: CreateTrials) -> None:
    """Creates the next trials of a study, unless that was done meanwhile, or is wanted no more."""
    if command in trials_to_create(decision.state):
        study = decision.state.studies[command.study]
        create_known(decision, study, further_points(study, study.spec))


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


def require_created(study: Study, spec: StudySpec) -> None:
    """Makes sure that a change leaves alone which points are still to become trials.

    Raises:
        Conflict: It does not.
    """
    before = study.spec
    same = (before.initial, _length(before), before.lengths) == (spec.initial, _length(spec), spec.lengths)
    if study.uncreated and (not same or drawn_otherwise(before, spec)):
        raise Conflict(
            f"study '{study.name}' has {study.coming:,} trials that are still being created.",
            f"Change it once they are there: hippo study show {study.name}.",
        )


def _length(spec: StudySpec) -> object:
    return spec.limit or spec.max_steps
