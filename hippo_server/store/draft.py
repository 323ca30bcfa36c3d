"""A transaction that is still to be written: the records of its batch, and the rows that they come to.

A draft is filled as commands are decided, while the transaction before it is at PostgreSQL: by the time that its own
turn comes, most of its rows are there. It goes on from where the draft before it ends, and so from what is not
committed yet. That is no risk: where that one fails, or is not written at all, none that follows is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, overload

from hippo_core.engine.events import ProjectDeleted, StudyDeleted
from hippo_core.errors import InvariantViolated
from hippo_server.store.batch import Batch, Open
from hippo_server.store.database import ANY_PLAN, BY_KEYS
from hippo_server.store.deletion import delete_project, delete_study
from hippo_server.store.journal import Record, RequestAnswer, journal
from hippo_server.store.rows import add_event
from hippo_server.store.sql import Script

#: Of so many events at most rows are worked out as a record is appended, which keeps its appender waiting. What is not
#: done then is done as others are appended, or else by whoever writes the draft; a record of more events by that alone.
MOST_EVENTS = 500


@dataclass(slots=True, eq=False)
class Reach:
    """How far the rows reach, those of drafts included. Each draft moves it on, when those before have their rows.

    Attributes:
        position: The journal's last id.
        open: The open requests.
        end: That of the draft that was written last; None: none was.
    """

    position: int
    open: Open
    end: End | None = None


@dataclass(slots=True, eq=False)
class End:
    """Where a draft ends, and the next one begins.

    Attributes:
        reach: What it reaches; None until it has all its rows, and nothing is appended any more.
    """

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
        self._end = End()
        self._start = None if after is None else after._closed()
        self._now = datetime.now(UTC)
        self._gathered = 0  # of the records: those that have their rows
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
        """Adds a record, and works out rows as far as that is soon done. What is wrong is raised by ``finish``."""
        if not self._records:
            self._now = datetime.now(UTC)
        self._records.append(record)
        if self._start is None or self._start.reach is None or self._wrong is not None:
            return
        try:
            self._gather(self._start.reach, MOST_EVENTS)
        except Exception as error:  # noqa: BLE001 - it is raised where the draft is written
            self._wrong = error

    def _closed(self) -> End:
        """Where the next draft begins; nothing is appended to this one any more."""
        if self._start is not None and self._gathered == len(self._records):
            self._end.reach = self._start.reach
        return self._end

    def finish(self, reach: Reach) -> None:
        """Works out the rows that are not there yet; nothing is appended any more.

        Args:
            reach: That of all that was written before.

        Raises:
            InvariantViolated: The draft before it is not what was written last.
            Exception: A record contradicts the rows before it.
        """
        if self._start is not None and self._start is not reach.end:
            raise InvariantViolated("a draft goes on from another transaction than the last")
        if self._wrong is not None:
            raise self._wrong
        self._gather(reach)
        reach.end = self._end
        self._end.reach = reach  # last: from now on the next draft's rows move it

    def flush(self, script: Script) -> None:
        """Adds everything to a transaction's statements; may be called again for another try."""
        for step in self._steps:
            step(script)

    def _gather(self, reach: Reach, most: float = math.inf) -> None:
        """Works out rows, of so many events at most."""
        while self._gathered < len(self._records):
            record = self._records[self._gathered]
            most -= max(len(record.events), 1)
            if most < 0:
                return
            self._add(record, reach)
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
