"""The journal: what each command came to, event by event, in the order in which it was decided.

An event's id is its number. Metrics that follow each other, of one node in one lease's report, are one row under the
number of the last: most of what happens are metrics, and what is said of a row besides costs as much as they do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hippo_core.engine.events import Event, MetricsRecorded
from hippo_core.engine.journal import fields, from_json
from hippo_server.store.batch import Batch
from hippo_server.store.sql import Written

if TYPE_CHECKING:
    from hippo_server.store.database import Database

METRICS = MetricsRecorded.__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAnswer:
    """The first answer to a request, to be given again to a repeat.

    Attributes:
        request_id: Made by the client.
        method: The method called.
        digest: Of what was asked.
        answer: What was answered.
    """

    request_id: str
    method: str
    digest: str
    answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one command came to.

    Attributes:
        cause: The command's name.
        events: What happened, in order.
        answer: The answer to keep, for commands that carry a request id.
        actor: The user or worker who gave the command; ``server`` where several did, or nobody.
        submissions: How many there were: reports, that are decided together, or one.
    """

    cause: str
    events: tuple[Event, ...]
    answer: RequestAnswer | None
    actor: str
    submissions: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """An event as the journal has it.

    Attributes:
        id: Its place.
        at: When the first command of its transaction was decided.
        term: The leader that decided it.
        batch: The transaction, within the term.
        cause: The command that it followed from.
        actor: The user or worker who gave the command; ``server`` where several did, or nobody.
        event: What happened.
    """

    id: int
    at: datetime
    term: int
    batch: int
    cause: str
    actor: str
    event: Event


def journal(rows: Batch, record: Record, position: int, term: int, batch: int) -> None:
    """Adds a record's events to the journal.

    Args:
        rows: The transaction's.
        record: What a command came to.
        position: The id of the last event before it.
        term: The leader's.
        batch: The transaction, within the term.
    """
    said = {"term": term, "batch": batch, "cause": record.cause, "actor": record.actor}
    events, place = record.events, 0
    while place < len(events):
        event = events[place]
        if isinstance(event, MetricsRecorded):
            count = _alike(events, place)
            place += count
            rows.append(
                "journal",
                id=position + place,
                event=METRICS,
                body=_packed(rows, event, events[place - count : place]),
                **said,
            )
            continue
        place += 1
        body = fields(event)
        rows.append(
            "journal",
            id=position + place,
            event=type(event).__name__,
            body=body,
            study=body.get("study"),
            trial=body.get("trial"),
            **said,
        )


def _alike(events: Sequence[Event], place: int) -> int:
    """How many events from a place on are metrics of the same node, in the same lease."""
    first = events[place]
    assert isinstance(first, MetricsRecorded)
    upto = place + 1
    while upto < len(events):
        event = events[upto]
        if not isinstance(event, MetricsRecorded) or (event.fence, event.node) != (first.fence, first.node):
            break
        upto += 1
    return upto - place


def _packed(rows: Batch, first: MetricsRecorded, events: Sequence[Event]) -> Written:
    def text(metrics: Mapping[str, float | None] | None) -> str:
        return "null" if metrics is None else rows.written(metrics)

    states = ",".join(
        f"[{event.step},{text(event.metrics)},{text(event.training)}]"
        for event in events
        if isinstance(event, MetricsRecorded)
    )
    return Written(f'{{"fence":{first.fence},"node":{first.node},"states":[{states}]}}')


def _unpacked(kind: str, body: Mapping[str, Any]) -> list[Event]:
    if kind != METRICS:
        return [from_json(kind, body)]
    return [
        MetricsRecorded(fence=body["fence"], node=body["node"], step=step, metrics=metrics, training=training)
        for step, metrics, training in body["states"]
    ]


def read_journal(database: Database, after: int) -> Iterator[JournalEntry]:
    """See ``Store.journal``."""
    with database.transaction(snapshot=True) as cursor:
        cursor.execute(
            """
            SELECT id, at, term, batch, cause, actor, event, body FROM journal WHERE id > %s ORDER BY id
            """,
            (after,),
        )
        found = cursor.fetchall()
    for number, at, term, batch, cause, actor, kind, body in found:
        events = _unpacked(kind, body)
        for place, event in enumerate(events, number - len(events) + 1):
            if place > after:
                yield JournalEntry(
                    id=place, at=at, term=term, batch=batch, cause=cause, actor=actor, event=event
                )
