"""The calls of the RPC services, as pages make them for whoever asks: the same roles, answers and audit log."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from google.protobuf.message import Message
from starlette.requests import Request

from hippo_core.errors import HippoError, NotAllowed, Unavailable
from hippo_server.audit import Audit
from hippo_server.auth.roles import METHOD_ROLES, least_words
from hippo_server.driver import Driver
from hippo_server.rpc.auditing import audited
from hippo_server.rpc.gate import call_as
from hippo_server.web.page import caller, peer

PACKAGE = "/hippo.v1."


class Calls:
    """Calls services within the process.

    Args:
        driver: Knows whether this server leads.
        audit: Hears of calls that change something, and of those that are refused.
    """

    def __init__(self, driver: Driver, audit: Audit) -> None:
        self._driver = driver
        self._audit = audit
        self._services: Mapping[str, object] = {}

    def serve(self, **services: object) -> None:
        """Takes the services, by name, once they are there: pages are answered before."""
        self._services = services

    async def call(self, request: Request, method: str, message: Message) -> Any:
        """What a method answers.

        Args:
            request: For the page, on behalf of whose caller the method is called.
            method: As ``StudyService/GetStudy``.
            message: What is asked.

        Raises:
            HippoError: As the method does; ``NotAllowed`` where the caller's role does not suffice.
        """
        with self._calling(request, method, message) as behaviour:
            return await behaviour(message, None)

    async def stream(self, request: Request, method: str, message: Message) -> AsyncIterator[Any]:
        """What a method answers, one by one; arguments and errors as those of ``call``."""
        with self._calling(request, method, message) as behaviour:
            async for answer in behaviour(message, None):
                yield answer

    @contextlib.contextmanager
    def _calling(self, request: Request, method: str, message: Message) -> Iterator[Callable[..., Any]]:
        who, result = caller(request), "OK"
        try:
            allowed = METHOD_ROLES.get(PACKAGE + method, frozenset())
            if who.role not in allowed:
                raise NotAllowed(
                    f"this needs the role {least_words(allowed)}; '{who.user}' is {who.role.value}.",
                    "Log in with another token.",
                )
            self._driver.require_no_standby()
            service, _, name = method.partition("/")
            if service not in self._services:
                raise Unavailable(f"{self._driver.not_ready}.", "Try again in a moment.")
            call_as(who)
            yield getattr(self._services[service], name)
        except HippoError as error:
            result = error.code
            raise
        finally:
            noted = audited(PACKAGE + method, peer(request.scope), who, message, result)
            if noted is not None:
                self._audit.note(noted)
