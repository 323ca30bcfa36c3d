"""What changed, as a stream of server-sent events: pages fetch again what they show of it.

An event's id says up to where its reader knows what changed, so that whoever comes back after a cut (``Last-Event-ID``)
hears of all that changed meanwhile, each subject once. The ids of another term of the server, or of another server, say
nothing here: ``reset`` lets the page fetch all again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hippo_core.engine.state import EngineState
from hippo_core.errors import Unavailable
from hippo_server.auth.roles import VIEWERS
from hippo_server.driver import Driver
from hippo_server.news import WORKERS, Subject
from hippo_server.term import Term
from hippo_server.web.page import Page, caller

HEARTBEAT_SECONDS = 15.0
PAUSE_SECONDS = 0.2  #: between two events at least
RETRY_MILLISECONDS = 1000
STUDIES = "studies"


def pages(driver: Driver) -> tuple[Page, ...]:
    """The page that streams."""

    async def listen(request: Request) -> Response:
        term, who = driver.current(), caller(request)
        known = request.headers.get("last-event-id") or request.query_params.get("after", "")
        return StreamingResponse(
            _events(driver, term, who.project, known),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    return (Page(path="/live", roles={"GET": VIEWERS}, answer=listen, streams=True),)


def mark_of(term: Term) -> str:
    """Up to where a page knows what changed that is rendered now."""
    return f"{term.number}.{term.news.mark}"


def study_subject(number: int) -> str:
    """What the pages of a study are about."""
    return f"study/{number}"


async def _events(driver: Driver, term: Term, project: str, known: str) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    news, mark = term.news, _mark(term, known)
    if mark is None:
        mark = news.mark
        yield f"id: {mark_of(term)}\nevent: reset\ndata: {{}}\n\n"
    with driver.metrics.listening(), driver.changes.listen() as changed:
        while not (term.over or driver.closing):
            changed.clear()
            came, subjects = news.mark, _subjects(term.engine.state, news.since(mark), project)
            if subjects:
                try:
                    await term.settled()
                except Unavailable:
                    return
                yield f"id: {term.number}.{came}\nevent: changed\ndata: {json.dumps(subjects)}\n\n"
            mark = came
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                await asyncio.wait_for(changed.wait(), HEARTBEAT_SECONDS)
            except TimeoutError:
                yield ": nothing happens\n\n"


def _mark(term: Term, known: str) -> int | None:
    """Up to where somebody knows what changed; None: nobody can say."""
    number, _, mark = known.partition(".")
    if number != str(term.number) or not mark.isdecimal() or int(mark) > term.news.mark:
        return None
    return int(mark)


def _subjects(state: EngineState, changed: Iterable[Subject], project: str) -> list[str]:
    """What changed, as far as a project may know: also that a study was deleted, whosever it was."""
    found = []
    for each in changed:
        if each == WORKERS:
            found.append(WORKERS)
        elif isinstance(each, int):
            study = state.studies.get(each)
            if study is None or study.project == project:
                found += [STUDIES, study_subject(each)]
    return sorted(set(found))
