"""When studies and workers came, and when studies were changed, wanted points, and ended; for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hippo_server.store.database import Database

StudyChange = tuple[datetime, str, tuple[str, ...]]
"""How a study was extended or edited: when the first command of its transaction was decided, who asked, and lines for
people."""


@dataclass(frozen=True, slots=True)
class StudyTimes:
    """When things happened to a study.

    Attributes:
        created_at: When it was submitted.
        ended_at: When it last ended; None: it has not.
        points_wanted_at: Since when it wants points from outside; None: it wants none.
    """

    created_at: datetime
    ended_at: datetime | None
    points_wanted_at: datetime | None


def study_times(database: Database) -> dict[int, StudyTimes]:
    """See ``Store.study_times``."""
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT id, created_at, ended_at, points_wanted_at FROM studies WHERE deleted_at IS NULL ORDER BY id"
        )
        return {study: StudyTimes(*times) for study, *times in cursor}


def study_changes(database: Database) -> dict[int, list[StudyChange]]:
    """See ``Store.study_changes``."""
    with database.transaction() as cursor:
        cursor.execute(
            """
            SELECT study_specs.study, at, actor, differences
            FROM study_specs JOIN journal ON journal.id = since
            WHERE event = 'StudyChanged' ORDER BY since
            """
        )
        found: dict[int, list[StudyChange]] = {}
        for study, at, actor, differences in cursor:
            found.setdefault(study, []).append((at, actor, tuple(differences)))
        return found


def worker_times(database: Database) -> dict[str, datetime]:
    """See ``Store.worker_times``."""
    with database.transaction() as cursor:
        cursor.execute("SELECT name, registered_at FROM workers ORDER BY name")
        return dict(cursor.fetchall())
