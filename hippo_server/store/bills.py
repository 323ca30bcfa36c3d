"""What studies were billed, by the hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hippo_server.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a study was billed.

    Attributes:
        id: The study's number.
        project: The project.
        user: Who submitted it.
        study: Its name.
        deleted: Whether it was deleted since.
        slot_microseconds: Its part of what was trained for it.
        gpu_microseconds: The same, times the GPUs of the slots.
    """

    id: int
    project: str
    user: str
    study: str
    deleted: bool
    slot_microseconds: int
    gpu_microseconds: int


def find_bills(database: Database, project: str | None, since: datetime | None) -> list[Bill]:
    """See ``Store.find_bills``."""
    with database.transaction() as cursor:
        cursor.execute(
            """
            SELECT id, project, submitted_by, name, deleted_at IS NOT NULL,
                   sum(slot_microseconds)::bigint, sum(gpu_microseconds)::bigint
            FROM bills JOIN studies ON studies.id = bills.study
            WHERE (%(project)s::text IS NULL OR project = %(project)s)
              AND (%(since)s::timestamptz IS NULL OR hour >= date_trunc('hour', %(since)s::timestamptz))
            GROUP BY id ORDER BY id
            """,
            {"project": project, "since": since},
        )
        return [
            Bill(
                id=number,
                project=owner,
                user=user,
                study=name,
                deleted=deleted,
                slot_microseconds=slots,
                gpu_microseconds=gpus,
            )
            for number, owner, user, name, deleted, slots, gpus in cursor
        ]
