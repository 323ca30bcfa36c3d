"""What worker daemons say."""

from __future__ import annotations

from collections.abc import AsyncIterator

from hippo_core.engine.engine import Engine, Result
from hippo_core.engine.workers import Registered
from hippo_core.errors import InvalidStudy
from hippo_core.names import require_name
from hippo_server.answers import asked
from hippo_server.driver import Driver
from hippo_server.rpc.gate import Context, caller
from hippo_server.rpc.tokens import Tokens
from hippo_server.rpc.work import WorkStream
from hippo_server.user_logs import UserLogs
from hippo_wire.registrations import register_from_proto
from hippo_wire.v1 import worker_pb2, worker_pb2_grpc


class WorkerService(worker_pb2_grpc.WorkerServiceServicer):
    """Registration, the stream of work, and logs.

    Args:
        driver: Decides.
        tokens: Makes the tokens of workers that join.
        logs: Keeps what user code prints.
        storage: The shared storage's address, for workers.
    """

    def __init__(self, driver: Driver, tokens: Tokens, logs: UserLogs, storage: str) -> None:
        self._driver = driver
        self._tokens = tokens
        self._logs = logs
        self._storage = storage
        self._streams: dict[str, WorkStream] = {}

    async def JoinPool(  # noqa: N802
        self, request: worker_pb2.JoinPoolRequest, context: Context
    ) -> worker_pb2.JoinPoolResponse:
        """Gets a worker a token of its own."""
        await self._tokens.join(request, caller())
        return worker_pb2.JoinPoolResponse()

    async def RegisterWorker(  # noqa: N802
        self, request: worker_pb2.RegisterWorkerRequest, context: Context
    ) -> worker_pb2.RegisterWorkerResponse:
        """Makes the worker known and settles which of its leases still stand."""
        caller().require_worker(request.worker)
        require_name(request.worker, "worker")
        command = register_from_proto(request)
        settings = self._driver.settings

        def answer(engine: Engine, result: Result) -> bytes:
            assert isinstance(result, Registered)
            return worker_pb2.RegisterWorkerResponse(
                storage=self._storage,
                revoked=result.revoked,
                heartbeat_seconds=settings.heartbeat_seconds,
                lease_seconds=settings.lease_seconds,
                orphan_seconds=settings.orphan_seconds,
            ).SerializeToString()

        term = self._driver.current()
        given = await self._driver.current().change(
            command, request.worker, asked("RegisterWorker", request, caller()), answer
        )
        response = worker_pb2.RegisterWorkerResponse.FromString(given)
        response.term = term.number
        return response

    async def Work(  # noqa: N802
        self, request_iterator: AsyncIterator[worker_pb2.WorkRequest], context: Context
    ) -> AsyncIterator[worker_pb2.WorkResponse]:
        """One stream per daemon; a new one takes the place of an earlier one."""
        first = await anext(request_iterator, None)
        if first is None or not first.worker or not first.incarnation:
            raise InvalidStudy("worker", "is not told by the first message", "Send worker and incarnation.")
        caller().require_worker(first.worker)
        stream = WorkStream(self._driver, first.worker, first.incarnation)
        earlier = self._streams.get(first.worker)
        if earlier is not None:
            earlier.replace()
        self._streams[first.worker] = stream
        try:
            async for response in stream.run(first, request_iterator):
                yield response
        finally:
            if self._streams.get(first.worker) is stream:
                del self._streams[first.worker]

    async def AppendLog(  # noqa: N802
        self, request: worker_pb2.AppendLogRequest, context: Context
    ) -> worker_pb2.AppendLogResponse:
        """Appends what user code printed during a lease."""
        state = self._driver.current().engine.state
        if request.node not in state.nodes or not 0 < request.fence <= state.last_fence:
            raise InvalidStudy("fence", f"there was no lease {request.fence} of node {request.node}")
        kept = await self._logs.append(request.node, request.fence, request.offset, request.data)
        return worker_pb2.AppendLogResponse(next_offset=kept)
