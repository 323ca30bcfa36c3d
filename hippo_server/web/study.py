"""A study's pages: each tab is a page of its own, under one head.

A tab is a module with ``pages(site)`` that answers with ``show_tab`` and a template which extends ``study.html``.
``TABS`` names them, in order.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hippo_core import words
from hippo_core.engine.engine import Engine
from hippo_core.engine.lookup import find_study
from hippo_core.engine.states import ENDED_STUDY_STATES, StudyState
from hippo_core.engine.study_views import StudyView, study_view
from hippo_server.auth.roles import VIEWERS
from hippo_server.rpc.rendering import rendered
from hippo_server.store import StudyTimes
from hippo_server.web.charts.history import small_history
from hippo_server.web.live import study_subject
from hippo_server.web.page import Page, caller
from hippo_server.web.site import Site
from hippo_wire import json_shapes
from hippo_wire.json_shapes import choice_in_words, sharing_hint
from hippo_wire.summaries import Objective, saved_fraction, seconds_left
from hippo_wire.v1 import study_pb2

TABS = (
    ("", "Summary"),
    ("charts", "Charts"),
    ("trials", "Trials"),
    ("tree", "Stage tree"),
    ("events", "Events"),
    ("configuration", "Configuration"),
)
"""The tabs of a study: the last part of their path, and what they are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyHead:
    """What the head of a study's pages shows."""

    view: StudyView
    user: str
    message: study_pb2.Study
    times: StudyTimes


async def read_study(site: Site, request: Request) -> StudyHead:
    """The study that a path names.

    Raises:
        NotFound: There is none in the caller's project.
    """
    project, name = caller(request).project, request.path_params["study"]

    def look(engine: Engine) -> tuple[StudyView, str]:
        user = find_study(engine.state, project, name).user
        return study_view(engine, project, name, time.monotonic()), user

    view, user = await site.driver.current().read(look)
    times = await site.driver.times()
    return StudyHead(view=view, user=user, message=rendered(view, times), times=times.of_study(view.id))


async def show_tab(site: Site, request: Request, tab: str, template: str, **context: Any) -> Response:
    """One tab of a study.

    Args:
        site: Renders it.
        request: Its path names the study.
        tab: Which, as in ``TABS``.
        template: Extends ``study.html``.
        context: What the template shows beside the head.
    """
    mark = site.mark()
    found = await read_study(site, request)
    state = found.view.state
    return site.show(
        request,
        template,
        mark=mark,
        study=found.view,
        user=found.user,
        times=found.times,
        told_study=json_shapes.study_json(found.message),
        message=found.message,
        subject=study_subject(found.view.id),
        tab=tab,
        tabs=TABS,
        may_pause=state is StudyState.RUNNING,
        may_resume=state is StudyState.PAUSED,
        may_stop=state not in ENDED_STUDY_STATES,
        **context,
    )


def pages(site: Site) -> tuple[Page, ...]:
    """The summary of a study."""

    async def show(request: Request) -> Response:
        wants_history = request.query_params.get("fragment") in (None, "history")
        history = (
            await small_history(site.driver, caller(request).project, request.path_params["study"])
            if wants_history
            else None
        )
        return await show_tab(site, request, "", "study_summary.html", more=_more, history=history)

    return (Page(path="/studies/{study}", roles={"GET": VIEWERS}, answer=show),)


def _more(message: study_pb2.Study) -> dict[str, Any]:
    """What the summary shows beside the study's JSON."""
    saved, left = saved_fraction(message), seconds_left(message)
    return {
        "saved": "–" if saved is None else words.percent(saved),
        "left": "" if left is None else words.duration(left),
        "objectives": Objective.all_of(message),
        "choice": choice_in_words(message),
        "hint": sharing_hint(message),
    }
