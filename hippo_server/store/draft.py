"""A transaction that is still to be written: the records of its batch, and the rows that they come to.

A draft is filled as commands are decided, while the transaction before it is at PostgreSQL: by the time that its own
turn comes, its rows are there. It goes on from where the drafts before it end, and so from what is not committed yet.
That is no risk: where one of those fails, the leader's term is over, and none that follows is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, overload

from hippo_core.engine.events import ProjectDeleted, StudyDeleted
from hippo_server.store.batch import Batch, Open
from hippo_server.store.database import ANY_PLAN, BY_KEYS
from hippo_server.store.deletion import delete_project, delete_study
from hippo_server.store.journal import Record, RequestAnswer, journal
from hippo_server.store.rows import add_event
from hippo_server.store.sql import Script

#: The rows of a record of more events are worked out by whoever writes the draft, and keep nobody else waiting.
MOST_EVENTS = 500


@dataclass(slots=True, eq=False)
class Reach:
    """How far the rows reach, those of drafts included. Each draft moves it on, when those before have their rows.

    Attributes:
        position: The journal's last id.
        open: The open requests.
    """

    position: int
    open: Open


@dataclass(slots=True, eq=False)
class _End:
    """What a draft reaches: None until it has all its rows, and nothing is appended any more."""

    reach: Reach | None = None


class Draft(Sequence[Record]):
    """The records of one transaction, in the order in which they were decided.

    One thread appends until the draft is to be written; from then on it is another's.

    Args:
        term: The leader's.
        batch: The transaction, within the term.
        after: The draft before it, to which nothing is appended any more; None: what that reaches is told later.
    """

    def __init__(self, term: int, batch: int, after: Draft | None = None) -> None:
        self.term = term
        self.batch = batch
        self._records: list[Record] = []
        self._end = _End()
        self._start = _End() if after is None else after._closed()
        self._reach: Reach | None = None
        self._now = datetime.now(UTC)
        self._gathered = 0  # of the records: those that have their rows
        self._is_large = False
        self._wrong: Exception | None = None
        self._rows: Batch | None = None
        self._steps: list[Callable[[Script], None]] = []

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, place: int) -> Record: ...

    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...

    def __getitem__(self, place: int | slice) -> Record | list[Record]:
        return self._records[place]

    def append(self, record: Record) -> None:
        """Adds a record, and works its rows out if that is soon done. What is wrong with it is raised by ``finish``."""
        if not self._records:
            self._now = datetime.now(UTC)
        self._records.append(record)
        self._is_large = self._is_large or len(record.events) > MOST_EVENTS
        if self._is_large or self._wrong is not None:
            return
        self._reach = self._start.reach
        if self._reach is None:
            return
        try:
            self._gather(self._reach)
        except Exception as error:  # noqa: BLE001 - it is raised where the draft is written
            self._wrong = error

    def _closed(self) -> _End:
        """Where the next draft starts; nothing is appended to this one any more."""
        if self._gathered == len(self._records):
            self._end.reach = self._start.reach
        return self._end

    def goes_on_from(self, reach: Reach) -> bool:
        """Whether its rows, as far as it has any, go on from there."""
        return self._reach is None or self._reach is reach

    def finish(self, reach: Reach) -> None:
        """Works out the rows that are not there yet; nothing is appended any more.

        Args:
            reach: That of all that was written before.

        Raises:
            Exception: A record contradicts the rows before it.
        """
        if self._wrong is not None:
            raise self._wrong
        self._reach = reach
        self._gather(reach)
        self._end.reach = reach

    def flush(self, script: Script) -> None:
        """Adds everything to a transaction's statements; may be called again for another try."""
        for step in self._steps:
            step(script)

    def _gather(self, reach: Reach) -> None:
        while self._gathered < len(self._records):
            self._add(self._records[self._gathered], reach)
            self._gathered += 1

    def _add(self, record: Record, reach: Reach) -> None:
        rows = self._rows or self._begin_rows(reach)
        journal(rows, record, reach.position, self.term, self.batch)
        for event in record.events:
            reach.position += 1
            if isinstance(event, StudyDeleted):
                _forget_requests(reach.open, event.study)
                self._steps.append(_at_once(delete_study, study=event.study, now=self._now))
                rows = self._begin_rows(reach)
            elif isinstance(event, ProjectDeleted):
                self._steps.append(_at_once(delete_project, project=event.project))
                rows = self._begin_rows(reach)
            else:
                add_event(rows, event, reach.position)
        if record.answer is not None:
            _answer(rows, record.answer)

    def _begin_rows(self, reach: Reach) -> Batch:
        """Rows that are written after all that there is so far."""
        rows = self._rows = Batch(self._now, reach.open)
        self._steps.append(rows.flush)
        return rows


def _at_once(change: Callable[..., None], **arguments: Any) -> Callable[[Script], None]:
    """A change that is made by statements of its own, after what was gathered."""

    def make(script: Script) -> None:
        script.add(ANY_PLAN)
        change(script.send(), **arguments)
        script.add(BY_KEYS)

    return make


def _forget_requests(opened: Open, study: int) -> None:
    for key in [key for key in opened if key[0] == study]:
        del opened[key]


def _answer(rows: Batch, answer: RequestAnswer) -> None:
    rows.insert(
        "request_answers",
        request_id=answer.request_id,
        method=answer.method,
        digest=answer.digest,
        answer=answer.answer,
    )
