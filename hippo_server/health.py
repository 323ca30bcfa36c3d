"""How what a server needs stands: its database and its storage."""

from __future__ import annotations

import asyncio
import logging

from hippo_server.metrics import Metrics

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0  #: at most, as each wakes a server that may have nothing else to do


class Health:
    """What was last heard of the database and the storage.

    Args:
        silence_seconds: After how long without a word the database counts as silent.
        metrics: Shows whether the database answers.

    Attributes:
        migrated: Whether the database is up to date.
    """

    def __init__(self, silence_seconds: float, metrics: Metrics) -> None:
        self.migrated = False
        self._silence_seconds = silence_seconds
        self._metrics = metrics
        self._storage_failure = "it is not opened yet"
        self._database_failure = "it is not there yet"
        self._unheard_seconds = 0.0  # of the database, in polls: a pause of the whole process counts as one

    def note_storage(self, failure: str = "") -> None:
        """The storage has answered, or has not, and why."""
        self._storage_failure = failure

    def note_database(self, failure: str = "") -> None:
        """The database has answered, or has not, and why."""
        if self._is_silent and not failure:
            log.info("database_answers", extra={"seconds": round(self._unheard_seconds, 1)})
        self._unheard_seconds = 0.0
        self._database_failure = failure
        self._metrics.database_up(not failure)

    async def notice_silence(self) -> None:
        """Notices a database that is not heard of, until cancelled."""
        poll_seconds = min(POLL_SECONDS, self._silence_seconds / 4.0)
        while True:
            await asyncio.sleep(poll_seconds)
            was_silent = self._is_silent
            self._unheard_seconds += poll_seconds
            if self._is_silent and not was_silent:
                self._database_failure = "it does not answer"
                self._metrics.database_up(False)
                log.warning("database_silent", extra={"seconds": round(self._unheard_seconds, 1)})

    @property
    def _is_silent(self) -> bool:
        # Of the first of the polls hardly any time may have passed since the last word.
        return self._unheard_seconds > self._silence_seconds

    def checks(self, leader: str) -> dict[str, str]:
        """How what a server needs stands, by part: ``ok``, or what is wrong.

        All but the storage decide whether the server is ready: without it, most of what is asked can be answered.

        Args:
            leader: Why calls cannot be answered now; empty where they can.
        """
        found = {
            "database": self._database_failure,
            "migrations": "" if self.migrated else "the database is not up to date yet",
            "leader": leader,
            "storage": self._storage_failure,
        }
        return {part: wrong or "ok" for part, wrong in found.items()}
