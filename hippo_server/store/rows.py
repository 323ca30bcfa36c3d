"""Events as rows: one small function for each kind of event.

``position`` is the event's id in the journal.
"""

from __future__ import annotations

from typing import assert_never

from hippo_core.allowance import Allowance
from hippo_core.engine import events as ev
from hippo_core.engine.journal import to_json
from hippo_core.engine.states import (
    ENDED_STUDY_STATES,
    STANDING_LEASE_STATES,
    RequestState,
    TrialState,
    WorkerState,
)
from hippo_server.store.batch import Batch, OpenRequest
from hippo_server.store.tables import CheckpointState


def add_event(batch: Batch, event: ev.Event, position: int) -> None:
    """Adds what an event changes to a batch. A deleted study is no matter of a batch: see ``deletion``."""
    match event:
        case ev.AccountOpened() | ev.AccountChanged() | ev.TurnsBegun() | ev.ProjectDeleted():
            _add_account_event(batch, event)
        case ev.StudySubmitted():
            _study_submitted(batch, event, position)
        case ev.StudyChanged():
            batch.update("studies", event.study, spec=event.spec)
            batch.insert(
                "study_specs",
                since=position,
                study=event.study,
                spec=event.spec,
                differences=event.differences,
            )
        case ev.StudyStateChanged():
            _study_state_changed(batch, event)
        case ev.StudyPlanned():
            batch.update("studies", event.study, plan=event.plan, planned=position, bound=event.bound)
        case ev.StudyCredited():
            _study_credited(batch, event)
        case ev.StudyDeleted():
            raise TypeError("a deletion is written by itself")
        case (
            ev.StudyRan()
            | ev.EndingHeld()
            | ev.EndingLifted()
            | ev.JudgementWanted()
            | ev.JudgementGiven()
            | ev.JudgementFailed()
        ):
            _add_ending_event(batch, event)
        case ev.PlanCreated() | ev.PlanBound() | ev.NodeCreated() | ev.NodeNotReproducible():
            _add_plan_event(batch, event)
        case (
            ev.TrialCreated()
            | ev.TrialLimited()
            | ev.TrialStopped()
            | ev.TrialWanted()
            | ev.TrialStateChanged()
        ):
            _add_trial_event(batch, event, position)
        case ev.ProposalWanted() | ev.ProposalFailed() | ev.SpaceExhausted() | ev.PointsWanted():
            _add_proposal_event(batch, event)
        case ev.PolicyAnswered() | ev.PolicyFailed() | ev.PolicyForgiven():
            _add_policy_event(batch, event)
        case ev.RequestOpened():
            _request_opened(batch, event, position)
        case ev.RequestClosed():
            _request_closed(batch, event, position)
        case ev.WorkerRegistered():
            _worker_registered(batch, event, position)
        case ev.WorkerStateChanged():
            batch.update("workers", event.worker, state=event.state, reason=event.reason)
        case ev.WorkerBlocked():
            batch.update("workers", event.worker, blocked=event.reason)
        case ev.SlotCordoned():
            key = (event.worker, event.slot)
            batch.update("slots", *key, cordoned=event.reason, cordoned_by_user=event.by_user)
        case ev.SlotUncordoned():
            batch.update("slots", event.worker, event.slot, cordoned="", cordoned_by_user=False)
        case (
            ev.LeaseGranted()
            | ev.LeaseStateChanged()
            | ev.LeaseBlocked()
            | ev.LeaseStopped()
            | ev.ReportAccepted()
            | ev.SavePointOffered()
            | ev.SavePointAnswered()
        ):
            _add_lease_event(batch, event, position)
        case ev.FencesSkipped():
            batch.update("identity", 1, skipped_fences=event.fence)
        case ev.StepsTrained():
            _steps_trained(batch, event)
        case ev.MetricsRecorded():
            _metrics_recorded(batch, event)
        case ev.CheckpointPublished() | ev.CheckpointLost() | ev.CheckpointDropped():
            _add_checkpoint_event(batch, event, position)
        case ev.CheckpointPinned():
            batch.insert("pins", study=event.study, node=event.node, step=event.step, pinned=True)
        case ev.CheckpointUnpinned():
            batch.update("pins", event.study, event.node, event.step, pinned=False)
        case ev.PathFailed():
            _path_failed(batch, event, position)
        case ev.FailuresForgotten():
            batch.forget_failures(event.node)
        case _:
            assert_never(event)


