"""The part of ``apply`` that workers bring about: leases, training, checkpoints."""

from __future__ import annotations

from typing import assert_never

from hippo_core.engine import events as ev
from hippo_core.engine.state import EngineState, Slot, Worker
from hippo_core.engine.states import (
    ENDED_STUDY_STATES,
    LEASE_TRANSITIONS,
    LIVE_LEASE_STATES,
    STANDING_LEASE_STATES,
    FailureClass,
    LeaseState,
    WorkerState,
)
from hippo_core.engine.transitions import follow
from hippo_core.lease import Lease, Promise, State
from hippo_core.plan import Checkpoint, Failures

WorkerEvent = (
    ev.WorkerRegistered | ev.WorkerStateChanged | ev.WorkerBlocked | ev.SlotCordoned | ev.SlotUncordoned
)


def apply_worker(state: EngineState, event: WorkerEvent) -> None:
    """A worker came or changed."""
    match event:
        case ev.WorkerRegistered():
            earlier = state.workers.get(event.worker)
            same = earlier is not None and earlier.incarnation == event.incarnation
            slots = {int(slot["index"]): Slot(**slot) for slot in event.slots}
            if earlier is not None and same:
                for index, slot in slots.items():
                    if index in earlier.slots:
                        slot.queue = earlier.slots[index].queue
                        slot.holds = earlier.slots[index].holds
            state.workers[event.worker] = Worker(
                name=event.worker,
                incarnation=event.incarnation,
                host=event.host,
                environment=event.environment,
                labels=dict(event.labels),
                slots=slots,
                draining=earlier is not None and same and earlier.draining,
            )
            state.idle = {each for each in state.idle if each[0] != event.worker}
            for slot in slots.values():
                _note_idle(state, event.worker, slot)
        case ev.WorkerStateChanged():
            worker = state.workers[event.worker]
            worker.state, worker.reason = event.state, event.reason
            worker.draining = worker.draining or event.state is WorkerState.DRAINING
            if event.state in {WorkerState.LOST, WorkerState.GONE}:
                for slot in worker.slots.values():
                    slot.holds = None
        case ev.WorkerBlocked():
            state.workers[event.worker].blocked = event.reason
        case ev.SlotCordoned():
            slot = state.workers[event.worker].slots[event.slot]
            slot.cordoned, slot.cordoned_by_user = event.reason, event.by_user
            _note_idle(state, event.worker, slot)
        case ev.SlotUncordoned():
            slot = state.workers[event.worker].slots[event.slot]
            slot.cordoned, slot.cordoned_by_user = "", False
            _note_idle(state, event.worker, slot)
        case _:
            assert_never(event)


def _note_idle(state: EngineState, worker: str, slot: Slot) -> None:
    """A slot began to wait for a path, or does so no more."""
    if slot.idle:
        state.idle.add((worker, slot.index))
    else:
        state.idle.discard((worker, slot.index))


LeaseEvent = (
    ev.LeaseGranted
    | ev.LeaseStateChanged
    | ev.LeaseBlocked
    | ev.LeaseStopped
    | ev.SavePointOffered
    | ev.SavePointAnswered
    | ev.ReportAccepted
)


def apply_lease(state: EngineState, event: LeaseEvent) -> None:
    """A lease began, went on or ended."""
    if isinstance(event, ev.LeaseGranted):
        _grant(state, event)
        return
    lease = state.leases.get(event.fence) or state.orphans[event.fence]
    tree = state.plans[lease.plan].tree
    match event:
        case ev.LeaseStateChanged():
            _change_lease(state, lease, event)
        case ev.LeaseBlocked():
            lease.blocked = event.reason
            if lease.blocked:
                state.hindered[lease.fence] = None
            else:
                state.hindered.pop(lease.fence, None)
        case ev.LeaseStopped():
            lease.stopping, lease.stop_saves, lease.stop_reason = True, event.save, event.reason
        case ev.SavePointOffered():
            lease.promises[event.node, event.step] = Promise.OFFERED
            tree.mark(event.node)
        case ev.SavePointAnswered():
            if lease.promises.get((event.node, event.step)) is not Promise.KEPT:
                lease.promises[event.node, event.step] = Promise.WILL if event.will else Promise.PASSED
            tree.mark(event.node)
        case ev.ReportAccepted():
            lease.report = event.number
        case _:
            assert_never(event)
    state.touched_plans[lease.plan] = None


