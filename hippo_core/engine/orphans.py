"""Leases whose worker is not heard of: taken back when it returns in time, given up when another slot takes their work.

A worker that falls silent for a lease's time may be dead, or cut off and training on. Its leases are *orphaned*: what
they are to train may be granted to others at once, and the first such grant ends them for good. If none has come when
the same life of the worker is heard of again, they go on under the same fence, and no step is trained twice.
"""

from __future__ import annotations

from collections.abc import Iterable

from hippo_core.engine.courses import note_start
from hippo_core.engine.decision import Decision
from hippo_core.engine.events import LeaseStateChanged
from hippo_core.engine.failures import note_death
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import LeaseState
from hippo_core.lease import Lease, Stage


def orphan(decision: Decision, lease: Lease, reason: str) -> None:
    """The worker of a lease is not heard of."""
    decision.emit(LeaseStateChanged(fence=lease.fence, state=LeaseState.ORPHANED, reason=reason))


def adopt(decision: Decision, lease: Lease) -> None:
    """The worker of an orphaned lease is heard of again: it goes on where it was."""
    state = LeaseState.SAVING if lease.is_trained else LeaseState.TRAINING
    decision.emit(LeaseStateChanged(fence=lease.fence, state=state, reason=""))
    if decision.state.is_first(lease):
        note_start(decision, lease)
    decision.volatile.next_return = decision.now  # something may wait in its slot


def orphans_of(state: EngineState, worker: str) -> list[Lease]:
    """The orphaned leases of a worker."""
    return [lease for lease in state.orphans.values() if lease.worker == worker]


def end_orphans(decision: Decision, plan: int, stages: Iterable[Stage]) -> bool:
    """Ends the orphans that were to train any of these steps, since a slot is about to; tells whether there were any.

    Whoever takes the work over takes the worker for dead, and may come to take the work for what has killed it.
    """
    ranges = {number: (start, stop) for number, start, stop in stages}
    ended = [
        lease
        for lease in decision.state.orphans.values()
        if lease.plan == plan
        and any(
            number in ranges and start < ranges[number][1] and ranges[number][0] < stop
            for number, start, stop in lease.stages
        )
    ]
    # Whatever waited behind one of them in its slot is given up with it.
    ended += [
        lease
        for lease in decision.state.orphans.values()
        if lease not in ended
        and any(
            _place(lease) == _place(other) and lease.fence > other.fence and not other.is_trained
            for other in ended
        )
    ]
    first = first_of_slots(lease for lease in decision.state.orphans.values() if not lease.is_trained)
    for lease in ended:
        reason = lease.reason
        decision.emit(LeaseStateChanged(fence=lease.fence, state=LeaseState.EXPIRED, reason=reason))
        if lease in first:
            note_death(decision, lease, reason.removeprefix(f"worker {lease.worker}: "))
    return bool(ended)


def first_of_slots(leases: Iterable[Lease]) -> list[Lease]:
    """Those that trained in their slots, of leases with steps yet to train: the others waited, and killed nobody."""
    first: dict[tuple[str, str, int], Lease] = {}
    for lease in sorted(leases, key=lambda lease: lease.fence):
        first.setdefault(_place(lease), lease)
    return list(first.values())


def _place(lease: Lease) -> tuple[str, str, int]:
    return lease.worker, lease.incarnation, lease.slot
