"""What happened to a study, newest first, page by page."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hippo_core.engine.lookup import find_study
from hippo_core.engine.study_chronicle import in_words
from hippo_server.auth.roles import VIEWERS
from hippo_server.store.study_chronicle import StudyEvent
from hippo_server.web.page import Page, caller
from hippo_server.web.site import Site
from hippo_server.web.study import show_tab

PAGE_EVENTS = 100


def pages(site: Site) -> tuple[Page, ...]:
    """A study's events."""

    async def show(request: Request) -> Response:
        found, older = await read_events(site, request, trials=request.query_params.get("trials") != "no")
        return await show_tab(
            site,
            request,
            "events",
            "study_events.html",
            events=[(event_json(each), getattr(each.event, "trial", None)) for each in found],
            older=older,
            trials=request.query_params.get("trials") != "no",
        )

    return (Page(path="/studies/{study}/events", roles={"GET": VIEWERS}, answer=show),)


async def read_events(
    site: Site, request: Request, *, trials: bool, size: int = PAGE_EVENTS
) -> tuple[list[StudyEvent], int | None]:
    """One page of events of the study that a path names; and before which the next one begins, where there is one.

    Raises:
        NotFound: There is no such study in the caller's project.
    """
    project, name = caller(request).project, request.path_params["study"]
    number = await site.driver.current().read(lambda engine: find_study(engine.state, project, name).id)
    asked = request.query_params.get("before", "")
    before = int(asked) if asked.isdecimal() and len(asked) < 19 else None
    found = await asyncio.to_thread(
        site.driver.store.study_chronicle, number, before=before, limit=size + 1, trials=trials
    )
    return found[:size], found[size - 1].id if len(found) > size else None


def event_json(event: StudyEvent) -> dict[str, Any]:
    """An event of a study, as ``/api`` answers it."""
    word, particulars = in_words(event.event)
    return {
        "id": event.id,
        "at": event.at.isoformat(timespec="seconds"),
        "event": word,
        "reason": particulars,
        "by": event.actor,
    }
