"""Rows of leases: what was granted, promised and reported."""

from __future__ import annotations

from hippo_core.engine import events as ev
from hippo_core.engine.states import STANDING_LEASE_STATES
from hippo_server.store.batch import Batch
from hippo_server.store.rows.handler import Handler


def _granted(batch: Batch, event: ev.LeaseGranted, position: int) -> None:
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


def _state_changed(batch: Batch, event: ev.LeaseStateChanged, position: int) -> None:
    ended_at = None if event.state in STANDING_LEASE_STATES else batch.now
    batch.update("leases", event.fence, state=event.state, reason=event.reason, ended_at=ended_at)


def _blocked(batch: Batch, event: ev.LeaseBlocked, position: int) -> None:
    batch.update("leases", event.fence, blocked=event.reason)


def _stopped(batch: Batch, event: ev.LeaseStopped, position: int) -> None:
    batch.update("leases", event.fence, stop_saves=event.save, stop_reason=event.reason)


def _reported(batch: Batch, event: ev.ReportAccepted, position: int) -> None:
    batch.update("leases", event.fence, report=event.number)


def _save_point_offered(batch: Batch, event: ev.SavePointOffered, position: int) -> None:
    batch.insert(
        "save_points",
        fence=event.fence,
        node=event.node,
        step=event.step,
        asked=position,
        ordinal=0,
        offered=True,
    )


def _save_point_answered(batch: Batch, event: ev.SavePointAnswered, position: int) -> None:
    batch.update(
        "save_points",
        event.fence,
        event.node,
        event.step,
        answer="will" if event.will else "passed",
        answered=position,
    )


def _fences_skipped(batch: Batch, event: ev.FencesSkipped, position: int) -> None:
    batch.update("identity", 1, skipped_fences=event.fence)


HANDLERS: dict[type, Handler] = {
    ev.LeaseGranted: _granted,
    ev.LeaseStateChanged: _state_changed,
    ev.LeaseBlocked: _blocked,
    ev.LeaseStopped: _stopped,
    ev.ReportAccepted: _reported,
    ev.SavePointOffered: _save_point_offered,
    ev.SavePointAnswered: _save_point_answered,
    ev.FencesSkipped: _fences_skipped,
}
