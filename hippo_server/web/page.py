"""Pages: paths, who may do what there, and who asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from hippo_server.auth.roles import Role
from hippo_server.auth.tokens import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A path, and who may do what there.

    Attributes:
        path: As Starlette writes it: ``/studies/{name}``.
        roles: For each method the roles that it lets in; None: everybody. HEAD goes with GET.
        answer: Answers.
        streams: Whether an answer goes on for as long as the caller listens.
        counted: Whether it counts among what a caller asks.
    """

    path: str
    roles: Mapping[str, frozenset[Role] | None]
    answer: Callable[[Request], Awaitable[Response]]
    streams: bool = False
    counted: bool = True

    def allowed(self, method: str) -> frozenset[Role] | None:
        """The roles that a method lets in; None: everybody.

        Raises:
            KeyError: The page has no such method.
        """
        return self.roles["GET" if method == "HEAD" else method]

    def needs_caller(self, method: str) -> bool:
        """Whether the page has such a method, and lets in but those who are known."""
        try:
            return self.allowed(method) is not None
        except KeyError:
            return False


def by_method(
    **answers: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """What answers a page whose methods are answered differently: ``by_method(GET=show, POST=change)``."""

    async def answer(request: Request) -> Response:
        return await answers["GET" if request.method == "HEAD" else request.method](request)

    return answer


def caller(request: Request) -> Identity:
    """Who asks for a page that is not open to all."""
    who = request.scope["hippo.caller"]
    assert isinstance(who, Identity), "the gate lets nobody in whom it does not know"
    return who


def peer(scope: Scope) -> str:
    """Where a request comes from, as gRPC writes it."""
    host, port = scope.get("client") or ("", 0)
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
