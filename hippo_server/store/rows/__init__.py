"""Events as rows: one small function for each kind of event, found by it.

A deleted study, or project, is no matter of a batch: see ``deletion``.
"""

from __future__ import annotations

from hippo_core.engine.events import Event, ProjectDeleted, StudyDeleted
from hippo_core.engine.journal import KINDS
from hippo_server.store.batch import Batch
from hippo_server.store.rows import accounts, leases, proposals, studies, training, trials, workers
from hippo_server.store.rows.handler import Handler

HANDLERS: dict[type, Handler] = {
    kind: handler
    for subject in (accounts, leases, proposals, studies, training, trials, workers)
    for kind, handler in subject.HANDLERS.items()
}
assert HANDLERS.keys() == set(KINDS.values()) - {StudyDeleted, ProjectDeleted}, "every kind of event has rows"


def add_event(batch: Batch, event: Event, position: int) -> None:
    """Adds what an event changes to a batch.

    Args:
        batch: The rows of one transaction.
        event: What happened; no deletion of a study or a project.
        position: Its id in the journal.
    """
    HANDLERS[type(event)](batch, event, position)
