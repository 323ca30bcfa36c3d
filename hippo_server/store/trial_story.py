"""What the journal and the rows tell of one trial, for its explanation."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hippo_core.engine import journal
from hippo_core.engine.explanation import Told, Training
from hippo_core.engine.states import LeaseState

if TYPE_CHECKING:
    from hippo_server.store.database import Database, Rows

ENTRY = "SELECT id, at, cause, actor, event, body FROM journal"


def trial_events(
    database: Database, study: int, trial: int, nodes: Iterable[int], ancestors: Iterable[int]
) -> list[Told]:
    """A trial's events and the creation of its ancestors, in order, with what befell its path since it was created:
    failures, lost checkpoints, saves that the storage held up.
    """
    with database.reading() as rows:
        own = list(_told(rows, f"{ENTRY} WHERE study = %s AND trial = %s ORDER BY id", study, trial))
        created = own[0].position if own else 0
        failed = _told(
            rows,
            f"{ENTRY} WHERE id IN (SELECT id FROM failures WHERE node = ANY(%s) AND id > %s) ORDER BY id",
            list(nodes),
            created,
        )
        states = _told(
            rows,
            f"""
            {ENTRY} WHERE event IN ('CheckpointLost', 'LeaseBlocked') AND id > %s AND (
                (body->>'node')::bigint = ANY(%s) OR event = 'LeaseBlocked' AND (body->>'fence')::bigint IN (
                    SELECT fence FROM lease_stages WHERE node = ANY(%s)
                )
            ) ORDER BY id
            """,
            created,
            list(nodes),
            list(nodes),
        )
        before = _told(
            rows,
            f"{ENTRY} WHERE study = %s AND trial = ANY(%s) AND event = 'TrialCreated' ORDER BY id",
            study,
            list(ancestors),
        )
        return list(heapq.merge(before, own, failed, states, key=lambda told: told.position))


def probe_events(database: Database, study: int, probes: Iterable[int]) -> list[Told]:
    """The creation of probes, by their numbers, and the ends of their requests, in order."""
    with database.reading() as rows:
        return list(
            _told(
                rows,
                f"""
                {ENTRY} WHERE study = %s AND trial = ANY(%s) AND event IN ('TrialCreated', 'RequestClosed')
                ORDER BY id
                """,
                study,
                list(probes),
            )
        )


def _told(rows: Rows, statement: str, *values: object) -> Iterator[Told]:
    for position, at, cause, actor, kind, body in rows(statement, *values):
        event = journal.from_json(kind, body)
        yield Told(position=position, at=at.timestamp(), cause=cause, actor=actor, event=event)


def trained_in(database: Database, nodes: Iterable[int]) -> list[Training]:
    """What leases have trained of nodes."""
    with database.reading() as rows:
        return [
            Training(
                position=position,
                at=at.timestamp(),
                fence=fence,
                worker=worker,
                slot=slot,
                study=study,
                node=node,
                start=start,
                stop=trained,
                state=LeaseState(state),
                reason=reason,
            )
            for position, at, fence, worker, slot, study, node, start, trained, state, reason in rows(
                """
                SELECT granted, granted_at, fence, coalesce(worker, ''), slot, study, node, start, trained, state,
                       coalesce(nullif(stop_reason, ''), reason)
                FROM lease_stages JOIN leases USING (fence)
                WHERE node = ANY(%s) AND trained > start
                ORDER BY granted, start
                """,
                list(nodes),
            )
        ]
