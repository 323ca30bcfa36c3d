"""Rows of points that are wanted, and of what users' own policies answered."""

from __future__ import annotations

from hippo_core.engine import events as ev
from hippo_server.store.batch import Batch
from hippo_server.store.rows.handler import Handler


def _wanted(batch: Batch, event: ev.ProposalWanted, position: int) -> None:
    batch.insert(
        "proposals",
        study=event.study,
        trial=event.trial,
        sequence=event.sequence,
        pending=event.pending,
        max_steps=event.max_steps,
    )


def _failed(batch: Batch, event: ev.ProposalFailed, position: int) -> None:
    batch.update("proposals", event.study, event.trial, failures=event.failures, reason=event.reason)


def _exhausted(batch: Batch, event: ev.SpaceExhausted, position: int) -> None:
    batch.update("studies", event.study, exhausted=event.points)


def _points_wanted(batch: Batch, event: ev.PointsWanted, position: int) -> None:
    batch.update("studies", event.study, points_wanted_at=batch.now if event.wanted else None)


def _policy_answered(batch: Batch, event: ev.PolicyAnswered, position: int) -> None:
    batch.insert(
        "policy_answers",
        study=event.study,
        number=event.number,
        mark=event.mark,
        max_trials=event.max_trials,
        finish=event.finish,
    )


def _policy_failed(batch: Batch, event: ev.PolicyFailed, position: int) -> None:
    batch.insert(
        "policy_failures",
        study=event.study,
        number=event.number,
        failures=event.failures,
        reason=event.reason,
    )


def _policy_forgiven(batch: Batch, event: ev.PolicyForgiven, position: int) -> None:
    batch.update("policy_failures", event.study, event.number, failures=0, reason="")


HANDLERS: dict[type, Handler] = {
    ev.ProposalWanted: _wanted,
    ev.ProposalFailed: _failed,
    ev.SpaceExhausted: _exhausted,
    ev.PointsWanted: _points_wanted,
    ev.PolicyAnswered: _policy_answered,
    ev.PolicyFailed: _policy_failed,
    ev.PolicyForgiven: _policy_forgiven,
}
