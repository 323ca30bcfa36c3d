"""What administrators ask."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from hippo_core.engine import worker_views
from hippo_core.engine.commands import CordonSlots, DrainWorker, UncordonSlots
from hippo_core.engine.engine import Engine, Result
from hippo_server.answers import asked
from hippo_server.auth.roles import Role
from hippo_server.auth.tokens import Identity
from hippo_server.driver import Driver
from hippo_server.rpc.gate import Context, caller
from hippo_server.rpc.paging import page_position, page_size
from hippo_server.rpc.tokens import Tokens
from hippo_server.settings import PROJECT
from hippo_server.store.audit import Audited
from hippo_wire import render
from hippo_wire.secrets import check_hash
from hippo_wire.v1 import admin_pb2, admin_pb2_grpc
from hippo_wire.versions import own_version

WorkerCommand = DrainWorker | CordonSlots | UncordonSlots
Answer = TypeVar(
    "Answer",
    admin_pb2.DrainWorkerResponse,
    admin_pb2.CordonWorkerResponse,
    admin_pb2.UncordonWorkerResponse,
)


class AdminService(admin_pb2_grpc.AdminServiceServicer):
    """Workers, tokens, and the server itself.

    Args:
        driver: Decides.
        tokens: Makes and ends tokens.
        database_version: PostgreSQL's.
        http_port: Where browsers find the server.
    """

    def __init__(self, driver: Driver, tokens: Tokens, database_version: str, http_port: int) -> None:
        self._driver = driver
        self._tokens = tokens
        self._database_version = database_version
        self._http_port = http_port

    async def GetServer(  # noqa: N802
        self, request: admin_pb2.GetServerRequest, context: Context
    ) -> admin_pb2.GetServerResponse:
        """Says who asks, and which server answers."""
        who, store = caller(), self._driver.store
        term = self._driver.current().number
        leader, standbys = await asyncio.to_thread(lambda: (store.leader(), store.standbys()))
        return admin_pb2.GetServerResponse(
            version=own_version(),
            term=term,
            user=who.user,
            role=who.role.value,
            project=who.project,
            database_version=self._database_version,
            holder="" if leader is None else leader.holder,
            lead_time=None if leader is None else render.timestamp(leader.since),
            standbys=[
                admin_pb2.StandbyServer(holder=each.holder, address=each.address, version=each.version)
                for each in standbys
            ],
        )

    async def ListWorkers(  # noqa: N802
        self, request: admin_pb2.ListWorkersRequest, context: Context
    ) -> admin_pb2.ListWorkersResponse:
        """Lists workers with their slots; what those train is told of the asker's project, or of all."""
        project = _project_seen(caller())
        found = await self._driver.current().read(worker_views.worker_views)
        times = await self._driver.times()
        return admin_pb2.ListWorkersResponse(
            workers=[render.worker(each, times.workers.get(each.name), project) for each in found]
        )

    async def DrainWorker(  # noqa: N802
        self, request: admin_pb2.DrainWorkerRequest, context: Context
    ) -> admin_pb2.DrainWorkerResponse:
        """Lets a worker save, release its leases and leave."""
        command = DrainWorker(worker=request.worker)
        return await self._change_worker(command, "DrainWorker", request, admin_pb2.DrainWorkerResponse)

    async def CordonWorker(  # noqa: N802
        self, request: admin_pb2.CordonWorkerRequest, context: Context
    ) -> admin_pb2.CordonWorkerResponse:
        """Grants slots of a worker nothing more."""
        slot = request.slot if request.HasField("slot") else None
        command = CordonSlots(worker=request.worker, slot=slot, reason=request.reason)
        return await self._change_worker(command, "CordonWorker", request, admin_pb2.CordonWorkerResponse)

    async def UncordonWorker(  # noqa: N802
        self, request: admin_pb2.UncordonWorkerRequest, context: Context
    ) -> admin_pb2.UncordonWorkerResponse:
        """Lets slots of a worker be granted paths again."""
        command = UncordonSlots(
            worker=request.worker, slot=request.slot if request.HasField("slot") else None
        )
        return await self._change_worker(command, "UncordonWorker", request, admin_pb2.UncordonWorkerResponse)

    async def CreateToken(  # noqa: N802
        self, request: admin_pb2.CreateTokenRequest, context: Context
    ) -> admin_pb2.CreateTokenResponse:
        """Makes a token."""
        return admin_pb2.CreateTokenResponse(token=await self._tokens.create(request, caller()))

    async def ListTokens(  # noqa: N802
        self, request: admin_pb2.ListTokensRequest, context: Context
    ) -> admin_pb2.ListTokensResponse:
        """Lists tokens."""
        return admin_pb2.ListTokensResponse(tokens=await self._tokens.listed(caller()))

    async def RevokeToken(  # noqa: N802
        self, request: admin_pb2.RevokeTokenRequest, context: Context
    ) -> admin_pb2.RevokeTokenResponse:
        """Ends a token."""
        await self._tokens.revoke(request.name, caller())
        return admin_pb2.RevokeTokenResponse()

    async def ListCalls(  # noqa: N802
        self, request: admin_pb2.ListCallsRequest, context: Context
    ) -> admin_pb2.ListCallsResponse:
        """Lists calls of the audit log: those of the asker's project, or of all for the project default."""
        who, size = caller(), page_size(request.page_size, 100, 1000)
        found = await asyncio.to_thread(
            self._driver.store.find_calls,
            project=_project_seen(who),
            actor=request.actor or None,
            denied=request.denied,
            before=page_position(request.page_token),
            limit=size + 1,
        )
        return admin_pb2.ListCallsResponse(
            calls=[_call(each) for each in found[:size]],
            next_page_token=str(found[size - 1].id) if len(found) > size else "",
        )

    async def CreateLoginLink(  # noqa: N802
        self, request: admin_pb2.CreateLoginLinkRequest, context: Context
    ) -> admin_pb2.CreateLoginLinkResponse:
        """Makes a link known that logs a browser in."""
        expires_at = self._driver.sessions.offer(check_hash(request.secret_hash), caller().secret_hash)
        return admin_pb2.CreateLoginLinkResponse(
            expire_time=render.timestamp(expires_at), http_port=self._http_port
        )

    async def _change_worker(
        self,
        command: WorkerCommand,
        method: str,
        request: Any,
        response: type[Answer],
    ) -> Answer:
        """Changes a worker, and shows it as it is after that."""
        who, times = caller(), await self._driver.times()

        def answer(engine: Engine, result: Result) -> bytes:
            found = next(each for each in worker_views.worker_views(engine) if each.name == command.worker)
            message: Any = response(
                worker=render.worker(found, times.workers.get(found.name), _project_seen(who))
            )
            given: bytes = message.SerializeToString()
            return given

        given = await self._driver.current().change(command, who.user, asked(method, request, who), answer)
        made: Any = response
        parsed: Answer = made.FromString(given)
        return parsed


def _project_seen(who: Identity) -> str | None:
    """Of which project somebody is told; None: of all, as an administrator of the project default is."""
    return None if who.project == PROJECT and who.role is Role.ADMIN else who.project


def _call(found: Audited) -> admin_pb2.AuditedCall:
    call = found.call
    return admin_pb2.AuditedCall(
        id=found.id,
        answer_time=render.timestamp(call.at),
        actor=call.actor,
        role=call.role,
        project=call.project,
        peer=call.peer,
        method=call.method,
        subject=call.subject,
        request_id=call.request_id,
        digest=call.digest,
        result=call.result,
    )
