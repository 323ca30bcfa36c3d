"""Rows of trials, and of what is asked of them."""

from __future__ import annotations

from hippo_core.engine import events as ev
from hippo_core.engine.states import RequestState, TrialState
from hippo_server.store.batch import Batch, OpenRequest
from hippo_server.store.rows.handler import Handler


def _created(batch: Batch, event: ev.TrialCreated, position: int) -> None:
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


def _limited(batch: Batch, event: ev.TrialLimited, position: int) -> None:
    batch.insert(
        "trial_limits",
        raised=position,
        study=event.study,
        trial=event.trial,
        max_steps=event.max_steps,
    )
    batch.update("trials", event.study, event.trial, max_steps=event.max_steps)


def _wanted(batch: Batch, event: ev.TrialWanted, position: int) -> None:
    batch.update("trials", event.study, event.trial, wanted=event.step)


def _stopped(batch: Batch, event: ev.TrialStopped, position: int) -> None:
    batch.insert("trial_stops", stopped=position, study=event.study, trial=event.trial)


def _state_changed(batch: Batch, event: ev.TrialStateChanged, position: int) -> None:
    batch.update("trials", event.study, event.trial, state=event.state, reason=event.reason)


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


HANDLERS: dict[type, Handler] = {
    ev.TrialCreated: _created,
    ev.TrialLimited: _limited,
    ev.TrialWanted: _wanted,
    ev.TrialStopped: _stopped,
    ev.TrialStateChanged: _state_changed,
    ev.RequestOpened: _request_opened,
    ev.RequestClosed: _request_closed,
}
