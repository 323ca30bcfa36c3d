"""What the journal tells of one study, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hippo_core.engine import journal
from hippo_core.engine.events import Event
from hippo_core.engine.study_chronicle import KINDS
from hippo_server.store.tables.server import TOLD_OF_STUDIES

if TYPE_CHECKING:
    from hippo_server.store.database import Database

assert {kind.__name__ for kind in KINDS} == set(TOLD_OF_STUDIES), "the index serves what is told"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyEvent:
    """An event of a study.

    Attributes:
        id: Its place in the journal.
        at: When the first command of its transaction was decided.
        actor: The user or worker who gave the command that it followed from; ``server`` where several did, or nobody.
        event: What happened.
    """

    id: int
    at: datetime
    actor: str
    event: Event


def study_chronicle(
    database: Database, study: int, before: int | None, limit: int, trials: bool
) -> list[StudyEvent]:
    """What happened to a study, newest first.

    Args:
        database: Where the journal is.
        study: The study's number.
        before: Only what has a lower id; None: all.
        limit: At most so many.
        trials: Also what happened to its trials, and which paths were granted.
    """
    told = ", ".join(f"'{kind}'" for kind in TOLD_OF_STUDIES)
    with database.transaction() as cursor:
        cursor.execute(
            f"""
            SELECT id, at, actor, event, body FROM journal
            WHERE event IN ({told}) AND study = %(study)s AND id < %(before)s AND (%(trials)s OR event NOT IN (
                'TrialCreated', 'TrialStopped', 'TrialWanted', 'TrialStateChanged', 'LeaseGranted'
            )) ORDER BY id DESC LIMIT %(limit)s
            """,
            {"study": study, "before": 2**62 if before is None else before, "limit": limit, "trials": trials},
        )
        return [
            StudyEvent(id=number, at=at, actor=actor, event=journal.from_json(kind, body))
            for number, at, actor, kind, body in cursor
        ]
