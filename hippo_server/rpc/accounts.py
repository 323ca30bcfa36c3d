"""Projects, users and bills, as clients ask for them.

An administrator of the project ``default``, who has the server's home, manages all projects; one of another project the
users of that. Whoever has no part in a project hears that there is none of that name.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

from hippo_core.engine import study_views
from hippo_core.engine.account_views import account_view, projects, seconds_saved, users
from hippo_core.engine.accounts import find_project
from hippo_core.engine.commands import ChangeAccount, Command, CreateProject, DeleteProject
from hippo_core.engine.engine import Engine, Result
from hippo_core.engine.state import EngineState
from hippo_core.errors import Conflict, InvalidStudy, NotAllowed, NotFound
from hippo_server.answers import asked
from hippo_server.auth.roles import PEOPLE, Role
from hippo_server.auth.tokens import Identity
from hippo_server.driver import Driver
from hippo_server.rpc.gate import Context, caller
from hippo_server.rpc.tokens import require_name
from hippo_server.settings import PROJECT
from hippo_server.store import Token
from hippo_wire import render
from hippo_wire.json_text import load_object
from hippo_wire.v1 import account_pb2, account_pb2_grpc


class AccountService(account_pb2_grpc.AccountServiceServicer):
    """Projects, their users, and bills.

    Args:
        driver: Decides, and knows the tokens.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def CreateProject(  # noqa: N802
        self, request: account_pb2.CreateProjectRequest, context: Context
    ) -> account_pb2.CreateProjectResponse:
        """Opens a project."""
        who = caller()
        _require_all(who, request.project)
        require_name("project", request.project)

        def answer(engine: Engine, result: Result) -> bytes:
            return account_pb2.CreateProjectResponse(
                account=render.account(account_view(engine.state, request.project, "")),
                created=result is True,
            ).SerializeToString()

        given = await self._driver.current().change(
            CreateProject(project=request.project), who.user, asked("CreateProject", request, who), answer
        )
        return account_pb2.CreateProjectResponse.FromString(given)

    async def ListProjects(  # noqa: N802
        self, request: account_pb2.ListProjectsRequest, context: Context
    ) -> account_pb2.ListProjectsResponse:
        """Lists projects."""
        who = caller()

        def look(engine: Engine) -> list[account_pb2.Account]:
            seen = [name for name in projects(engine.state) if _sees(who, name)]
            return [render.account(account_view(engine.state, name, "")) for name in seen]

        return account_pb2.ListProjectsResponse(accounts=await self._driver.current().read(look))

    async def DeleteProject(  # noqa: N802
        self, request: account_pb2.DeleteProjectRequest, context: Context
    ) -> account_pb2.DeleteProjectResponse:
        """Forgets a project."""
        who = caller()
        _require_all(who, request.project)
        if request.project == PROJECT:
            raise Conflict(f"the project '{PROJECT}' is always there.", "Delete others.")
        valid = [each.name for each in await self._valid_tokens() if each.project == request.project]
        if valid:
            raise Conflict(
                f"the project '{request.project}' has tokens that are valid: {', '.join(valid)}.",
                "Revoke them first (hippo token revoke).",
            )
        command: Command = DeleteProject(project=request.project)
        given = await self._driver.current().change(
            command,
            who.user,
            asked("DeleteProject", request, who),
            lambda engine, result: account_pb2.DeleteProjectResponse().SerializeToString(),
        )
        return account_pb2.DeleteProjectResponse.FromString(given)

    async def ListUsers(  # noqa: N802
        self, request: account_pb2.ListUsersRequest, context: Context
    ) -> account_pb2.ListUsersResponse:
        """Lists the users of a project: who has used it, and who has a token."""
        who = caller()
        project = request.project or who.project
        tokens = await self._valid_tokens()
        people = {each.name for each in tokens if each.project == project and Role(each.role) in PEOPLE}

        def look(engine: Engine) -> list[account_pb2.Account]:
            _require_seen(engine.state, who, project)
            names = sorted(people.union(users(engine.state, project)))
            return [render.account(account_view(engine.state, project, name)) for name in names]

        return account_pb2.ListUsersResponse(accounts=await self._driver.current().read(look))

    async def EditAccount(  # noqa: N802
        self, request: account_pb2.EditAccountRequest, context: Context
    ) -> account_pb2.EditAccountResponse:
        """Gives a project or a user another weight or other limits."""
        who = caller()
        project = request.project or who.project
        _require_seen(self._driver.current().engine.state, who, project)
        if not request.user:
            _require_all(who, project)
        else:
            await self._require_user(project, request.user)
        command = ChangeAccount(
            project=project, user=request.user, changes=load_object(request.changes_json, "changes_json")
        )

        def answer(engine: Engine, result: Result) -> bytes:
            view = account_view(engine.state, project, request.user)
            return account_pb2.EditAccountResponse(account=render.account(view)).SerializeToString()

        given = await self._driver.current().change(
            command, who.user, asked("EditAccount", request, who), answer
        )
        return account_pb2.EditAccountResponse.FromString(given)

    async def ListBills(  # noqa: N802
        self, request: account_pb2.ListBillsRequest, context: Context
    ) -> account_pb2.ListBillsResponse:
        """Lists what studies were billed: those of the asker's project; of all, for the project default."""
        who, term = caller(), self._driver.current()
        since = None
        if request.HasField("since_time"):
            try:
                since = request.since_time.ToDatetime(UTC)
            except (ValueError, OverflowError) as error:
                raise InvalidStudy(
                    "since_time", f"is no time: {error}.", "Give seconds from 1970 on."
                ) from error

        def look(engine: Engine) -> dict[int, float]:
            found = {}
            for study in engine.state.studies.values() if since is None else ():
                savings = study_views.study_view(engine, study.project, study.name, time.monotonic()).savings
                found[study.id] = seconds_saved(study, savings.seconds_trained + savings.seconds_saved)
            return found

        saved = await term.read(look)
        bills = await asyncio.to_thread(
            self._driver.store.find_bills, None if who.project == PROJECT else who.project, since
        )
        return account_pb2.ListBillsResponse(
            bills=[
                account_pb2.Bill(
                    project=each.project,
                    user=each.user,
                    study=each.study,
                    deleted=each.deleted,
                    slot_microseconds=each.slot_microseconds,
                    gpu_microseconds=each.gpu_microseconds,
                    seconds_saved=saved.get(each.id),
                )
                for each in bills
            ]
        )

    async def _valid_tokens(self) -> list[Token]:
        now = datetime.now(UTC)
        found = await asyncio.to_thread(self._driver.store.find_tokens)
        return [
            each
            for each in found
            if all(end is None or end > now for end in (each.expires_at, each.revoked_at))
        ]

    async def _require_user(self, project: str, user: str) -> None:
        """Makes sure that there is such a user.

        Raises:
            NotFound: Nobody of that name has used the project, or has a token for it.
        """
        known = users(self._driver.current().engine.state, project)
        tokens = [each.name for each in await self._valid_tokens() if each.project == project]
        if user not in {*known, *tokens}:
            raise NotFound(
                f"there is no user '{user}' in the project {project}.",
                "`hippo user ls` lists them; a user is called as the token is (hippo token create).",
            )


def _sees(who: Identity, project: str) -> bool:
    return project == who.project or (who.project == PROJECT and who.role is Role.ADMIN)


def _require_seen(state: EngineState, who: Identity, project: str) -> None:
    """Raises NotFound for a project that is not there, or that the asker has no part in."""
    if not _sees(who, project):
        raise NotFound(f"there is no project '{project}'.", "hippo project ls lists those that you may see.")
    find_project(state, project)


def _require_all(who: Identity, project: str) -> None:
    """Lets only administrators of the project default manage projects."""
    if who.project != PROJECT:
        if project != who.project:
            raise NotFound(
                f"there is no project '{project}'.", "hippo project ls lists those that you may see."
            )
        raise NotAllowed(
            f"'{who.user}' is an administrator of the project {who.project}, and may not change what it may use.",
            "Ask an administrator of the project default.",
        )
