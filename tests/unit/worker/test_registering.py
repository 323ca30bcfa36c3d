"""A worker that registers names the leases that it holds, as they are when the server knows it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from hippo_core.engine.commands import HeldLease, RegisterWorker
from hippo_wire.v1 import worker_pb2
from hippo_worker.connection import ServerConnection
from hippo_worker.settings import Endpoint


class Desk:
    """Holds leases, some of which it drops while the server is called."""

    def __init__(self, *held: tuple[int, ...]) -> None:
        self.held = [tuple(HeldLease(fence=fence, acknowledged=0) for fence in fences) for fences in held]
        self.told: list[worker_pb2.RegisterWorkerResponse] = []

    def registration(self) -> RegisterWorker:
        return RegisterWorker(
            worker="w", incarnation="i", host="h", slots=(), environment={}, leases=self.held[0]
        )

    async def registered(self, response: worker_pb2.RegisterWorkerResponse) -> None:
        self.told.append(response)


@pytest.mark.parametrize("held", [[(1, 2)], [(1, 2), (2,)], [(1, 2), (2,), ()]])
async def test_what_is_dropped_while_a_worker_registers_is_not_taken_to_be_held(
    monkeypatch: pytest.MonkeyPatch, held: list[tuple[int, ...]]
) -> None:
    """It is registered again until nothing is dropped meanwhile, and told the server's last answer."""
    desk = Desk(*held)
    connection = ServerConnection(Endpoint(server="127.0.0.1:1", token="t"), cast(Any, desk))
    named: list[list[int]] = []

    async def call(method: Any, request: worker_pb2.RegisterWorkerRequest, **_: Any) -> Any:
        named.append([lease.fence for lease in request.leases])
        if len(desk.held) > 1:
            del desk.held[0]
        return worker_pb2.RegisterWorkerResponse(term=len(named), heartbeat_seconds=1.0, lease_seconds=6.0)

    monkeypatch.setattr(connection._connection, "call", call)
    await connection._register()
    await connection.close()
    assert named[-1] == list(held[-1])
    assert len(named) == len(held)
    assert [response.term for response in desk.told] == [len(held)]
