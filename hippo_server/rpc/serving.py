"""The gRPC server: the services behind the gate, reflection, and health."""

from __future__ import annotations

import errno
import socket

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer

from hippo_core.errors import Conflict
from hippo_server.audit import Audit
from hippo_server.auth.limits import Door
from hippo_server.driver import Driver
from hippo_server.rpc.accounts import AccountService
from hippo_server.rpc.admin import AdminService
from hippo_server.rpc.gate import Gate
from hippo_server.rpc.retention import CheckpointService
from hippo_server.rpc.studies import StudyService
from hippo_server.rpc.workers import WorkerService
from hippo_wire.channel import LARGEST_MESSAGE_BYTES
from hippo_wire.v1 import (
    account_pb2,
    account_pb2_grpc,
    admin_pb2,
    admin_pb2_grpc,
    checkpoint_pb2,
    checkpoint_pb2_grpc,
    study_pb2,
    study_pb2_grpc,
    worker_pb2,
    worker_pb2_grpc,
)

SERVICES = (
    study_pb2.DESCRIPTOR.services_by_name["StudyService"].full_name,
    worker_pb2.DESCRIPTOR.services_by_name["WorkerService"].full_name,
    admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name,
    checkpoint_pb2.DESCRIPTOR.services_by_name["CheckpointService"].full_name,
    account_pb2.DESCRIPTOR.services_by_name["AccountService"].full_name,
)
LARGEST_HEADERS_BYTES = 16 << 10
OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second server on the port is an error, not a lottery
    ("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES),
    ("grpc.max_send_message_length", LARGEST_MESSAGE_BYTES),
    ("grpc.max_metadata_size", LARGEST_HEADERS_BYTES),
    ("grpc.absolute_max_metadata_size", LARGEST_HEADERS_BYTES),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)


class GrpcServer:
    """gRPC on one port.

    Args:
        driver: Decides, and knows the tokens.
        studies: The service for clients.
        workers: The service for workers.
        admin: The service for administrators.
        checkpoints: The service for what is kept.
        accounts: The service for projects, users and bills.
        audit: Hears of calls that change something, and of those that are refused.
        door: Counts who asks how much.
    """

    def __init__(
        self,
        driver: Driver,
        studies: StudyService,
        workers: WorkerService,
        admin: AdminService,
        checkpoints: CheckpointService,
        accounts: AccountService,
        audit: Audit,
        door: Door,
    ) -> None:
        self._driver = driver
        self._health = HealthServicer()
        self._server = grpc.aio.server(
            interceptors=(Gate(driver, audit, door),), options=OPTIONS, maximum_concurrent_rpcs=2000
        )
        study_pb2_grpc.add_StudyServiceServicer_to_server(studies, self._server)
        worker_pb2_grpc.add_WorkerServiceServicer_to_server(workers, self._server)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(admin, self._server)
        checkpoint_pb2_grpc.add_CheckpointServiceServicer_to_server(checkpoints, self._server)
        account_pb2_grpc.add_AccountServiceServicer_to_server(accounts, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        listed = (
            *SERVICES,
            health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
            reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].full_name,
        )
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(ReflectionServicer(listed), self._server)

    async def start(self, host: str, port: int, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listens; returns the port, which is a free one where 0 was asked for.

        Args:
            host: At which address.
            port: At which port.
            credentials: For TLS; None: nothing is encrypted.

        Raises:
            Conflict: The port is taken.
        """
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        _require_free(host, port, address)
        try:
            bound = (
                self._server.add_insecure_port(address)
                if credentials is None
                else self._server.add_secure_port(address, credentials)
            )
        except RuntimeError as error:
            raise Conflict(
                f"the address {address} cannot be used: {error}.", "Choose another port with --grpc-port."
            ) from error
        await self.show_health()
        await self._server.start()
        return bound

    async def show_health(self) -> None:
        """Tells health checks whether calls can be answered now."""
        serving = health_pb2.HealthCheckResponse.SERVING
        status = serving if self._driver.ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", *SERVICES):
            await self._health.set(service, status)

    async def follow_health(self) -> None:
        """Keeps health up to date, until cancelled."""
        with self._driver.readiness.listen() as changed:
            while True:
                changed.clear()
                await self.show_health()
                await changed.wait()

    async def leave(self) -> None:
        """Tells health checks that the server goes."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_seconds: float) -> None:
        """Answers no further call, and ends those that take longer than a moment."""
        await self._server.stop(grace_seconds)


def _require_free(host: str, port: int, address: str) -> None:
    """Makes sure that nobody listens there, in words: gRPC logs a line of its own where somebody does.

    Raises:
        Conflict: Somebody does.
    """
    if not port:
        return
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"the address {address} cannot be used: it is in use.",
                "Choose another port with --grpc-port.",
            ) from error
