"""Slots that are granted nothing: cordoned by a user, or since their device failed its health check.

What trains in a slot that a user cordons goes on; what trained on a failed device has failed with it, by its worker's
word. A health check that succeeds lifts what a failed one did, never what a user did; a user may lift both. A user's
cordon outlasts the lives of a worker; a failed check does not, as the next life checks anew.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from hippo_core.engine.commands import CordonSlots, ReportHealth, UncordonSlots
from hippo_core.engine.decision import Decision
from hippo_core.engine.events import LeaseStopped, SlotCordoned, SlotUncordoned
from hippo_core.engine.state import Slot, Worker
from hippo_core.engine.states import WorkerState
from hippo_core.errors import NotFound, Stale


def cordon(decision: Decision, command: CordonSlots) -> None:
    """Grants slots of a worker nothing more, by a user's word."""
    worker = known_worker(decision, command.worker)
    reason = command.reason or "cordoned by a user"
    for slot in _slots(worker, command.slot):
        if not (slot.cordoned and slot.cordoned_by_user):
            _cordon(decision, worker, slot.index, reason, by_user=True)


def uncordon(decision: Decision, command: UncordonSlots) -> None:
    """Lets slots of a worker be granted paths again."""
    worker = known_worker(decision, command.worker)
    for slot in _slots(worker, command.slot):
        if slot.cordoned:
            decision.emit(SlotUncordoned(worker=worker.name, slot=slot.index))


def report_health(decision: Decision, command: ReportHealth) -> None:
    """A worker has checked the device of a slot; said again, it changes nothing."""
    worker = decision.state.workers.get(command.worker)
    if worker is None or worker.incarnation != command.incarnation or command.slot not in worker.slots:
        raise Stale(
            f"the worker '{command.worker}' is not registered in this incarnation.",
            "It has to register again.",
        )
    slot = worker.slots[command.slot]
    if command.failed and not slot.cordoned:
        reason = f"its device failed the health check: {command.reason}"
        _cordon(decision, worker, slot.index, reason, by_user=False)
    elif not command.failed and slot.cordoned and not slot.cordoned_by_user:
        decision.emit(SlotUncordoned(worker=worker.name, slot=slot.index))


def lasting_cordons(worker: Worker | None, incarnation: str) -> list[Slot]:
    """The slots of a worker that stay cordoned when it registers: in another life those that users have cordoned."""
    if worker is None:
        return []
    same = worker.incarnation == incarnation
    return [slot for slot in worker.slots.values() if slot.cordoned and (same or slot.cordoned_by_user)]


def cordon_again(decision: Decision, worker: Worker, slots: list[Slot]) -> None:
    """Cordons slots of a worker that has registered, where it has them still."""
    for slot in slots:
        if slot.index in worker.slots:
            _cordon(decision, worker, slot.index, slot.cordoned, by_user=slot.cordoned_by_user)


def known_worker(decision: Decision, name: str) -> Worker:
    """A worker that is there, or may come back.

    Raises:
        NotFound: There is none of that name, or it has left; names a similar one.
    """
    worker = decision.state.workers.get(name)
    if worker is None or worker.state is WorkerState.GONE:
        near = difflib.get_close_matches(name, sorted(decision.state.workers), n=1)
        hint = f"Did you mean '{near[0]}'?" if near else "hippo worker ls lists the workers."
        raise NotFound(f"there is no worker '{name}'.", hint)
    return worker


def _slots(worker: Worker, index: int | None) -> Iterable[Slot]:
    if index is None:
        return list(worker.slots.values())
    if index not in worker.slots:
        there = ", ".join(map(str, worker.slots))
        raise NotFound(f"the worker '{worker.name}' has no slot {index}.", f"Its slots: {there}.")
    return [worker.slots[index]]


def _cordon(decision: Decision, worker: Worker, slot: int, reason: str, *, by_user: bool) -> None:
    decision.emit(SlotCordoned(worker=worker.name, slot=slot, reason=reason, by_user=by_user))
    for fence in worker.slots[slot].queue[1:]:  # it may have begun meanwhile; a failed device saves nothing
        if not decision.state.leases[fence].stopping:
            decision.emit(
                LeaseStopped(fence=fence, save=by_user, reason=f"its slot is granted nothing: {reason}")
            )
