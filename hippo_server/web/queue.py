"""The page of what waits for slots, in which order and why."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from hippo_core.engine.queue_views import queue
from hippo_server.auth.roles import VIEWERS
from hippo_server.web.page import Page, caller
from hippo_server.web.site import Site
from hippo_wire.admin_shapes import account_json
from hippo_wire.v1 import account_pb2


def pages(site: Site) -> tuple[Page, ...]:
    """The page of the queue."""

    async def show(request: Request) -> Response:
        mark, project = site.mark(), caller(request).project
        waiting = await site.driver.current().read(lambda engine: queue(engine, project, time.monotonic()))
        answer = await site.calls.call(request, "AccountService/ListUsers", account_pb2.ListUsersRequest())
        return site.show(
            request,
            "queue.html",
            mark=mark,
            waiting=waiting,
            accounts=[account_json(each) for each in answer.accounts],
        )

    return (Page(path="/queue", roles={"GET": VIEWERS}, answer=show),)
