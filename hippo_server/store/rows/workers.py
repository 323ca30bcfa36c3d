"""Rows of workers and their slots."""

from __future__ import annotations

from hippo_core.engine import events as ev
from hippo_core.engine.states import WorkerState
from hippo_server.store.batch import Batch
from hippo_server.store.rows.handler import Handler


def _registered(batch: Batch, event: ev.WorkerRegistered, position: int) -> None:
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


def _state_changed(batch: Batch, event: ev.WorkerStateChanged, position: int) -> None:
    batch.update("workers", event.worker, state=event.state, reason=event.reason)


def _blocked(batch: Batch, event: ev.WorkerBlocked, position: int) -> None:
    batch.update("workers", event.worker, blocked=event.reason)


def _cordoned(batch: Batch, event: ev.SlotCordoned, position: int) -> None:
    key = (event.worker, event.slot)
    batch.update("slots", *key, cordoned=event.reason, cordoned_by_user=event.by_user)


def _uncordoned(batch: Batch, event: ev.SlotUncordoned, position: int) -> None:
    batch.update("slots", event.worker, event.slot, cordoned="", cordoned_by_user=False)


HANDLERS: dict[type, Handler] = {
    ev.WorkerRegistered: _registered,
    ev.WorkerStateChanged: _state_changed,
    ev.WorkerBlocked: _blocked,
    ev.SlotCordoned: _cordoned,
    ev.SlotUncordoned: _uncordoned,
}
