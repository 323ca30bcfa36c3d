"""Rows of plans and their nodes, and of what was trained, measured and saved there."""

from __future__ import annotations

from hippo_core.engine import events as ev
from hippo_server.store.batch import Batch
from hippo_server.store.rows.handler import Handler
from hippo_server.store.tables import CheckpointState


def _plan_created(batch: Batch, event: ev.PlanCreated, position: int) -> None:
    if event.program is not None:
        batch.keep("programs", key=event.program_key, program=event.program)
    batch.insert(
        "plans",
        id=event.plan,
        project=event.project,
        program=event.program_key,
        environment=event.environment,
    )


def _plan_bound(batch: Batch, event: ev.PlanBound, position: int) -> None:
    batch.update("plans", event.plan, environment=event.environment)


def _node_created(batch: Batch, event: ev.NodeCreated, position: int) -> None:
    batch.insert(
        "nodes",
        id=event.node,
        plan=event.plan,
        parent=event.parent,
        start=event.start,
        laws=event.laws.to_json(),
        trained=event.start,
    )


def _not_reproducible(batch: Batch, event: ev.NodeNotReproducible, position: int) -> None:
    batch.update("nodes", event.node, not_reproducible=event.step)


def _steps_trained(batch: Batch, event: ev.StepsTrained, position: int) -> None:
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


def _metrics_recorded(batch: Batch, event: ev.MetricsRecorded, position: int) -> None:
    for table, metrics in (("metrics", event.metrics), ("training_metrics", event.training)):
        if metrics is not None:
            batch.append(
                table, node=event.node, step=event.step, fence=event.fence, metrics=batch.written(metrics)
            )


def _published(batch: Batch, event: ev.CheckpointPublished, position: int) -> None:
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


def _lost(batch: Batch, event: ev.CheckpointLost, position: int) -> None:
    key = (event.node, event.step, event.fence)
    batch.update("checkpoints", *key, state=CheckpointState.LOST, reason=event.reason)


def _dropped(batch: Batch, event: ev.CheckpointDropped, position: int) -> None:
    key = (event.node, event.step, event.fence)
    batch.update("checkpoints", *key, state=CheckpointState.DROPPED, reason=event.reason)


def _pinned(batch: Batch, event: ev.CheckpointPinned, position: int) -> None:
    batch.insert("pins", study=event.study, node=event.node, step=event.step, pinned=True)


def _unpinned(batch: Batch, event: ev.CheckpointUnpinned, position: int) -> None:
    batch.update("pins", event.study, event.node, event.step, pinned=False)


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


def _failures_forgotten(batch: Batch, event: ev.FailuresForgotten, position: int) -> None:
    batch.forget_failures(event.node)


HANDLERS: dict[type, Handler] = {
    ev.PlanCreated: _plan_created,
    ev.PlanBound: _plan_bound,
    ev.NodeCreated: _node_created,
    ev.NodeNotReproducible: _not_reproducible,
    ev.StepsTrained: _steps_trained,
    ev.MetricsRecorded: _metrics_recorded,
    ev.CheckpointPublished: _published,
    ev.CheckpointLost: _lost,
    ev.CheckpointDropped: _dropped,
    ev.CheckpointPinned: _pinned,
    ev.CheckpointUnpinned: _unpinned,
    ev.PathFailed: _path_failed,
    ev.FailuresForgotten: _failures_forgotten,
}