def _grant(state: EngineState, event: ev.LeaseGranted) -> None:
    lease = Lease(
        fence=event.fence,
        worker=event.worker,
        incarnation=event.incarnation,
        slot=event.slot,
        plan=event.plan,
        study=event.study,
        user=event.user,
        stages=event.stages,
        start=event.start,
        in_memory=event.in_memory,
        promises=dict.fromkeys(event.save_points, Promise.GRANTED),
    )
    state.leases[event.fence] = lease
    state.last_fence = max(state.last_fence, event.fence)
    worker = state.workers.get(event.worker)
    if worker is not None and event.slot in worker.slots:
        _enter(state, worker, worker.slots[event.slot], event.fence)
    state.plans[event.plan].tree.add_lease(lease)


def _enter(state: EngineState, worker: Worker, slot: Slot, fence: int) -> None:
    """A lease waits for its turn in a slot: they come in the order of their fences."""
    first = slot.fence
    slot.queue = sorted([*slot.queue, fence])
    slot.holds = None
    if slot.fence != first:
        state.begun[fence] = None
    _note_idle(state, worker.name, slot)


def _leave(state: EngineState, worker: Worker, slot: Slot, fence: int, holds: State | None) -> None:
    """A lease trains no more; the next one in its slot begins."""
    was_first = slot.fence == fence
    slot.queue.remove(fence)
    if was_first and slot.fence is not None:
        state.begun[slot.fence] = None
    elif was_first:
        slot.holds = holds
    _note_idle(state, worker.name, slot)


def _change_lease(state: EngineState, lease: Lease, event: ev.LeaseStateChanged) -> None:
    follow(LEASE_TRANSITIONS, lease.state, event.state)
    was_orphan = lease.state is LeaseState.ORPHANED
    trained = lease.training and event.state in {LeaseState.SAVING, LeaseState.COMPLETED}
    lease.state, lease.reason = event.state, event.reason
    worker = state.workers.get(lease.worker)
    if worker is not None and worker.incarnation == lease.incarnation and lease.slot in worker.slots:
        slot = worker.slots[lease.slot]
        if lease.fence in slot.queue and not lease.training:
            released = event.state is LeaseState.RELEASED and lease.stop_saves
            holds = lease.end if trained else lease.reached if released else None
            _leave(state, worker, slot, lease.fence, holds)
    study = state.studies.get(lease.study)
    if study is not None and study.short and not lease.training:
        state.touched_studies[study.id] = None  # what it would have trained is not charged
    tree = state.plans[lease.plan].tree
    if was_orphan:
        del state.orphans[lease.fence]
    if event.state not in STANDING_LEASE_STATES:
        state.hindered.pop(lease.fence, None)
    if event.state in LIVE_LEASE_STATES and was_orphan:
        _take_back(state, lease)
    elif event.state in LIVE_LEASE_STATES:
        tree.mark_lease(lease)
    elif not was_orphan:
        tree.remove_lease(lease)
        del state.leases[lease.fence]
        if event.state is LeaseState.ORPHANED:
            state.orphans[lease.fence] = lease


def _take_back(state: EngineState, lease: Lease) -> None:
    """An orphan goes on; leases stay in the order of their fences, as an engine has them that is rebuilt."""
    state.leases = dict(sorted({**state.leases, lease.fence: lease}.items()))
    tree = state.plans[lease.plan].tree
    tree.add_lease(lease)
    for number, _, _ in lease.stages:
        tree.astir[number] = None  # perhaps nobody needs its steps any more
    if lease.training:
        worker = state.workers[lease.worker]
        _enter(state, worker, worker.slots[lease.slot], lease.fence)


TrainingEvent = (
    ev.StepsTrained | ev.MetricsRecorded | ev.NodeNotReproducible | ev.PathFailed | ev.FailuresForgotten
)


