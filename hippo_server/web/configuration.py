"""What a study is: its specification, as it was handed in, and the code that it trains."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hippo_core.engine.study_views import StudyView
from hippo_server.auth.roles import VIEWERS
from hippo_server.web.page import Page
from hippo_server.web.site import Site
from hippo_server.web.study import show_tab


def pages(site: Site) -> tuple[Page, ...]:
    """A study's configuration."""

    async def show(request: Request) -> Response:
        return await show_tab(site, request, "configuration", "study_configuration.html", parts=_parts)

    return (Page(path="/studies/{study}/configuration", roles={"GET": VIEWERS}, answer=show),)


def _parts(view: StudyView) -> dict[str, Any]:
    """What is said of a specification in words; all of it follows as JSON."""
    spec = dict(view.spec)
    return {
        "program": spec["program"],
        "space": spec["space"],
        "limits": {name: spec.get(name) for name in ("max_trials", "max_steps", "repeats", "priority")},
        "objectives": spec["objectives"],
        "json": json.dumps(spec, indent=2, ensure_ascii=False),
    }
