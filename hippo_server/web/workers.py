"""The page of workers: what each slot does, and what keeps it from doing more."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from hippo_server.auth.roles import VIEWERS
from hippo_server.web.page import Page
from hippo_server.web.site import Site
from hippo_wire.admin_shapes import worker_json
from hippo_wire.v1 import admin_pb2

THERE = ("live", "draining")


def pages(site: Site) -> tuple[Page, ...]:
    """The page of workers."""

    async def show(request: Request) -> Response:
        mark = site.mark()
        answer = await site.calls.call(request, "AdminService/ListWorkers", admin_pb2.ListWorkersRequest())
        workers = [worker_json(each) for each in answer.workers]
        registered = {each.name: each.register_time.ToJsonString() for each in answer.workers}
        there = [each for each in workers if each["state"] in THERE]
        slots = [slot for each in there for slot in each["slots"]]
        return site.show(
            request,
            "workers.html",
            mark=mark,
            there=there,
            away=[each for each in workers if each["state"] not in THERE],
            registered=registered,
            busy=sum(slot["fence"] is not None for slot in slots),
            slots=len(slots),
            cordoned=sum(slot["cordoned"] is not None for slot in slots),
        )

    return (Page(path="/workers", roles={"GET": VIEWERS}, answer=show),)
