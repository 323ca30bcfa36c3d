"""HTML: templates, the fragments of a page that change by themselves, and refusals in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jinja2
import jinja2.nodes
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from hippo_core import words
from hippo_core.errors import NotFound
from hippo_server.auth.roles import ADMINS, EDITORS
from hippo_server.driver import Driver
from hippo_server.web.actions import DONE, new_request_id
from hippo_server.web.addresses import query, segment
from hippo_server.web.calls import Calls
from hippo_server.web.content_policy import POLICY
from hippo_server.web.live import mark_of
from hippo_server.web.refusal import Refusal, error_json
from hippo_server.web.static_files import address

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    # Under "no-referrer" browsers send forms with "Origin: null", which the gate takes for another site's.
    "Referrer-Policy": "same-origin",
}


class Site:
    """Renders templates.

    Args:
        driver: What pages read of.
        calls: The services, for pages that ask what commands ask.
    """

    def __init__(self, driver: Driver, calls: Calls) -> None:
        self.driver = driver
        self.calls = calls
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("hippo_server.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            moment=moment,
            number=words.number,
            percent=words.percent,
            time_taken=words.time_taken,
            hyperparameter=words.hyperparameter,
            segment=segment,
        )
        # Macros are there in fragments, too, which are rendered without the imports of their page.
        self._templates.globals.update(
            plural=words.plural, query=query, new_request_id=new_request_id, static=address
        )
        self._templates.globals.update(vars(self._templates.get_template("macros.html").module))
        self._extended = self._find_extended()

    def _find_extended(self) -> dict[str, str]:
        """The template that each one extends, where it does."""
        found = {}
        for name in self._templates.list_templates():
            assert self._templates.loader is not None
            source, _, _ = self._templates.loader.get_source(self._templates, name)
            for extends in self._templates.parse(source).find_all(jinja2.nodes.Extends):
                found[name] = str(extends.template.as_const())
        return found

    def mark(self) -> str:
        """Up to where a page knows what changed that reads from now on."""
        return mark_of(self.driver.current())

    def show(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: Any,
    ) -> Response:
        """A page; or of it the block that ``?fragment=NAME`` asks for, for a page that is open already.

        Args:
            request: What is asked.
            template: The file among the templates.
            status: HTTP's.
            headers: What the answer carries beside.
            context: What the template shows.
        """
        who = request.scope.get("hippo.caller")
        page = self._templates.get_template(template)
        known = {
            "request": request,
            "path": request.url.path,
            "who": who,
            "may_edit": who is not None and who.role in EDITORS,
            "may_manage": who is not None and who.role in ADMINS,
            "mark": "",
            "told": DONE.get(request.query_params.get("done", ""), ""),
            **context,
        }
        fragment = request.query_params.get("fragment") if status < 400 else None
        text = page.render(known) if fragment is None else self._fragment(template, fragment, known)
        return HTMLResponse(text, status, {**HEADERS, **(headers or {})})

    def _fragment(self, template: str | None, name: str, known: Mapping[str, Any]) -> str:
        """A block of a template, or of one that it extends.

        Raises:
            NotFound: There is none of that name.
        """
        while template is not None:
            found = self._templates.get_template(template)
            if name in found.blocks:
                return "".join(found.blocks[name](found.new_context(dict(known))))
            template = self._extended.get(template)
        raise NotFound("this page has no such fragment.")

    def refuse(self, request: Request, refusal: Refusal) -> Response:
        """A refusal: for people who ask with a browser as a page, else as JSON."""
        if "text/html" not in request.headers.get("accept", "") or request.url.path.startswith("/api"):
            return error_json(refusal)
        return self.show(
            request,
            "refusal.html",
            status=refusal.status,
            headers=refusal.headers,
            refusal=refusal,
            study=_study_of(request, refusal),
            # A link from elsewhere comes without the cookie, which is for our own pages; this page's own is.
            comes_from_elsewhere=refusal.status == 401
            and request.method == "GET"
            and request.headers.get("sec-fetch-site") in ("cross-site", "same-site"),
        )


def _study_of(request: Request, refusal: Refusal) -> str:
    """The study below whose pages something was refused; empty: below none, or it is the study that is not there."""
    study = request.path_params.get("study", "")
    return "" if refusal.error.message.startswith("there is no study") else study


def moment(at: datetime | str | None) -> Markup:
    """A time, in UTC; where the page's modules run they write it in the reader's zone."""
    if at is None or at == "":
        return Markup("")
    found = (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(UTC)
    written = f"{found:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        found.isoformat(timespec="seconds").replace("+00:00", "Z"), written, written
    )
