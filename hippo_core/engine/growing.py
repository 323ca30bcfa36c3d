"""Studies whose points are known, and whose trials come some at a time, so that others are answered between.

They come whether a study runs or is paused. Meanwhile no path of its plan begins, if it runs, and what its points
follow from stays as it is. Where it ends before, there are no more: see ``create_no_more``.
"""

from __future__ import annotations

from hippo_core.engine.commands import CreateTrials
from hippo_core.engine.creation import create_known, trials_to_create
from hippo_core.engine.decision import Decision
from hippo_core.engine.points import drawn_otherwise, further_points
from hippo_core.engine.study import Study
from hippo_core.errors import Conflict
from hippo_core.study import StudySpec


def create_more(decision: Decision, command: CreateTrials) -> None:
    """Creates the next trials of a study, unless that was done meanwhile, or is wanted no more."""
    if command in trials_to_create(decision.state):
        study = decision.state.studies[command.study]
        create_known(decision, study, further_points(study, study.spec))


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
