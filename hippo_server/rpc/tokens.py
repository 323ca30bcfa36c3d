"""Tokens, as administrators and joining workers ask for them.

An administrator of the project ``default``, who has the server's home, manages the tokens of all projects; one of
another project those of that.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

from hippo_core.engine.states import WorkerState
from hippo_core.errors import Conflict, InvalidStudy, NotAllowed, NotFound
from hippo_server.auth.roles import Role
from hippo_server.auth.tokens import Identity, worker_token_name
from hippo_server.driver import Driver
from hippo_server.settings import PROJECT
from hippo_server.store import Token
from hippo_wire.render import timestamp
from hippo_wire.secrets import check_hash
from hippo_wire.v1 import admin_pb2, worker_pb2

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")
MOST_USES = 10_000
LONGEST_SECONDS = 1_000_000 * 86_400  #: as far as the command line goes
PRESENT = (WorkerState.LIVE, WorkerState.DRAINING)


class Tokens:
    """Makes, lists and ends tokens.

    Args:
        driver: Knows those that are valid, and where they are kept.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def create(self, request: admin_pb2.CreateTokenRequest, who: Identity) -> admin_pb2.Token:
        """Makes a token.

        Raises:
            InvalidStudy: It cannot be as it is asked for.
            NotAllowed: It would be valid in a project that is not the asker's.
            Conflict: There is one of that name.
        """
        require_name("token", request.name)
        require_name("project", request.project or who.project)
        project = request.project or who.project
        _require_reach(who, project)
        if request.role not in set(Role):
            raise InvalidStudy(
                "role",
                f"{request.role!r} is no role",
                f"Choose one of {', '.join(role.value for role in Role)}.",
            )
        if request.role in (Role.WORKER, Role.JOIN) and project != PROJECT:
            raise NotAllowed(
                f"workers train for all projects: their tokens are those of the project {PROJECT}, not of {project}.",
                f"Let an administrator of the project {PROJECT} make it.",
            )
        expires = None
        if request.HasField("lifetime_seconds"):
            if not 0 < request.lifetime_seconds <= LONGEST_SECONDS:
                raise InvalidStudy("expires", f"must be from 1 s to {LONGEST_SECONDS // 86_400} days")
            # By this server's clock, which is what ends it: the asker's may show anything.
            expires = datetime.now(UTC) + timedelta(seconds=request.lifetime_seconds)
        uses = request.uses if request.HasField("uses") else None
        if request.role == Role.JOIN and uses is None:
            raise InvalidStudy("uses", "is missing: how many workers may join with the token")
        if request.role != Role.JOIN and uses is not None:
            raise InvalidStudy(
                "uses", f"says how many workers may join; with the role {request.role}, none may"
            )
        if uses is not None and not 0 < uses <= MOST_USES:
            raise InvalidStudy("uses", f"must be from 1 to {MOST_USES}, not {uses}")
        await self._driver.current().open_project(project, who.user)
        made = await asyncio.to_thread(
            self._driver.store.create_token,
            request.name,
            request.role,
            project,
            check_hash(request.secret_hash),
            expires_at=expires,
            uses=uses,
        )
        await self._driver.read_tokens()
        return _message(made)

    async def listed(self, who: Identity) -> list[admin_pb2.Token]:
        """The tokens that the asker manages, oldest first."""
        found = await asyncio.to_thread(self._driver.store.find_tokens)
        return [_message(each) for each in found if _reaches(who, each.project)]

    async def revoke(self, name: str, who: Identity) -> None:
        """Ends a token.

        Raises:
            NotFound: The asker manages none of that name.
            Conflict: It is the last one that all can be managed with.
        """
        found = await asyncio.to_thread(self._driver.store.find_tokens)
        if not any(each.name == name and _reaches(who, each.project) for each in found):
            raise NotFound(f"there is no token '{name}'.", "`hippo token ls` lists them.")
        left = [each.name for each in found if _manages_all(each)]
        if left == [name]:
            raise Conflict(
                f"'{name}' is the last token of an administrator of the project {PROJECT}.",
                "Make another one first: hippo token create NAME --role admin.",
            )
        await asyncio.to_thread(self._driver.store.revoke_token, name)
        await self._driver.read_tokens()

    async def join(self, request: worker_pb2.JoinPoolRequest, who: Identity) -> None:
        """Makes the token of a worker that has shown a token to join with.

        Raises:
            InvalidStudy: The worker has no name that can be one.
            NotAllowed: As many workers have joined as may.
            Conflict: A worker of that name is at work with a token of its own.
        """
        name, digest = worker_token_name(request.worker), check_hash(request.secret_hash)
        known = self._driver.current().engine.state.workers.get(request.worker)
        found = await asyncio.to_thread(self._driver.store.find_tokens)
        if known is not None and known.state in PRESENT:
            for each in found:
                if each.name == name and each.revoked_at is None and each.secret_hash != digest:
                    raise Conflict(
                        f"a worker '{request.worker}' is at work on {known.host} with a token of its own.",
                        "Give this one another --name; or end that one first.",
                    )
        await asyncio.to_thread(self._driver.store.join_pool, who.secret_hash, name, digest)
        await self._driver.read_tokens()


def require_name(what: str, text: str) -> None:
    """Makes sure that a token or a project can be called so.

    Raises:
        InvalidStudy: It cannot.
    """
    if not NAME.fullmatch(text):
        raise InvalidStudy(
            "name" if what == "token" else what,
            f"a {what} cannot be called {text!r}",
            "Use letters, digits, dots, dashes, underscores and @; at most 100, the first a letter or digit.",
        )


def _manages_all(token: Token) -> bool:
    """Whether who has it manages all tokens, now and later."""
    lasting = token.revoked_at is None and (token.expires_at is None or token.expires_at > datetime.now(UTC))
    return lasting and token.role == Role.ADMIN and token.project == PROJECT


def _reaches(who: Identity, project: str) -> bool:
    return project == who.project or who.project == PROJECT


def _require_reach(who: Identity, project: str) -> None:
    if not _reaches(who, project):
        raise NotAllowed(
            f"'{who.user}' is an administrator of the project {who.project}, not of {project}.",
            "Use a token of an administrator there, or of the project default.",
        )


def _message(token: Token) -> admin_pb2.Token:
    return admin_pb2.Token(
        name=token.name,
        role=token.role,
        project=token.project,
        create_time=timestamp(token.created_at),
        expire_time=timestamp(token.expires_at),
        revoke_time=timestamp(token.revoked_at),
        uses_left=token.uses_left,
    )
