"""Lines of the log about what happened: how studies and workers come and end, and which paths fail.

Of steps, values and leases that go well the log has none: there would be thousands, and all is in the journal.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from hippo_core.engine import events as ev
from hippo_core.engine.states import WorkerState

log = logging.getLogger(__name__)

_TOLD = frozenset(
    {
        ev.StudySubmitted,
        ev.StudyStateChanged,
        ev.StudyDeleted,
        ev.WorkerRegistered,
        ev.WorkerStateChanged,
        ev.PathFailed,
    }
)


def log_events(events: Iterable[ev.Event]) -> None:
    """Logs those of which an operator wants to hear.

    Args:
        events: What is committed, in order. What trainers and users wrote of a failure stays out.
    """
    for event in events:
        if type(event) not in _TOLD:
            continue
        match event:
            case ev.StudySubmitted():
                said = {"study": event.study, "study_name": event.name, "project": event.project}
                log.info("study_submitted", extra={**said, "user": event.user})
            case ev.StudyStateChanged():
                log.info("study_state", extra={"study": event.study, "state": event.state.value})
            case ev.StudyDeleted():
                log.info("study_deleted", extra={"study": event.study})
            case ev.WorkerRegistered():
                said = {"worker": event.worker, "host": event.host, "slots": len(event.slots)}
                log.info("worker_registered", extra=said)
            case ev.WorkerStateChanged():
                level = logging.WARNING if event.state is WorkerState.LOST else logging.INFO
                log.log(
                    level,
                    "worker_state",
                    extra={"worker": event.worker, "state": event.state.value, "reason": event.reason},
                )
            case ev.PathFailed():
                said = {"fence": event.fence, "node": event.node, "step": event.step}
                log.warning("path_failed", extra={**said, "failure": event.failure.value})
