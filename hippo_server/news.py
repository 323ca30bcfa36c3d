"""Which subjects changed, and in which order: what open pages are told, and what they missed.

A subject is a study, by its number, or the workers. What is kept is only when each of them changed last, so that
whoever comes back after a cut is told once of each that changed meanwhile (level-triggered), however much it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter
from typing import Any

from hippo_core.engine import events as ev
from hippo_core.engine.state import EngineState
from hippo_server.changes import Changes

WORKERS = "workers"
_OF_WORKERS = frozenset(
    {
        ev.LeaseGranted,
        ev.LeaseStateChanged,
        ev.LeaseBlocked,
        ev.StepsTrained,
        ev.WorkerRegistered,
        ev.WorkerStateChanged,
        ev.WorkerBlocked,
        ev.SlotCordoned,
        ev.SlotUncordoned,
    }
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
        for subject in _touched(state, events):
            self._last[subject] = self.mark
        self.changes.notify()

    def since(self, mark: int) -> set[Subject]:
        """What has changed after a mark."""
        return {subject for subject, at in self._last.items() if at > mark}


def _touched(state: EngineState, events: Iterable[ev.Event]) -> set[Subject]:
    found: set[Subject] = set()
    plans: set[int] = set()
    for kind, values in _gists(events):
        if kind in _OF_WORKERS:
            found.add(WORKERS)
        said = dict(zip(_about(kind)[0], values, strict=True))
        if said.get("study") is not None:
            found.add(said["study"])
        node, lease = state.nodes.get(said.get("node", -1)), state.leases.get(said.get("fence", -1))
        plan = said.get("plan")
        if plan is None and node is not None:
            plan = node.plan
        if plan is None and lease is not None:
            plan = lease.plan
        if plan is not None:
            plans.add(plan)
    for plan in plans:
        if plan in state.plans:
            found.update(state.plans[plan].studies)
    return found


def _gists(events: Iterable[ev.Event]) -> set[tuple[Any, tuple[Any, ...]]]:
    """What tells the subjects of events: many have the same, above all the metrics of a path that follow each other."""
    found = set[tuple[Any, tuple[Any, ...]]]()
    fence = node = -1
    for event in events:
        if isinstance(event, ev.MetricsRecorded):
            if event.fence == fence and event.node == node:
                continue
            fence, node = event.fence, event.node
        kind: Any = type(event)
        found.add((kind, _about(kind)[1](event)))
    return found


@cache
def _about(kind: Any) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    """What events of a kind say that leads to studies, and how it is read."""
    names = tuple(name for name in ("study", "plan", "node", "fence") if name in kind.__dataclass_fields__)
    if len(names) > 1:
        return names, attrgetter(*names)
    return names, lambda event: tuple(getattr(event, name) for name in names)
