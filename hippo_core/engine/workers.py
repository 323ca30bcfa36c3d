"""Workers come, are heard of, drain, leave, and are given up."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from hippo_core.engine.commands import (
    AskAhead,
    DrainWorker,
    Heartbeat,
    RegisterWorker,
    ReportStorage,
    WorkerLeaves,
)
from hippo_core.engine.cordons import cordon_again, known_worker, lasting_cordons
from hippo_core.engine.decision import Ahead, Decision
from hippo_core.engine.events import (
    LeaseStateChanged,
    WorkerBlocked,
    WorkerRegistered,
    WorkerStateChanged,
)
from hippo_core.engine.failures import note_death
from hippo_core.engine.orphans import adopt, first_of_slots, orphan, orphans_of
from hippo_core.engine.state import MOST_AHEAD, Worker
from hippo_core.engine.states import LeaseState, WorkerState
from hippo_core.errors import Stale
from hippo_core.lease import Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """Leases that the worker named and that no longer stand."""

    revoked: tuple[int, ...]


def register(decision: Decision, command: RegisterWorker) -> Registered:
    """Makes a worker known; what it does not hold any more is released."""
    held = {lease.fence for lease in command.leases}
    orphans = orphans_of(decision.state, command.worker)
    before = [*_leases_of(decision, command.worker), *orphans]
    standing = {
        lease.fence for lease in before if lease.incarnation == command.incarnation and lease.fence in held
    }
    died = []
    for lease in before:
        if lease.fence in standing:
            continue
        if (lease.training or (lease in orphans and not lease.is_trained)) and (
            lease.incarnation != command.incarnation
        ):
            died.append(lease)
        _end(decision, lease, LeaseState.RELEASED, "the worker came back without it")
    earlier = decision.state.workers.get(command.worker)
    cordoned = lasting_cordons(earlier, command.incarnation)
    decision.emit(
        WorkerRegistered(
            worker=command.worker,
            incarnation=command.incarnation,
            host=command.host,
            slots=tuple(asdict(slot) for slot in command.slots),
            environment=dict(command.environment),
            labels=dict(command.labels),
        )
    )
    worker = decision.state.workers[command.worker]
    cordon_again(decision, worker, cordoned)
    if earlier is not None and earlier.incarnation == command.incarnation and earlier.blocked:
        decision.emit(WorkerBlocked(worker=worker.name, reason=earlier.blocked))
    if worker.draining:
        decision.emit(
            WorkerStateChanged(worker=worker.name, state=WorkerState.DRAINING, reason="asked to drain")
        )
    for lease in orphans:
        if lease.fence in standing:
            adopt(decision, lease)
    if earlier is None or earlier.incarnation != command.incarnation:
        # What its slots were made ready for is gone.
        decision.volatile.prepared.pop(command.worker, None)
    _forget_ahead(decision, command.worker)
    _renew(decision, command.worker)
    for lease in first_of_slots(died):
        note_death(decision, lease, "it died, and was started again")
    return Registered(revoked=tuple(sorted(held - standing)))


def heartbeat(decision: Decision, command: Heartbeat) -> None:
    """Renews all leases of a worker."""
    worker = _incarnation(decision, command.worker, command.incarnation)
    if worker.state is WorkerState.LOST:
        welcome_back(decision, worker)
    else:
        _renew(decision, worker.name)


def report_storage(decision: Decision, command: ReportStorage) -> None:
    """A worker has tried to read its storage; said again in whatever words, it changes nothing."""
    worker = _incarnation(decision, command.worker, command.incarnation)
    if bool(command.failure) != bool(worker.blocked):
        decision.emit(WorkerBlocked(worker=worker.name, reason=command.failure))


def ask_ahead(decision: Decision, command: AskAhead) -> None:
    """A slot is to hold leases beside the one that trains in it, or no longer."""
    worker = _incarnation(decision, command.worker, command.incarnation)
    wanted, place = decision.volatile.ahead, (worker.name, command.slot)
    wanted.pop(place, None)
    if command.count > 0 and command.slot in worker.slots:
        wanted[place] = Ahead(min(command.count, MOST_AHEAD), command.fence, decision.now)


def welcome_back(decision: Decision, worker: Worker) -> None:
    """A worker that was given up is heard of again: what nobody has taken over meanwhile it goes on with."""
    state = WorkerState.DRAINING if worker.draining else WorkerState.LIVE
    decision.emit(WorkerStateChanged(worker=worker.name, state=state, reason=""))
    _renew(decision, worker.name)
    for lease in orphans_of(decision.state, worker.name):
        adopt(decision, lease)


def drain(decision: Decision, command: DrainWorker) -> None:
    """Grants a worker no further leases, and lets it leave."""
    worker = known_worker(decision, command.worker)
    if worker.state is not WorkerState.DRAINING:
        decision.emit(
            WorkerStateChanged(worker=worker.name, state=WorkerState.DRAINING, reason="asked to drain")
        )


def leave(decision: Decision, command: WorkerLeaves) -> None:
    """A worker goes; what it still held is released."""
    worker = _incarnation(decision, command.worker, command.incarnation)
    for lease in [*_leases_of(decision, worker.name), *orphans_of(decision.state, worker.name)]:
        _end(decision, lease, LeaseState.RELEASED, f"worker {worker.name}: it left")
    _part_from(decision, worker, WorkerState.GONE, "it left")


def expire(decision: Decision) -> None:
    """Gives up the workers whose time has come, and lets nodes be leased again whose pause is over."""
    volatile = decision.volatile
    for name in sorted(volatile.worker_deadlines):
        if volatile.worker_deadlines[name] <= decision.now:
            worker = decision.state.workers[name]
            reason = f"not heard of for {decision.settings.lease_seconds:g} s"
            for lease in _leases_of(decision, name):
                orphan(decision, lease, f"worker {name}: {reason}")
            _part_from(decision, worker, WorkerState.LOST, reason)
    for number in sorted(volatile.unblock):
        if volatile.unblock[number] <= decision.now:
            del volatile.unblock[number]
            node = decision.state.nodes[number]
            tree = decision.state.tree_of(node)
            tree.blocked.discard(number)
            tree.mark(number)
            decision.state.touched_plans[node.plan] = None
    for plan in sorted(volatile.held):
        if volatile.held[plan] <= decision.now:
            del volatile.held[plan]
            decision.state.touched_plans[plan] = None


def _part_from(decision: Decision, worker: Worker, state: WorkerState, reason: str) -> None:
    decision.emit(WorkerStateChanged(worker=worker.name, state=state, reason=reason))
    decision.volatile.worker_deadlines.pop(worker.name, None)
    _forget_ahead(decision, worker.name)


def _forget_ahead(decision: Decision, worker: str) -> None:
    for place in [place for place in decision.volatile.ahead if place[0] == worker]:
        del decision.volatile.ahead[place]


def _incarnation(decision: Decision, name: str, incarnation: str) -> Worker:
    worker = decision.state.workers.get(name)
    if worker is None or worker.incarnation != incarnation or worker.state is WorkerState.GONE:
        raise Stale(
            f"the worker '{name}' is not registered in this incarnation.", "It has to register again."
        )
    return worker


def _leases_of(decision: Decision, worker: str) -> list[Lease]:
    return [lease for lease in decision.state.leases.values() if lease.worker == worker]


def _end(decision: Decision, lease: Lease, state: LeaseState, reason: str) -> None:
    decision.emit(LeaseStateChanged(fence=lease.fence, state=state, reason=reason))


def _renew(decision: Decision, worker: str) -> None:
    decision.volatile.worker_deadlines[worker] = decision.now + decision.settings.lease_seconds
