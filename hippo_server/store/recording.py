"""What the rows tell of a study as a whole, for its export."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hippo_core.engine import export
from hippo_core.engine.export import ClosedRequest, TrainedStretch
from hippo_core.engine.states import RequestState

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
                node=node,
                start=start,
                stop=trained,
                train_seconds=train_seconds,
                evaluate_seconds=evaluate_seconds,
            )
            for node, start, trained, train_seconds, evaluate_seconds in rows(
                """
                SELECT node, start, trained, train_seconds, evaluate_seconds FROM lease_stages
                WHERE node = ANY(%s) AND trained > start
                ORDER BY fence, ordinal
                """,
                list(nodes),
            )
        )