AccountEvent = ev.AccountOpened | ev.AccountChanged | ev.TurnsBegun | ev.ProjectDeleted


def _add_account_event(batch: Batch, event: AccountEvent) -> None:
    match event:
        case ev.AccountOpened():
            batch.keep("projects", name=event.project)
            batch.insert("accounts", project=event.project, name=event.user, allowance=Allowance().to_json())
        case ev.AccountChanged():
            batch.update("accounts", event.project, event.user, allowance=event.allowance)
        case ev.TurnsBegun():
            for user, passed in ((event.user, event.passed), ("", event.project_passed)):
                if passed:
                    batch.update("accounts", event.project, user, how="add", passed=passed)
        case ev.ProjectDeleted():
            raise TypeError("a deletion is written by itself")
        case _:
            assert_never(event)


def _study_submitted(batch: Batch, event: ev.StudySubmitted, position: int) -> None:
    batch.keep("programs", key=event.program_key, program=event.spec["program"])
    batch.insert(
        "studies",
        id=event.study,
        project=event.project,
        name=event.name,
        submitted_by=event.user,
        program=event.program_key,
        spec=event.spec,
        state="running",
    )
    batch.insert("study_specs", since=position, study=event.study, spec=event.spec, differences=())


def _study_state_changed(batch: Batch, event: ev.StudyStateChanged) -> None:
    ended_at = batch.now if event.state in ENDED_STUDY_STATES else None
    batch.update(
        "studies",
        event.study,
        state=event.state,
        reason=event.reason,
        ended_at=ended_at,
        points_wanted_at=None,  # if it runs and wants any, it says so
    )


def _study_credited(batch: Batch, event: ev.StudyCredited) -> None:
    batch.update(
        "studies",
        event.study,
        how="add",
        steps_trained=event.steps_trained,
        steps_retrained=event.steps_retrained,
        seconds=event.seconds,
    )
    if event.billed:
        hour = batch.now.replace(minute=0, second=0, microsecond=0)
        batch.add(
            "bills",
            study=event.study,
            hour=hour,
            slot_microseconds=event.billed,
            gpu_microseconds=event.billed_gpus,
        )
    for user, passed in ((event.user, event.passed), ("", event.project_passed)):
        if event.billed or passed:
            batch.update(
                "accounts",
                event.project,
                user,
                how="add",
                billed=event.billed,
                billed_gpus=event.billed_gpus,
                passed=passed,
            )


EndingEvent = (
    ev.StudyRan
    | ev.EndingHeld
    | ev.EndingLifted
    | ev.JudgementWanted
    | ev.JudgementGiven
    | ev.JudgementFailed
)


def _add_ending_event(batch: Batch, event: EndingEvent) -> None:
    match event:
        case ev.StudyRan():
            batch.update("studies", event.study, how="add", ran_seconds=event.seconds)
        case ev.EndingHeld():
            batch.update("studies", event.study, ending=event.ending, ending_reason=event.reason)
        case ev.EndingLifted():
            batch.update("studies", event.study, ending="", ending_reason="")
        case ev.JudgementWanted():
            asked = {name: value for name, value in to_json(event).items() if name != "study"}
            batch.update("studies", event.study, asked=asked, judged=None)
        case ev.JudgementGiven():
            batch.update("studies", event.study, judged={"ends": event.ends, "reason": event.reason})
        case ev.JudgementFailed():
            batch.update("studies", event.study, judged={"failures": event.failures, "reason": event.reason})
        case _:
            assert_never(event)


def _add_plan_event(
    batch: Batch, event: ev.PlanCreated | ev.PlanBound | ev.NodeCreated | ev.NodeNotReproducible
) -> None:
    match event:
        case ev.PlanCreated():
            if event.program is not None:
                batch.keep("programs", key=event.program_key, program=event.program)
            batch.insert(
                "plans",
                id=event.plan,
                project=event.project,
                program=event.program_key,
                environment=event.environment,
            )
        case ev.PlanBound():
            batch.update("plans", event.plan, environment=event.environment)
        case ev.NodeCreated():
            batch.insert(
                "nodes",
                id=event.node,
                plan=event.plan,
                parent=event.parent,
                start=event.start,
                laws=event.laws,
                trained=event.start,
            )
        case ev.NodeNotReproducible():
            batch.update("nodes", event.node, not_reproducible=event.step)
        case _:
            assert_never(event)


