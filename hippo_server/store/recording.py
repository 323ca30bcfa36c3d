"""What the rows tell of a study as a whole, for its export."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hippo_core.engine import export
from hippo_core.engine.export import ClosedRequest, GrantedLease, TrainedStretch
from hippo_core.engine.states import LeaseState, RequestState

if TYPE_CHECKING:
    from hippo_server.store.database import Database


def study_arrivals(database: Database, study: int) -> list[dict[str, Any]]:
    """In which order the ends of a study's requests came, and what was decided on together."""
    with database.reading() as rows:
        opened = [position for (position,) in rows(
            "SELECT opened FROM requests WHERE study = %s ORDER BY opened", study
        )]  # fmt: skip
        began: list[datetime] = [at for (at,) in rows("SELECT created_at FROM studies WHERE id = %s", study)]
        closed = [
            ClosedRequest(
                trial=trial,
                step=step,
                state=RequestState(state),
                reached=reached,
                by_user=by_user,
                position=position,
                cause=cause,
                at=at.timestamp(),
            )
            for trial, step, state, reached, by_user, position, cause, at in rows(
                """
                SELECT requests.trial, step, state, reached, by_user, closed, cause, at
                FROM requests JOIN journal ON journal.id = requests.closed
                WHERE requests.study = %s AND sequence IS NOT NULL
                ORDER BY sequence
                """,
                study,
            )
        ]
    return export.arrivals(closed, opened, began[0].timestamp()) if began else []


def stretches(database: Database, nodes: Iterable[int]) -> list[dict[str, Any]]:
    """What leases have trained of nodes, and how long it took, in order of the leases."""
    with database.reading() as rows:
        return export.training(
            TrainedStretch(
                fence=fence,
                node=node,
                start=start,
                stop=trained,
                train_seconds=train_seconds,
                evaluate_seconds=evaluate_seconds,
            )
            for fence, node, start, trained, train_seconds, evaluate_seconds in rows(
                """
                SELECT fence, node, start, trained, train_seconds, evaluate_seconds FROM lease_stages
                WHERE node = ANY(%s) AND trained > start
                ORDER BY fence, ordinal
                """,
                list(nodes),
            )
        )


def node_leases(database: Database, study: int, nodes: Iterable[int]) -> list[dict[str, Any]]:
    """Which slots were to train something of nodes, and when, counted from a study's submission."""
    with database.reading() as rows:
        began = _began(rows, study)
        return export.leases(
            (
                GrantedLease(
                    fence=fence,
                    worker=worker,
                    slot=slot,
                    state=LeaseState(state),
                    granted=granted.timestamp(),
                    ended=None if ended is None else ended.timestamp(),
                )
                for fence, worker, slot, state, granted, ended in rows(
                    """
                    SELECT fence, worker, slot, state, granted_at, ended_at FROM leases
                    WHERE fence IN (SELECT fence FROM lease_stages WHERE node = ANY(%s))
                    ORDER BY fence
                    """,
                    list(nodes),
                )
            ),
            began,
        )


def trial_creations(database: Database, study: int) -> list[tuple[int, float]]:
    """When each trial of a study was made, in seconds since its submission."""
    with database.reading() as rows:
        began = _began(rows, study)
        return [
            (trial, max(0.0, round(at.timestamp() - began, 6)))
            for trial, at in rows(
                """
                SELECT number, at FROM trials JOIN journal ON journal.id = trials.created
                WHERE trials.study = %s AND number >> 32 = 0 ORDER BY number
                """,
                study,
            )
        ]


def _began(rows: Callable[..., Iterable[tuple[Any, ...]]], study: int) -> float:
    """When a study was submitted, seconds since 1970 in UTC; of one that is not yet in the database, 0."""
    return next(
        (at.timestamp() for (at,) in rows("SELECT created_at FROM studies WHERE id = %s", study)), 0.0
    )
