"""The writer of a term, on a store that the test holds: whatever becomes of it, everybody who waits hears of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from hippo_core.engine.events import AccountOpened
from hippo_core.errors import Unavailable
from hippo_server.commits import GroupCommit
from hippo_server.metrics import Metrics
from hippo_server.store import Record

PATIENCE_SECONDS = 30.0


class LosingStore:
    """A store whose one transaction is held until the test lets it fail."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.go = threading.Event()

    def draft(self, term: int, batch: int, after: object = None) -> list[Record]:
        """A list will do."""
        return []

    def write(self, records: Sequence[Record], term: int, batch: int) -> None:
        """Fails."""
        self.entered.set()
        assert self.go.wait(PATIENCE_SECONDS)
        raise Unavailable("the database went away")


def opened(user: str) -> Record:
    """An account."""
    event = AccountOpened(project="default", user=user)
    return Record(cause="SubmitStudy", events=(event,), answer=None, actor=user)


async def failing(store: Any) -> GroupCommit:
    """A writer with a transaction under way that is to fail."""
    commits = GroupCommit(store, 1, Metrics(CollectorRegistry()), lambda position, began: None)
    commits.put([opened("one")])
    assert await asyncio.to_thread(store.entered.wait, PATIENCE_SECONDS)
    return commits


async def unavailable(*waiting: asyncio.Task[Any]) -> None:
    """All of them hear it."""
    done, pending = await asyncio.wait(waiting, timeout=PATIENCE_SECONDS)
    assert not pending, "some are never answered"
    assert all(isinstance(each.exception(), Unavailable) for each in done)


async def test_who_waits_for_a_transaction_that_fails_hears_of_it() -> None:
    """1. A transaction is under way. 2. One waits for it, one for what the next is to write, and two have jobs for the
    thread: a renewal, and another. 3. The transaction fails, and the thread ends. 4. All four hear, and no job is done.
    """
    store, ran = LosingStore(), list[int]()
    commits = await failing(store)
    waiting = [asyncio.create_task(commits.committed())]
    await asyncio.sleep(0)
    commits.put([opened("two")])
    waiting += [
        asyncio.create_task(commits.committed()),
        asyncio.create_task(commits.run(lambda: ran.append(1))),
        asyncio.create_task(commits.run(lambda: ran.append(2))),
    ]
    await asyncio.sleep(0)
    store.go.set()
    await unavailable(*waiting)
    await commits.close()
    assert ran == []


async def test_a_job_that_comes_before_word_of_the_failure_is_refused_too() -> None:
    """1. A transaction fails, and the thread ends; the loop has not got round to hearing of it. 2. A job is given to
    the thread that is no more. 3. It is refused; and so is one that comes later.
    """
    store = LosingStore()
    commits = await failing(store)
    store.go.set()
    commits._thread.join(PATIENCE_SECONDS)  # while the loop is held
    assert not commits.failed.done()
    await unavailable(asyncio.create_task(commits.run(lambda: None)))
    with pytest.raises(Unavailable):
        await commits.run(lambda: None)
    await commits.close()


async def test_a_job_given_before_the_writer_is_closed_is_done() -> None:
    """Nothing has failed: the thread ends when it has done what it was given."""
    store: Any = LosingStore()
    commits = GroupCommit(store, 1, Metrics(CollectorRegistry()), lambda position, began: None)
    job = asyncio.create_task(commits.run(lambda: "done"))
    await asyncio.sleep(0)
    await commits.close()
    assert await job == "done"


async def test_whatever_ends_the_writer_is_heard_of() -> None:
    """The store cannot begin the draft that comes next; one waits for a commit, and another has a job."""

    class DraftingNoMore(LosingStore):
        def draft(self, term: int, batch: int, after: object = None) -> list[Record]:
            if after is not None:
                raise MemoryError
            return super().draft(term, batch)

    store: Any = DraftingNoMore()
    commits = GroupCommit(store, 1, Metrics(CollectorRegistry()), lambda position, began: None)
    with commits._condition:  # the thread finds both
        commits.put([opened("one")])
        waiting = [asyncio.create_task(commits.committed()), asyncio.create_task(commits.run(lambda: None))]
        await asyncio.sleep(0)
    await unavailable(*waiting)
    assert isinstance(commits.failed.result(), MemoryError)
    await commits.close()
