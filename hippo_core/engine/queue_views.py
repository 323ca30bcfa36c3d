"""What people see of the queue: which studies want slots, in which order, and why they have none."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.engine.engine import Engine
from hippo_core.engine.states import StudyState
from hippo_core.engine.study_views import StudyView, study_view


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


def queue(engine: Engine, project: str, now: float | None = None) -> tuple[QueuedView, ...]:
    """The studies of a project that run, or are paused, with steps to train, the highest priority first.

    Among equal priorities it is the turn of the project and the user who are furthest behind their share, so that no
    order between users can be told beforehand; studies of one user are in the order in which they came.

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
    found.sort(key=lambda study: (-study.spec.priority, study.id))
    return tuple(
        QueuedView(
            study=study_view(engine, project, study.name, now), user=study.user, priority=study.spec.priority
        )
        for study in found
    )
