"""The audit log: who asked for what from where, and what became of it. Rows are added, and never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime

from psycopg2.extras import execute_values

from hippo_server.store.database import Database

UNAUTHENTICATED = "UNAUTHENTICATED"
"""The result of a call by nobody knows whom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that changes something, or that was refused for who asked.

    Attributes:
        at: When it was answered.
        actor: The token's name; empty: nobody knows.
        role: The token's role.
        project: The token's project.
        peer: The address that it came from.
        method: What was called.
        subject: What it was about: a study, a trial, a worker, a token.
        request_id: Made by the client; empty: the method has none.
        digest: SHA-256 of the message, in hexadecimal digits; empty: it was refused before it was read.
        result: ``OK``, or the code of the error.
    """

    at: datetime
    actor: str
    role: str
    project: str
    peer: str
    method: str
    subject: str
    request_id: str
    digest: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """A call in the log.

    Attributes:
        id: Its number; they grow.
        call: The call.
    """

    id: int
    call: Call


_COLUMNS = "at, actor, role, project, peer, method, subject, request_id, digest, result"


def add_calls(database: Database, calls: Sequence[Call]) -> None:
    """Adds calls, in one transaction."""
    rows = [astuple(call) for call in calls]
    database.change(lambda cursor: execute_values(cursor, f"INSERT INTO audit ({_COLUMNS}) VALUES %s", rows))


def find_calls(
    database: Database,
    *,
    project: str | None,
    actor: str | None,
    denied: bool,
    before: int | None,
    limit: int,
) -> list[Audited]:
    """Calls, newest first.

    Args:
        database: Where they are.
        project: Only those of a project's tokens; None: of all, and of nobody.
        actor: Only those of a token; None: of all.
        denied: Only those that were refused for who asked.
        before: Only those with lower numbers; None: all.
        limit: At most so many.
    """
    conditions = {
        "project = %(project)s": project is not None,
        "actor = %(actor)s": actor is not None,
        "result IN ('NOT_ALLOWED', 'UNAUTHENTICATED')": denied,
        "id < %(before)s": before is not None,
    }
    where = " AND ".join(["true", *(text for text, holds in conditions.items() if holds)])
    with database.transaction() as cursor:
        cursor.execute(
            f"SELECT id, {_COLUMNS} FROM audit WHERE {where} ORDER BY id DESC LIMIT %(limit)s",
            {"project": project, "actor": actor, "before": before, "limit": limit},
        )
        names = _COLUMNS.split(", ")
        return [Audited(id=row[0], call=Call(**dict(zip(names, row[1:], strict=True)))) for row in cursor]