def _add_trial_event(
    batch: Batch,
    event: ev.TrialCreated | ev.TrialLimited | ev.TrialStopped | ev.TrialWanted | ev.TrialStateChanged,
    position: int,
) -> None:
    match event:
        case ev.TrialCreated():
            batch.insert(
                "trials",
                study=event.study,
                number=event.trial,
                assignment=event.assignment,
                first_max_steps=event.max_steps,
                max_steps=event.max_steps,
                state=TrialState.WAITING,
                created=position,
                notes=event.notes,
                fork=event.fork,
                enqueued=event.enqueued,
            )
        case ev.TrialLimited():
            batch.insert(
                "trial_limits",
                raised=position,
                study=event.study,
                trial=event.trial,
                max_steps=event.max_steps,
            )
            batch.update("trials", event.study, event.trial, max_steps=event.max_steps)
        case ev.TrialWanted():
            batch.update("trials", event.study, event.trial, wanted=event.step)
        case ev.TrialStopped():
            batch.insert("trial_stops", stopped=position, study=event.study, trial=event.trial)
        case ev.TrialStateChanged():
            batch.update("trials", event.study, event.trial, state=event.state, reason=event.reason)
        case _:
            assert_never(event)


def _add_proposal_event(
    batch: Batch, event: ev.ProposalWanted | ev.ProposalFailed | ev.SpaceExhausted | ev.PointsWanted
) -> None:
    match event:
        case ev.ProposalWanted():
            batch.insert(
                "proposals",
                study=event.study,
                trial=event.trial,
                sequence=event.sequence,
                pending=event.pending,
                max_steps=event.max_steps,
            )
        case ev.ProposalFailed():
            batch.update("proposals", event.study, event.trial, failures=event.failures, reason=event.reason)
        case ev.SpaceExhausted():
            batch.update("studies", event.study, exhausted=event.points)
        case ev.PointsWanted():
            batch.update("studies", event.study, points_wanted_at=batch.now if event.wanted else None)
        case _:
            assert_never(event)


def _add_policy_event(batch: Batch, event: ev.PolicyAnswered | ev.PolicyFailed | ev.PolicyForgiven) -> None:
    match event:
        case ev.PolicyAnswered():
            batch.insert(
                "policy_answers",
                study=event.study,
                number=event.number,
                mark=event.mark,
                max_trials=event.max_trials,
                finish=event.finish,
            )
        case ev.PolicyFailed():
            batch.insert(
                "policy_failures",
                study=event.study,
                number=event.number,
                failures=event.failures,
                reason=event.reason,
            )
        case ev.PolicyForgiven():
            batch.update("policy_failures", event.study, event.number, failures=0, reason="")
        case _:
            assert_never(event)


def _request_opened(batch: Batch, event: ev.RequestOpened, position: int) -> None:
    """Opens a request. An open one for the same step moves to the node; one for another step is replaced."""
    earlier = batch.open.get((event.study, event.trial))
    if earlier is not None and (earlier.step, earlier.by_user) == (event.step, event.by_user):
        batch.update("requests", earlier.opened, node=event.node)
        return
    if earlier is not None:
        batch.update("requests", earlier.opened, state=RequestState.CANCELLED, closed=position)
    batch.open[event.study, event.trial] = OpenRequest(position, event.step, event.by_user)
    batch.insert(
        "requests",
        opened=position,
        study=event.study,
        trial=event.trial,
        step=event.step,
        node=event.node,
        by_user=event.by_user,
        state=RequestState.OPEN,
    )


def _request_closed(batch: Batch, event: ev.RequestClosed, position: int) -> None:
    opened = batch.open.pop((event.study, event.trial)).opened
    batch.update(
        "requests",
        opened,
        state=event.state,
        closed=position,
        sequence=event.sequence,
        reached=event.reached,
        value=event.value,
    )


def _worker_registered(batch: Batch, event: ev.WorkerRegistered, position: int) -> None:
    columns = {
        "incarnation": event.incarnation,
        "host": event.host,
        "environment": event.environment,
        "labels": event.labels,
        "state": WorkerState.LIVE,
        "blocked": "",
        "registered": position,
    }
    slots = [
        {"slot": slot["index"], **{name: slot[name] for name in ("device", "model", "cpus", "gpus")}}
        for slot in event.slots
    ]
    batch.register_worker(event.worker, columns, slots)


