"""Where the forms of actions are sent, and the pages that ask before one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hippo_core.errors import HippoError, InvalidStudy, NotAllowed
from hippo_server.auth.roles import METHOD_ROLES
from hippo_server.web.actions import ACTIONS, Action, Form
from hippo_server.web.calls import PACKAGE
from hippo_server.web.forms import read_form
from hippo_server.web.page import Page, by_method, caller
from hippo_server.web.refusal import status_of
from hippo_server.web.site import Site


def pages(site: Site) -> tuple[Page, ...]:
    """A page for each action: where its form is sent, and what asks first."""
    return tuple(_page(site, action) for action in ACTIONS)


def _page(site: Site, action: Action) -> Page:
    roles = METHOD_ROLES[PACKAGE + action.method]

    async def act(request: Request) -> Response:
        form, parts = await read_form(request), request.path_params
        try:
            message = action.make(parts, form)
            if "request_id" in message.DESCRIPTOR.fields_by_name:
                message.request_id = form.get("request_id", "")  # type: ignore[attr-defined]
            await site.calls.call(request, action.method, message)
        except NotAllowed:
            raise
        except HippoError as error:
            if not action.consequences:
                raise
            return await show(request, form, error)
        return RedirectResponse(f"{action.back(parts)}?done={action.word}", 303)

    async def show(request: Request, form: Form, error: HippoError | None) -> Response:
        project, parts = caller(request).project, request.path_params
        further = await site.driver.current().read(lambda engine: action.further(engine, project, parts))
        fields = (*action.fields, *further)
        wrong = error.field if isinstance(error, InvalidStudy) else ""
        return site.show(
            request,
            "action.html",
            status=200 if error is None else status_of(error),
            action=action,
            subject_name=", ".join(f"{name} {value}" for name, value in request.path_params.items()),
            back=action.back(request.path_params),
            fields=fields,
            values=form,
            error=error,
            wrong=next(
                (each.name for each in fields if wrong and wrong.startswith(each.error or each.name)), ""
            ),
        )

    async def ask(request: Request) -> Response:
        return await show(request, dict(request.query_params), None)

    if not action.consequences:
        return Page(path=action.path, roles={"POST": roles}, answer=by_method(POST=act))
    return Page(path=action.path, roles={"GET": roles, "POST": roles}, answer=by_method(GET=ask, POST=act))
