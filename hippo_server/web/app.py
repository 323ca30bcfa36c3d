"""All pages of a server: the dashboard's, and for programs whether it lives, is ready, and what it counts."""

from __future__ import annotations

import contextlib

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from hippo_core.errors import Unavailable
from hippo_server.audit import Audit
from hippo_server.auth.limits import Door
from hippo_server.auth.roles import EVERYBODY
from hippo_server.tls import Certificates
from hippo_server.web import (
    action_pages,
    administration,
    api,
    configuration,
    events,
    live,
    login,
    queue,
    static_files,
    studies,
    study,
    study_charts,
    tree,
    trial,
    trials,
    workers,
)
from hippo_server.web.gate import Gate
from hippo_server.web.page import Page
from hippo_server.web.site import Site

OPEN = None


def make_pages(site: Site, certificates: Certificates | None = None) -> tuple[Page, ...]:
    """All pages there are.

    Args:
        site: Renders those for people, and knows what answers.
        certificates: The server's; None: nothing is encrypted.
    """
    driver = site.driver

    async def livez(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        reasons = driver.reasons()
        return JSONResponse(
            {
                "ready": not reasons,
                "reasons": reasons,
                "checks": driver.health.checks(next(iter(reasons), "")),
            },
            status_code=200 if not reasons else 503,
        )

    async def metrics(request: Request) -> Response:
        with contextlib.suppress(Unavailable):
            await driver.current().read(driver.metrics.engine.look_at)
        driver.metrics.encryption(None if certificates is None else certificates.expires.timestamp())
        page = driver.metrics.page(leads=driver.ready)
        return Response(page, media_type=CONTENT_TYPE_LATEST)

    return (
        Page(path="/livez", roles={"GET": OPEN}, answer=livez),
        Page(path="/readyz", roles={"GET": OPEN}, answer=readyz),
        Page(path="/metrics", roles={"GET": EVERYBODY}, answer=metrics),
        *static_files.pages(),
        *login.pages(site),
        *live.pages(driver),
        *studies.pages(site),
        *study.pages(site),
        *study_charts.pages(site),
        *tree.pages(site),
        *trials.pages(site),
        *trial.pages(site),
        *configuration.pages(site),
        *events.pages(site),
        *workers.pages(site),
        *queue.pages(site),
        *administration.pages(site),
        *action_pages.pages(site),
        *api.pages(site),
    )


def make_app(site: Site, audit: Audit, door: Door, certificates: Certificates | None = None) -> Gate:
    """The application of a server.

    Args:
        site: Renders the pages, and knows what answers.
        audit: Hears of requests that are refused for who asked.
        door: Counts who asks how much.
        certificates: For whose names it may be asked, beside this machine's own; None: for none.
    """
    return Gate(
        make_pages(site, certificates),
        tokens=lambda: site.driver.tokens,
        door=door,
        audit=audit,
        certificates=certificates,
        sessions=site.driver.sessions,
        look_again=site.driver.look_for_tokens,
        refuse=site.refuse,
        on_page=site.driver.metrics.request,
    )
