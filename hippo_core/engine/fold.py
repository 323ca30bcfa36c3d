"""``apply``: changes the state by one event, and decides nothing.

Each function takes the state and one kind of event. The stage trees are told here what they must look at again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar, assert_never

from hippo_core.engine import events as ev
from hippo_core.engine.state import (
    Added,
    Ended,
    EngineState,
    Observed,
    PlanState,
    Requested,
    Slot,
    Study,
    Trial,
    Worker,
)
from hippo_core.engine.states import (
    LEASE_TRANSITIONS,
    LIVE_LEASE_STATES,
    STUDY_TRANSITIONS,
    TRIAL_TRANSITIONS,
    LeaseState,
    RequestState,
    StudyState,
    WorkerState,
)
from hippo_core.errors import InvariantViolated
from hippo_core.lease import Lease, Promise
from hippo_core.plan import Checkpoint, Failures, Plan
from hippo_core.sequence import Laws
from hippo_core.study import StudySpec
from hippo_core.tree import StageTree


def apply(state: EngineState, event: ev.Event) -> None:
    """Changes the state by one event."""
    state.story.append(event)
    match event:
        case (
            ev.StudySubmitted()
            | ev.StudyChanged()
            | ev.StudyStateChanged()
            | ev.StudyDeleted()
            | ev.StudyPlanned()
            | ev.StudyCredited()
        ):
            _apply_study(state, event)
        case ev.PlanCreated() | ev.PlanBound() | ev.NodeCreated():
            _apply_plan(state, event)
        case (
            ev.TrialCreated()
            | ev.TrialLimited()
            | ev.TrialStateChanged()
            | ev.RequestOpened()
            | ev.RequestClosed()
        ):
            _apply_trial(state, event)
        case ev.WorkerRegistered() | ev.WorkerStateChanged():
            _apply_worker(state, event)
        case (
            ev.LeaseGranted()
            | ev.LeaseStateChanged()
            | ev.LeaseStopped()
            | ev.SavePointOffered()
            | ev.SavePointAnswered()
            | ev.ReportAccepted()
        ):
            _apply_lease(state, event)
        case (
            ev.StepsTrained()
            | ev.MetricsRecorded()
            | ev.NodeNotReproducible()
            | ev.PathFailed()
            | ev.FailuresForgotten()
        ):
            _apply_training(state, event)
        case ev.CheckpointPublished() | ev.CheckpointLost() | ev.CheckpointDropped():
            _apply_checkpoint(state, event)
        case _:
            assert_never(event)


S = TypeVar("S", bound=StrEnum)


def _follow(table: Mapping[S, frozenset[S]], before: S, after: S) -> None:
    """A state may only be followed by one that the table names, or by itself with another reason."""
    if after != before and after not in table.get(before, frozenset()):
        raise InvariantViolated(f"{type(before).__name__}: {before.value} is not followed by {after.value}")


StudyEvent = (
    ev.StudySubmitted
    | ev.StudyChanged
    | ev.StudyStateChanged
    | ev.StudyDeleted
    | ev.StudyPlanned
    | ev.StudyCredited
)


def _apply_study(state: EngineState, event: StudyEvent) -> None:
    match event:
        case ev.StudySubmitted():
            _submit(state, event)
        case ev.StudyChanged():
            study = state.studies[event.study]
            study.spec = StudySpec.from_json(event.spec)
            study.policy = study.spec.build_policy()
            for call in study.history:
                call.tell(study.policy)
            if study.id in state.active:
                state.active[study.id] = study.spec.priority
                _mark_requests(state, study)
            state.touched_studies[study.id] = None
        case ev.StudyStateChanged():
            study = state.studies[event.study]
            _follow(STUDY_TRANSITIONS, study.state, event.state)
            study.state, study.reason = event.state, event.reason
            if event.state is StudyState.RUNNING:
                state.active[study.id] = study.spec.priority
            else:
                state.active.pop(study.id, None)
            _mark_requests(state, study)
            state.touched_studies[study.id] = None
        case ev.StudyDeleted():
            study = state.studies.pop(event.study)
            del state.names[study.project, study.name]
            state.active.pop(study.id, None)
            state.plans[study.plan].studies.pop(study.id, None)
            state.touched_studies.pop(study.id, None)
            for trial in study.trials.values():
                _remove_request(state, study, trial)
        case ev.StudyPlanned():
            study = state.studies[event.study]
            if study.plan:
                state.plans[study.plan].studies.pop(study.id, None)
            study.plan, study.bound = event.plan, event.bound
            state.plans[event.plan].studies[study.id] = None
        case ev.StudyCredited():
            study = state.studies[event.study]
            study.steps_trained += event.steps_trained
            study.steps_retrained += event.steps_retrained
            study.seconds += event.seconds
        case _:
            assert_never(event)


def _submit(state: EngineState, event: ev.StudySubmitted) -> None:
    spec = StudySpec.from_json(event.spec)
    state.studies[event.study] = Study(
        id=event.study,
        project=event.project,
        user=event.user,
        name=event.name,
        program_key=event.program_key,
        spec=spec,
        policy=spec.build_policy(),
    )
    state.names[event.project, event.name] = event.study
    state.active[event.study] = spec.priority
    state.last_study = max(state.last_study, event.study)
    state.touched_studies[event.study] = None


def _mark_requests(state: EngineState, study: Study) -> None:
    for number in study.open:
        node = study.trials[number].node
        if node is not None:
            state.tree_of(node).mark(node.id)
    state.touched_plans[study.plan] = None


PlanEvent = ev.PlanCreated | ev.PlanBound | ev.NodeCreated


def _apply_plan(state: EngineState, event: PlanEvent) -> None:
    match event:
        case ev.PlanCreated():
            plan = Plan(event.plan)
            state.plans[event.plan] = PlanState(
                id=event.plan,
                project=event.project,
                program_key=event.program_key,
                environment=event.environment,
                plan=plan,
                tree=StageTree(plan, state.active),
            )
            state.last_plan = max(state.last_plan, event.plan)
        case ev.PlanBound():
            state.plans[event.plan].environment = event.environment
        case ev.NodeCreated():
            parent = None if event.parent is None else state.nodes[event.parent]
            plan = state.plans[event.plan].plan
            state.nodes[event.node] = plan.add(event.node, parent, event.start, Laws.from_json(event.laws))
            state.last_node = max(state.last_node, event.node)
        case _:
            assert_never(event)


TrialEvent = ev.TrialCreated | ev.TrialLimited | ev.TrialStateChanged | ev.RequestOpened | ev.RequestClosed


def _apply_trial(state: EngineState, event: TrialEvent) -> None:
    study = state.studies[event.study]
    match event:
        case ev.TrialCreated():
            study.trials[event.trial] = Trial(
                number=event.trial,
                assignment=event.assignment,
                sequence=study.spec.sequence(event.assignment),
                max_steps=event.max_steps,
            )
            state.tell(study, Added(event.trial, event.max_steps))
        case ev.TrialLimited():
            study.trials[event.trial].max_steps = event.max_steps
            state.tell(study, Added(event.trial, event.max_steps))
        case ev.TrialStateChanged():
            trial = study.trials[event.trial]
            _follow(TRIAL_TRANSITIONS, trial.state, event.state)
            trial.state, trial.reason = event.state, event.reason
            state.touched_studies[study.id] = None
        case ev.RequestOpened():
            _open_request(state, study, event)
        case ev.RequestClosed():
            _close_request(state, study, event)
        case _:
            assert_never(event)


def _open_request(state: EngineState, study: Study, event: ev.RequestOpened) -> None:
    trial = study.trials[event.trial]
    moved = trial.target == event.step
    _remove_request(state, study, trial)
    node = state.nodes[event.node]
    node.requests.setdefault(event.step, {})[study.id, trial.number] = None
    for each in node.ancestry():
        each.open[study.id] = each.open.get(study.id, 0) + 1
    trial.target, trial.node = event.step, node
    trial.asked = max(trial.asked, event.step)
    study.open[trial.number] = None
    state.tree_of(node).mark(node.id)
    state.touched_requests[study.id, trial.number] = None
    state.touched_plans[node.plan] = None
    if not moved:
        state.tell(study, Requested(trial.number, event.step))


def _close_request(state: EngineState, study: Study, event: ev.RequestClosed) -> None:
    trial = study.trials[event.trial]
    node = trial.node
    _remove_request(state, study, trial)
    study.touched[trial.number] = None
    state.last_sequence = max(state.last_sequence, event.sequence)
    if node is not None and event.reached >= trial.reached:
        trial.reached = event.reached
        trial.reached_node = node.owner(event.reached) if event.reached > 0 else None
        trial.value = event.value
    if event.state is RequestState.REACHED:
        state.tell(study, Observed(trial.number, event.step, event.value))
    elif event.state is RequestState.DIVERGED:
        state.tell(study, Observed(trial.number, event.step, None))
        state.tell(study, Ended(trial.number))
    elif event.state is RequestState.FAILED:
        state.tell(study, Ended(trial.number))
    state.touched_studies[study.id] = None


def _remove_request(state: EngineState, study: Study, trial: Trial) -> None:
    node, step = trial.node, trial.target
    if node is None or step is None:
        return
    waiting = node.requests[step]
    del waiting[study.id, trial.number]
    if not waiting:
        del node.requests[step]
    for each in node.ancestry():
        each.open[study.id] -= 1
        if not each.open[study.id]:
            del each.open[study.id]
    trial.target = None
    study.open.pop(trial.number, None)
    state.touched_requests.pop((study.id, trial.number), None)
    state.tree_of(node).mark(node.id)
    state.touched_plans[node.plan] = None


WorkerEvent = ev.WorkerRegistered | ev.WorkerStateChanged


def _apply_worker(state: EngineState, event: WorkerEvent) -> None:
    match event:
        case ev.WorkerRegistered():
            earlier = state.workers.get(event.worker)
            same = earlier is not None and earlier.incarnation == event.incarnation
            slots = {int(slot["index"]): Slot(**slot) for slot in event.slots}
            if earlier is not None and same:
                for index, slot in slots.items():
                    if index in earlier.slots:
                        slot.fence = earlier.slots[index].fence
                        slot.holds = earlier.slots[index].holds
            state.workers[event.worker] = Worker(
                name=event.worker,
                incarnation=event.incarnation,
                host=event.host,
                environment=event.environment,
                labels=dict(event.labels),
                slots=slots,
            )
        case ev.WorkerStateChanged():
            worker = state.workers[event.worker]
            worker.state, worker.reason = event.state, event.reason
            if event.state in {WorkerState.LOST, WorkerState.GONE}:
                for slot in worker.slots.values():
                    slot.holds = None
        case _:
            assert_never(event)


LeaseEvent = (
    ev.LeaseGranted
    | ev.LeaseStateChanged
    | ev.LeaseStopped
    | ev.SavePointOffered
    | ev.SavePointAnswered
    | ev.ReportAccepted
)


def _apply_lease(state: EngineState, event: LeaseEvent) -> None:
    if isinstance(event, ev.LeaseGranted):
        _grant(state, event)
        return
    lease = state.leases[event.fence]
    tree = state.plans[lease.plan].tree
    match event:
        case ev.LeaseStateChanged():
            _change_lease(state, lease, event)
        case ev.LeaseStopped():
            lease.stopping, lease.stop_saves, lease.stop_reason = True, event.save, event.reason
        case ev.SavePointOffered():
            lease.promises[event.node, event.step] = Promise.OFFERED
            tree.mark_state(event.node, event.step)
        case ev.SavePointAnswered():
            if lease.promises.get((event.node, event.step)) is not Promise.KEPT:
                lease.promises[event.node, event.step] = Promise.WILL if event.will else Promise.PASSED
            tree.mark_state(event.node, event.step)
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
        stages=event.stages,
        start=event.start,
        in_memory=event.in_memory,
        promises=dict.fromkeys(event.save_points, Promise.GRANTED),
    )
    state.leases[event.fence] = lease
    state.last_fence = max(state.last_fence, event.fence)
    worker = state.workers.get(event.worker)
    if worker is not None and event.slot in worker.slots:
        slot = worker.slots[event.slot]
        slot.fence, slot.holds = event.fence, None
    state.plans[event.plan].tree.add_lease(lease)


def _change_lease(state: EngineState, lease: Lease, event: ev.LeaseStateChanged) -> None:
    _follow(LEASE_TRANSITIONS, lease.state, event.state)
    trained = lease.training and event.state in {LeaseState.SAVING, LeaseState.COMPLETED}
    lease.state, lease.reason = event.state, event.reason
    worker = state.workers.get(lease.worker)
    if worker is not None and worker.incarnation == lease.incarnation and lease.slot in worker.slots:
        slot = worker.slots[lease.slot]
        if slot.fence == lease.fence:
            slot.fence = None
            slot.holds = lease.end if trained else None
    tree = state.plans[lease.plan].tree
    if event.state in LIVE_LEASE_STATES:
        tree.mark_lease(lease)
    else:
        tree.remove_lease(lease)
        del state.leases[lease.fence]


TrainingEvent = (
    ev.StepsTrained | ev.MetricsRecorded | ev.NodeNotReproducible | ev.PathFailed | ev.FailuresForgotten
)


def _apply_training(state: EngineState, event: TrainingEvent) -> None:
    node = state.nodes[event.node]
    tree = state.tree_of(node)
    match event:
        case ev.StepsTrained():
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
                node.metrics[event.step] = dict(event.metrics)
                if any(value is None for value in event.metrics.values()):
                    node.nonfinite[event.step] = None
            if event.training is not None:
                node.training[event.step] = dict(event.training)
        case ev.NodeNotReproducible():
            node.not_reproducible = True
        case ev.PathFailed():
            if node.failures is None or node.failures.step != event.step:
                node.failures = Failures(step=event.step)
            node.failures.counts[event.failure.value] = event.count
        case ev.FailuresForgotten():
            node.failures = None
            tree.blocked.discard(node.id)
            tree.mark(node.id)
        case _:
            assert_never(event)
    state.touched_plans[node.plan] = None


CheckpointEvent = ev.CheckpointPublished | ev.CheckpointLost | ev.CheckpointDropped


def _apply_checkpoint(state: EngineState, event: CheckpointEvent) -> None:
    node = state.nodes[event.node]
    match event:
        case ev.CheckpointPublished():
            node.checkpoints.setdefault(event.step, {})[event.fence] = Checkpoint(
                fence=event.fence, size_bytes=event.size_bytes, digest=event.digest
            )
            state.dropped.pop((event.node, event.step, event.fence), None)
            lease = state.leases.get(event.fence)
            if lease is not None and (event.node, event.step) in lease.promises:
                lease.promises[event.node, event.step] = Promise.KEPT
            elif lease is not None:
                lease.extra_saves.append((event.node, event.step))
        case ev.CheckpointLost() | ev.CheckpointDropped():
            kept = node.checkpoints.get(event.step, {})
            kept.pop(event.fence, None)
            if not kept:
                node.checkpoints.pop(event.step, None)
            state.dropped[event.node, event.step, event.fence] = node.plan
        case _:
            assert_never(event)
    state.tree_of(node).mark_state(event.node, event.step)
    state.touched_plans[node.plan] = None
