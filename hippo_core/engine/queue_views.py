"""What people see of the queue: which studies want slots, in which order, and why they have none."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.engine.decision import Decision
from hippo_core.engine.engine import Engine
from hippo_core.engine.states import StudyState
from hippo_core.engine.study_views import StudyView, study_view
from hippo_core.engine.turns import Turns


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedView:
    """A study that has something to train.

    Attributes:
        study: As read.
        user: Who submitted it.
        priority: Higher ones are served first.
    """

    study: StudyView
    user: str
    priority: int


def queue(engine: Engine, project: str, now: float) -> tuple[QueuedView, ...]:
    """The studies of a project that run, or are paused, in the order in which the next free slot is offered to them.

    The highest priority comes first; among equal ones it is the turn of the user who is furthest behind their share.
    Studies of one user are in the order in which they came. Those that are paused come last: they want none.

    Args:
        engine: The engine.
        project: Whose.
        now: The driver's monotonic time.
    """
    found = [
        study
        for study in engine.state.studies.values()
        if study.project == project and study.state in (StudyState.RUNNING, StudyState.PAUSED)
    ]
    turns = Turns(Decision(engine.state, engine.settings, engine.volatile, now))
    found.sort(
        key=lambda study: (
            study.state is StudyState.PAUSED,
            -study.spec.priority,
            turns.turn((project, study.user)),
            study.id,
        )
    )
    return tuple(
        QueuedView(
            study=study_view(engine, project, study.name, now), user=study.user, priority=study.spec.priority
        )
        for study in found
    )
