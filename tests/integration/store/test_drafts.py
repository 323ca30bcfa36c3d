"""Drafts: what is filled while the transaction before it is written, and kept only after that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hippo_core.engine import events as ev
from hippo_core.engine.states import RequestState
from hippo_core.errors import InvariantViolated
from hippo_server.store import Record, Store
from hippo_server.store.draft import MOST_EVENTS
from tests.integration.store.test_schema import execute
from tests.integration.store.test_store import answer_of, record, submission


def ran(times: int) -> Record:
    """A study has run, so many times."""
    return replace(record((ev.StudyRan(study=1, seconds=0.5),) * times), cause="Tick")


@pytest.mark.parametrize("pieces", [1, MOST_EVENTS + 1])
@pytest.mark.parametrize("size", [1, MOST_EVENTS + 1])
def test_a_draft_filled_before_the_one_before_it_is_written_goes_on_from_there(
    store: Store, database_url: str, size: int, pieces: int
) -> None:
    """1. A draft is written. 2. The next one is filled, and one after it. 3. Both are written. Also large ones, whose
    rows are worked out as they are written, and what piles up behind them.
    """
    term = store.lead("one", 5.0)
    first = store.draft(term, 1)
    first.append(record(submission(), answer_of("r1")))
    second = store.draft(term, 2, first)
    store.write(first, term, 1)
    second.append(ran(size))
    third = store.draft(term, 3, second)
    for _ in range(pieces):
        third.append(ran(1))
    store.write(second, term, 2)
    third.append(ran(2))
    store.write(third, term, 3)
    store.write([ran(1)], term, 4)
    entries = list(store.journal())
    submitted = len(submission())
    assert [entry.id for entry in entries] == list(range(1, submitted + size + pieces + 4))
    assert [entry.batch for entry in entries] == [1] * submitted + [2] * size + [3] * (pieces + 2) + [4]
    assert entries[-1].event == ev.StudyRan(study=1, seconds=0.5)
    assert list(store.answers()) == [answer_of("r1")]
    assert execute(database_url, "SELECT ran_seconds FROM studies") == [(0.5 * (size + pieces + 3),)]


def test_what_is_wrong_with_a_record_is_said_when_its_draft_is_written(store: Store) -> None:
    """Whoever decides goes on: what was decided is to fail where all else fails that is not written."""
    term = store.lead("one", 5.0)
    first = store.draft(term, 1)
    first.append(record(submission()))
    second = store.draft(term, 2, first)
    store.write(first, term, 1)
    never_opened = ev.RequestClosed(
        sequence=1, study=1, trial=99, step=1, state=RequestState.CANCELLED, reached=0, value=None
    )
    second.append(record((never_opened,)))
    second.append(ran(1))
    with pytest.raises(KeyError):
        store.write(second, term, 2)
    assert len(list(store.journal())) == len(submission())


@pytest.mark.parametrize(
    ("failing", "following"),
    [(1, 1), (1, MOST_EVENTS + 1), (MOST_EVENTS + 1, 1), (MOST_EVENTS + 1, MOST_EVENTS + 1)],
)
def test_a_draft_that_follows_one_that_failed_is_not_written(
    store: Store, database_url: str, failing: int, following: int
) -> None:
    """1. A draft is filled, and the next. 2. The first fails. 3. The next is refused. 4. What is new is written. Also
    where one of both is large, and has no rows before it is written.
    """
    term = store.lead("one", 5.0)
    store.write([record(submission())], term, 1)
    first = store.draft(term, 2)
    first.append(ran(1))
    second = store.draft(term, 3, first)
    store.write(first, term, 2)
    second.append(record((ev.StudyRan(study=99, seconds=0.5),) * failing))  # which is no study
    third = store.draft(term, 4, second)
    third.append(ran(following))
    with pytest.raises(InvariantViolated, match="are not in studies"):
        store.write(second, term, 3)
    with pytest.raises(InvariantViolated, match="goes on from another"):
        store.write(third, term, 4)
    assert execute(database_url, "SELECT batch FROM leader") == [(2,)]
    store.write([ran(1)], term, 3)
    assert [entry.batch for entry in store.journal()][-2:] == [2, 3]
    assert execute(database_url, "SELECT ran_seconds FROM studies") == [(1.0,)]


@pytest.mark.parametrize("size", [1, MOST_EVENTS + 1])
def test_a_draft_is_not_written_before_the_one_that_it_follows(store: Store, size: int) -> None:
    """1. Two drafts are filled. 2. The second is to be written, and the first was not: it is refused. 3. Nor is it
    written when something else was instead.
    """
    term = store.lead("one", 5.0)
    store.write([record(submission())], term, 1)
    before = store.draft(term, 2)
    before.append(ran(1))
    first = store.draft(term, 3, before)
    store.write(before, term, 2)
    first.append(ran(size))
    second = store.draft(term, 4, first)
    second.append(ran(1))
    with pytest.raises(InvariantViolated, match="goes on from another"):
        store.write(second, term, 4)
    store.write([ran(1)], term, 3)
    with pytest.raises(InvariantViolated, match="goes on from another"):
        store.write(second, term, 4)
    assert [entry.id for entry in store.journal()] == list(range(1, len(submission()) + 3))


def test_a_draft_is_written_as_the_transaction_that_it_is_of(store: Store) -> None:
    term = store.lead("one", 5.0)
    draft = store.draft(term, 1)
    draft.append(record(submission()))
    with pytest.raises(InvariantViolated, match="as another transaction"):
        store.write(draft, term, 2)
    assert list(store.journal()) == []
