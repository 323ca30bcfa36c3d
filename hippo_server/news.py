"""Which subjects changed, and in which order: what open pages are told, and what they missed.

A subject is a study, by its number, or the workers. What is kept is only when each of them changed last, so that
whoever comes back after a cut is told once of each that changed meanwhile (level-triggered), however much it was.
"""

from __future__ import annotations

from collections.abc import Iterable

from hippo_core.engine import events as ev
from hippo_core.engine.state import EngineState
from hippo_server.changes import Changes

WORKERS = "workers"
_OF_WORKERS = (
    ev.LeaseGranted,
    ev.LeaseStateChanged,
    ev.LeaseBlocked,
    ev.StepsTrained,
    ev.WorkerRegistered,
    ev.WorkerStateChanged,
    ev.WorkerBlocked,
    ev.SlotCordoned,
    ev.SlotUncordoned,
)

Subject = int | str
"""A study's number, or ``WORKERS``."""


class News:
    """What changed last in one term of a server. To be used in one event loop.

    Args:
        changes: Told of all that happens.
    """

    def __init__(self, changes: Changes) -> None:
        self.changes = changes
        self.mark = 0  #: grows with everything that happens
        self._last: dict[Subject, int] = {}

    def happened(self, state: EngineState, events: Iterable[ev.Event]) -> None:
        """Something was decided; ``state`` is as it is after that."""
        self.mark += 1
        for event in events:
            for subject in _touched(state, event):
                self._last[subject] = self.mark
        self.changes.notify()

    def since(self, mark: int) -> set[Subject]:
        """What has changed after a mark."""
        return {subject for subject, at in self._last.items() if at > mark}


def _touched(state: EngineState, event: ev.Event) -> Iterable[Subject]:
    found: set[Subject] = set()
    if isinstance(event, _OF_WORKERS):
        found.add(WORKERS)
    study = getattr(event, "study", None)
    if study is not None:
        found.add(study)
    plan = getattr(event, "plan", None)
    node = state.nodes.get(getattr(event, "node", -1))
    lease = state.leases.get(getattr(event, "fence", -1))
    if plan is None and node is not None:
        plan = node.plan
    if plan is None and lease is not None:
        plan = lease.plan
    if plan in state.plans:
        found.update(state.plans[plan].studies)
    return found
