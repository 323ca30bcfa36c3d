"""``/api``: what commands print with ``--json``, for programs that speak HTTP.

A long list comes in pages: the header ``Link`` of an answer names the next one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hippo_core.errors import InvalidStudy
from hippo_server.auth.roles import VIEWERS
from hippo_server.web.addresses import query, trial_number
from hippo_server.web.events import event_json, read_events
from hippo_server.web.page import Page
from hippo_server.web.site import Site
from hippo_wire import admin_shapes, json_shapes
from hippo_wire.v1 import admin_pb2, study_pb2

Answer = Callable[[Request], Awaitable[Response]]


def pages(site: Site) -> tuple[Page, ...]:
    """All of ``/api``."""
    calls = site.calls

    async def studies(request: Request) -> Response:
        message = study_pb2.ListStudiesRequest(page_size=_size(request), page_token=_position(request))
        answer = await calls.call(request, "StudyService/ListStudies", message)
        found = [json_shapes.study_json(each) for each in answer.studies]
        return _listed(request, found, answer.next_page_token)

    async def study(request: Request) -> Response:
        message = study_pb2.GetStudyRequest(name=request.path_params["study"])
        answer = await calls.call(request, "StudyService/GetStudy", message)
        return JSONResponse(json_shapes.study_json(answer.study))

    async def trials(request: Request) -> Response:
        message = study_pb2.ListTrialsRequest(
            name=request.path_params["study"], page_size=_size(request), page_token=_position(request)
        )
        answer = await calls.call(request, "StudyService/ListTrials", message)
        found = [json_shapes.trial_json(each) for each in answer.trials]
        return _listed(request, found, answer.next_page_token)

    async def trial(request: Request) -> Response:
        message = study_pb2.GetTrialRequest(
            name=request.path_params["study"], trial=trial_number(request.path_params)
        )
        answer = await calls.call(request, "StudyService/GetTrial", message)
        return JSONResponse(json_shapes.trial_detail_json(answer))

    async def tree(request: Request) -> Response:
        message = study_pb2.GetStageTreeRequest(name=request.path_params["study"])
        answer = await calls.call(request, "StudyService/GetStageTree", message)
        return JSONResponse(json_shapes.stage_tree_json(answer.nodes))

    async def events(request: Request) -> Response:
        found, older = await read_events(site, request, trials=True, size=_size(request) or 100)
        return _listed(
            request, [event_json(each) for each in found], "" if older is None else str(older), "before"
        )

    async def workers(request: Request) -> Response:
        answer = await calls.call(request, "AdminService/ListWorkers", admin_pb2.ListWorkersRequest())
        return JSONResponse([admin_shapes.worker_json(each) for each in answer.workers])

    answers: dict[str, Answer] = {
        "/api/studies": studies,
        "/api/studies/{study}": study,
        "/api/studies/{study}/trials": trials,
        "/api/studies/{study}/trials/{trial}": trial,
        "/api/studies/{study}/tree": tree,
        "/api/studies/{study}/events": events,
        "/api/workers": workers,
    }
    return tuple(Page(path=path, roles={"GET": VIEWERS}, answer=answer) for path, answer in answers.items())


def _size(request: Request) -> int:
    """How many a page is to hold; 0: as many as usual."""
    asked = request.query_params.get("size", "0")
    if not asked.isdecimal() or len(asked) > 4 or int(asked) > 1000:
        raise InvalidStudy(
            "size", f"{asked[:40]!r} is not between 1 and 1000", "Leave it out for as many as usual."
        )
    return int(asked)


def _position(request: Request) -> str:
    return request.query_params.get("after", "")


def _listed(request: Request, found: list[Any], following: str, name: str = "after") -> Response:
    """A list, and where the next page of it is."""
    link = {"Link": f'<{query(request, **{name: following})}>; rel="next"'} if following else {}
    return JSONResponse(found, headers=link)