LeaseEvent = (
    ev.LeaseGranted
    | ev.LeaseStateChanged
    | ev.LeaseBlocked
    | ev.LeaseStopped
    | ev.ReportAccepted
    | ev.SavePointOffered
    | ev.SavePointAnswered
)


def _add_lease_event(batch: Batch, event: LeaseEvent, position: int) -> None:
    match event:
        case ev.LeaseGranted():
            _lease_granted(batch, event, position)
        case ev.LeaseStateChanged():
            ended_at = None if event.state in STANDING_LEASE_STATES else batch.now
            batch.update("leases", event.fence, state=event.state, reason=event.reason, ended_at=ended_at)
        case ev.LeaseBlocked():
            batch.update("leases", event.fence, blocked=event.reason)
        case ev.LeaseStopped():
            batch.update("leases", event.fence, stop_saves=event.save, stop_reason=event.reason)
        case ev.ReportAccepted():
            batch.update("leases", event.fence, report=event.number)
        case ev.SavePointOffered():
            batch.insert(
                "save_points",
                fence=event.fence,
                node=event.node,
                step=event.step,
                asked=position,
                ordinal=0,
                offered=True,
            )
        case ev.SavePointAnswered():
            batch.update(
                "save_points",
                event.fence,
                event.node,
                event.step,
                answer="will" if event.will else "passed",
                answered=position,
            )
        case _:
            assert_never(event)


def _lease_granted(batch: Batch, event: ev.LeaseGranted, position: int) -> None:
    node, step, fence = event.start if event.start is not None else (None, None, None)
    batch.insert(
        "leases",
        fence=event.fence,
        worker=event.worker or None,
        incarnation=event.incarnation,
        slot=event.slot,
        plan=event.plan,
        study=event.study,
        start_node=node,
        start_step=step,
        start_fence=fence,
        in_memory=event.in_memory,
        state="training",
        granted=position,
    )
    for ordinal, (node, start, stop) in enumerate(event.stages):
        batch.insert(
            "lease_stages",
            fence=event.fence,
            node=node,
            ordinal=ordinal,
            start=start,
            stop=stop,
            trained=start,
        )
    for ordinal, (node, step) in enumerate(event.save_points):
        batch.insert(
            "save_points",
            fence=event.fence,
            node=node,
            step=step,
            asked=position,
            ordinal=ordinal,
            offered=False,
        )


def _steps_trained(batch: Batch, event: ev.StepsTrained) -> None:
    batch.update("nodes", event.node, how="raise", trained=event.stop)
    batch.update(
        "nodes",
        event.node,
        how="add",
        steps=event.stop - event.start,
        seconds=event.train_seconds + event.evaluate_seconds,
    )
    batch.update("lease_stages", event.fence, event.node, how="raise", trained=event.stop)
    batch.update(
        "lease_stages",
        event.fence,
        event.node,
        how="add",
        train_seconds=event.train_seconds,
        evaluate_seconds=event.evaluate_seconds,
    )


def _metrics_recorded(batch: Batch, event: ev.MetricsRecorded) -> None:
    for table, metrics in (("metrics", event.metrics), ("training_metrics", event.training)):
        if metrics is not None:
            batch.insert(table, node=event.node, step=event.step, fence=event.fence, metrics=metrics)


def _add_checkpoint_event(
    batch: Batch, event: ev.CheckpointPublished | ev.CheckpointLost | ev.CheckpointDropped, position: int
) -> None:
    match event:
        case ev.CheckpointPublished():
            batch.insert(
                "checkpoints",
                node=event.node,
                step=event.step,
                fence=event.fence,
                size_bytes=event.size_bytes,
                digest=event.digest,
                state=CheckpointState.KEPT,
                published=position,
            )
        case ev.CheckpointLost():
            key = (event.node, event.step, event.fence)
            batch.update("checkpoints", *key, state=CheckpointState.LOST, reason=event.reason)
        case ev.CheckpointDropped():
            key = (event.node, event.step, event.fence)
            batch.update("checkpoints", *key, state=CheckpointState.DROPPED, reason=event.reason)
        case _:
            assert_never(event)


def _path_failed(batch: Batch, event: ev.PathFailed, position: int) -> None:
    batch.insert(
        "failures",
        id=position,
        node=event.node,
        step=event.step,
        fence=event.fence,
        failure=event.failure,
        count=event.count,
        message=event.message,
        traceback=event.traceback,
        died=event.died,
    )
