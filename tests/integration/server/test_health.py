"""Health over gRPC, which load balancers and probes ask: by service, and of a server that is about to end."""

from __future__ import annotations

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hippo_server.rpc.serving import SERVICES
from hippo_storage.errors import StorageError
from tests.waiting import until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def test_each_service_serves_until_the_server_is_told_to_end(server):
    """1. All are watched. 2. None but those that there are is known. 3. At the end each says that it serves no more."""
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watched = {
            name: stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=60)
            for name in ("", *SERVICES)
        }
        assert {next(stream).status for stream in watched.values()} == {SERVING}
        with pytest.raises(grpc.RpcError) as unknown:
            stub.Check(health_pb2.HealthCheckRequest(service="hippo.v1.Nobody"), timeout=30)
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        server.loop.call_soon_threadsafe(server._stop.set)
        assert {next(stream).status for stream in watched.values()} == {NOT_SERVING}


def test_a_storage_that_does_not_answer_is_told_and_takes_nobody_out_of_service(server, monkeypatch):
    import httpx

    from hippo_server.metrics import space

    driver = server.server.driver
    monkeypatch.setattr(space, "SPACE_SECONDS", 0.01)
    away = True

    def room():
        if away:
            raise StorageError("The folder is not mounted.")
        return type(driver.storage).space(driver.storage)

    driver.storage.space = room
    server.in_loop(
        lambda: driver.duties.keep_up(
            space.watch_space(driver.storage, driver.metrics, driver.health.note_storage)
        )
    )

    def answer():
        return httpx.get(server.url + "/readyz", timeout=60)

    until(
        lambda: answer().json()["checks"]["storage"] == "The folder is not mounted", "what the storage says"
    )
    assert answer().status_code == 200
    away = False
    until(lambda: answer().json()["checks"]["storage"] == "ok", "that it answers again")
