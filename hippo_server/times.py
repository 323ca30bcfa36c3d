"""When things happened, and by whom, for people: read from the database, and kept until it changes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from hippo_server.store import Store, StudyChange, StudyTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When things happened to studies, and how they were changed, by number; when workers last registered, by name."""

    studies: dict[int, StudyTimes]
    changes: dict[int, list[StudyChange]]
    workers: dict[str, datetime]

    def of_study(self, number: int) -> StudyTimes:
        """When things happened to a study. One that is not yet in the database is created now."""
        return self.studies.get(number) or StudyTimes(datetime.now(UTC), None, None)


class TimesBook:
    """Times as they were last read. To be used in one event loop."""

    def __init__(self) -> None:
        self._known: Times | None = None
        self._version = 0

    def forget(self) -> None:
        """The rows have changed; to be called after their commit."""
        self._known = None
        self._version += 1

    async def look_up(self, store: Store) -> Times:
        """The times, read anew where they were forgotten.

        Raises:
            Unavailable: The database cannot answer now.
        """
        while self._known is None:
            version = self._version
            studies, changes, workers = await asyncio.to_thread(
                lambda: (store.study_times(), store.study_changes(), store.worker_times())
            )
            if version == self._version:  # else what was read is older than what was committed meanwhile
                self._known = Times(studies=studies, changes=changes, workers=workers)
        return self._known