def apply_training(state: EngineState, event: TrainingEvent) -> None:
    """Steps were trained, measured, or failed."""
    node = state.nodes[event.node]
    tree = state.tree_of(node)
    match event:
        case ev.StepsTrained():
            state.touched_nodes[node.id] = None
            count = event.stop - event.start
            seconds = event.train_seconds + event.evaluate_seconds
            node.trained = max(node.trained, event.stop)
            node.steps += count
            node.seconds += seconds
            tree.measure(seconds, count)
            lease = state.leases.get(event.fence)
            if lease is not None:
                lease.advance(event.node, event.stop)
        case ev.MetricsRecorded():
            if event.metrics is not None:
                state.touched_nodes[node.id] = None
                node.record(event.step, event.metrics)
            if event.training is not None:
                node.record_training(event.step, event.training)
        case ev.NodeNotReproducible():
            node.not_reproducible = True
        case ev.PathFailed():
            if node.failures is None:
                node.failures = Failures(step=event.step)
            state.failing[node.id] = None
            node.failures.step = max(node.failures.step, event.step)
            node.failures.message = event.message
            _break_promise(state, event)
            node.failures.counts[event.failure.value] = event.count
            if event.died:
                _note_death(node.failures, event)
            if event.failure is FailureClass.MEMORY:
                state.cramped[node.id] = None
        case ev.FailuresForgotten():
            node.failures = None
            state.failing.pop(node.id, None)
            state.cramped.pop(node.id, None)
            tree.blocked.discard(node.id)
            tree.mark(node.id)
        case _:
            assert_never(event)
    state.touched_plans[node.plan] = None


def _note_death(failures: Failures, event: ev.PathFailed) -> None:
    """A worker died; deaths at an earlier step count no more, as others have trained beyond it since."""
    failures.deaths = {worker: step for worker, step in failures.deaths.items() if step >= event.step}
    failures.deaths[event.died] = event.step


def _break_promise(state: EngineState, event: ev.PathFailed) -> None:
    """A failure at a state that a lease in flight no longer promises is that of its save."""
    lease = state.leases.get(event.fence)
    saved = (event.node, event.step)
    if lease is not None and lease.promises.get(saved) is Promise.PASSED:
        lease.promises[saved] = Promise.BROKEN


def apply_pin(state: EngineState, event: ev.CheckpointPinned | ev.CheckpointUnpinned) -> None:
    """A study wants a state kept, or does no more."""
    pinned = (event.node, event.step)
    if isinstance(event, ev.CheckpointPinned):
        state.pins.setdefault(pinned, {})[event.study] = None
        return
    state.pins[pinned].pop(event.study)
    if not state.pins[pinned]:
        del state.pins[pinned]


def forget_pins(state: EngineState, study: int) -> None:
    """A study is gone."""
    for pinned in [pinned for pinned, studies in state.pins.items() if study in studies]:
        apply_pin(state, ev.CheckpointUnpinned(study=study, node=pinned[0], step=pinned[1]))


CheckpointEvent = ev.CheckpointPublished | ev.CheckpointLost | ev.CheckpointDropped


def apply_checkpoint(state: EngineState, event: CheckpointEvent) -> None:
    """A checkpoint came or went."""
    node = state.nodes[event.node]
    project = state.plans[node.plan].project
    kept_bytes = state.checkpoint_bytes.get(project, 0)
    match event:
        case ev.CheckpointPublished():
            kept = Checkpoint(fence=event.fence, size_bytes=event.size_bytes, digest=event.digest)
            earlier = node.keep(event.step, kept)
            kept_bytes += event.size_bytes - (0 if earlier is None else earlier.size_bytes)
            state.dropped.pop((event.node, event.step, event.fence), None)
            for number in state.plans[node.plan].studies:
                study = state.studies[number]
                if study.state in ENDED_STUDY_STATES and (event.node, event.step) in study.boundaries:
                    state.touched_studies[number] = None  # it may go at once
            lease = state.leases.get(event.fence)
            if lease is not None and (event.node, event.step) in lease.promises:
                lease.promises[event.node, event.step] = Promise.KEPT
            elif lease is not None:
                lease.extra_saves.append((event.node, event.step))
        case ev.CheckpointLost() | ev.CheckpointDropped():
            gone = node.let_go(event.step, event.fence)
            kept_bytes -= 0 if gone is None else gone.size_bytes
            state.dropped[event.node, event.step, event.fence] = node.plan
        case _:
            assert_never(event)
    state.checkpoint_bytes[project] = kept_bytes
    state.tree_of(node).mark_state(event.node, event.step)
    state.touched_plans[node.plan] = None
