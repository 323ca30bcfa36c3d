"""The page of all studies: filtered, sorted and turned over by its address."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hippo_core import words
from hippo_core.engine.engine import Engine
from hippo_core.engine.states import StudyState
from hippo_core.engine.study import Study
from hippo_core.engine.study_views import StudyView, study_view
from hippo_server.auth.roles import VIEWERS
from hippo_server.rpc.rendering import rendered
from hippo_server.times import Times
from hippo_server.web.page import Page, caller
from hippo_server.web.paging import PAGE_ROWS, page_of
from hippo_server.web.site import Site
from hippo_wire import json_shapes
from hippo_wire.summaries import best_words, saved_fraction, seconds_left

SORTS = ("name", "state", "user", "created")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One page of the studies that fit."""

    views: tuple[StudyView, ...]
    users: tuple[str, ...]
    count: int
    page: int
    pages: int


def pages(site: Site) -> tuple[Page, ...]:
    """The page of all studies."""

    async def show(request: Request) -> Response:
        asked = request.query_params
        q, state = asked.get("q", "").strip(), asked.get("state", "")
        sort = asked.get("sort", "-created")
        sort = sort if sort.removeprefix("-") in SORTS else "-created"
        project, driver = caller(request).project, site.driver
        mark = site.mark()
        found = await driver.current().read(
            lambda engine: _listed(engine, project, q, state, sort, asked.get("page", "1"))
        )
        times = await driver.times()
        return site.show(
            request,
            "studies.html",
            mark=mark,
            rows=[_row(view, user, times) for view, user in zip(found.views, found.users, strict=True)],
            count=found.count,
            page=found.page,
            pages=found.pages,
            q=q,
            state_asked=state,
            states=[each.value for each in StudyState],
            sort=sort,
        )

    return (Page(path="/", roles={"GET": VIEWERS}, answer=show),)


def _listed(engine: Engine, project: str, q: str, state: str, sort: str, page: str) -> Listed:
    def fits(study: Study) -> bool:
        return (
            study.project == project
            and q.casefold() in study.name.casefold()
            and (not state or study.state.value == state)
        )

    keys: dict[str, Any] = {
        "name": lambda study: (study.name.casefold(), study.id),
        "state": lambda study: (study.state.value, study.id),
        "user": lambda study: (study.user, study.id),
        "created": lambda study: study.id,
    }
    found = sorted(
        filter(fits, engine.state.studies.values()),
        key=keys[sort.removeprefix("-")],
        reverse=sort.startswith("-"),
    )
    number, count = page_of(page, len(found))
    shown = found[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]
    now = time.monotonic()
    return Listed(
        views=tuple(study_view(engine, project, study.name, now) for study in shown),
        users=tuple(study.user for study in shown),
        count=len(found),
        page=number,
        pages=count,
    )


def _row(view: StudyView, user: str, times: Times) -> dict[str, object]:
    message = rendered(view, times)
    told = json_shapes.study_json(message)
    counts = told["trials"]
    saved, left = saved_fraction(message), seconds_left(message)
    waits = counts["running"] + counts["waiting"] + counts["paused"]
    return {
        "study": view.name,
        "state": told["state"],
        "trials": counts,
        "counts": words.counts(counts),
        "all": sum(counts.values()),
        "ended": sum(counts.values()) - waits,
        "best": best_words(message),
        "steps": told["savings"]["steps_trained"],
        "saved": "" if saved is None else words.percent(saved),
        "left": "" if left is None else words.duration(left),
        "user": user,
        "created_at": _created(view, times),
    }


def _created(view: StudyView, times: Times) -> datetime:
    return times.of_study(view.id).created_at
