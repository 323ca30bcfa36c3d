"""Leaving: what is saved, given back and said before a worker ends."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from pathlib import Path

from hippo_core.engine.commands import ReleasedReport
from hippo_wire.v1 import worker_pb2
from tests.integration.worker.conftest import PATIENCE_SECONDS, Worker, make_lease, make_program, until
from tests.integration.worker.scripted_server import ScriptedServer

StartWorker = Callable[..., Worker]


async def test_sigterm_saves_gives_back_and_leaves(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. one path is in its step 2, another waits for the slot; SIGTERM comes
    2. the first saves the state after that step, which becomes durable before the lease is given back
    3. the other is given back without training; then the worker says that it leaves, and exits with 0
    """
    worker = start_worker()
    gated = make_program(options={"told": 2})
    first = await server.grant(make_lease(bundle, 1, program=gated))
    second = await server.grant(make_lease(bundle, 2, program=gated))
    await worker.until_at_gate("told")
    worker.process.send_signal(signal.SIGTERM)
    await server.until(lambda: server.draining)
    assert await worker.ended() == 0
    assert server.left
    assert first.steps == [0, 1, 2]
    assert first.saved == [(1, 3)]
    assert isinstance(first.items[-1], ReleasedReport)
    assert second.steps == []
    assert isinstance(second.items[-1], ReleasedReport)
    await worker.until_nothing_is_left()


async def test_a_second_sigterm_ends_at_once(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """The runner stands in a step that never ends; the worker leaves without it, and nothing of it survives."""
    worker = start_worker()
    told = await server.grant(make_lease(bundle, 1, program=make_program(options={"gate": 2})))
    await worker.until_at_gate()
    worker.process.send_signal(signal.SIGTERM)
    await server.until(lambda: server.draining)
    worker.process.send_signal(signal.SIGTERM)
    assert await worker.ended() == 0
    assert server.left
    assert not told.ended
    await worker.until_nothing_is_left()


async def test_a_drain_lasts_no_longer_than_its_grace(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """The runner stands in a step that does not end within the grace: it is left to the server as it is."""
    worker = start_worker("--drain-seconds", "0.2")
    told = await server.grant(make_lease(bundle, 1, program=make_program(options={"gate": 2})))
    await worker.until_at_gate()
    worker.process.send_signal(signal.SIGTERM)
    assert await worker.ended() == 0
    assert server.left
    assert not told.ended
    await worker.until_nothing_is_left()


async def test_the_server_can_ask_a_worker_to_drain(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    worker = start_worker()
    told = await server.grant(make_lease(bundle, 1, program=make_program(options={"gate": 2, "told": 2})))
    await worker.until_at_gate()
    await server.say(worker_pb2.WorkResponse(drain=True))
    await server.until(lambda: server.draining)
    late = await server.grant(make_lease(bundle, 2))
    await server.until(lambda: late.ended)
    (worker.data / "gate").touch()
    assert await worker.ended() == 0
    assert told.saved == [(1, 3)]
    assert late.steps == []


async def test_a_worker_ends_by_itself_when_there_is_nothing_to_do(
    server: ScriptedServer, start_worker: StartWorker, bundle: str, tmp_path: Path
) -> None:
    """A path is trained to its end, no other one comes, and the worker leaves; its service manager hears of it all."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_SECONDS)
        worker = start_worker("--exit-when-idle", "5s", NOTIFY_SOCKET=str(tmp_path / "notify"))
        told = await server.grant(make_lease(bundle, 1))
        assert await worker.ended() == 0
        assert server.left
        assert told.steps == [0, 1, 2, 3]
        heard = [manager.recv(1000).decode().partition("\n")[0] for _ in range(3)]
        assert heard == ["READY=1", "STATUS=w is known to the server", "STOPPING=1"]


async def test_an_idle_worker_leaves_at_once(server: ScriptedServer, start_worker: StartWorker) -> None:
    worker = start_worker()
    await server.until(lambda: server.streams == 1)
    worker.process.send_signal(signal.SIGINT)
    assert await worker.ended() == 0
    assert server.left


async def test_a_drain_without_a_server_ends_after_a_leases_time(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """What it could give back has expired by then; the exit code tells that it was not said."""
    server.lease_seconds = 2.0
    worker = start_worker()
    await server.grant(make_lease(bundle, 1, program=make_program(options={"gate": 2})))
    await worker.until_at_gate()
    await server.stop()
    (worker.data / "gate").touch()
    worker.process.send_signal(signal.SIGTERM)
    assert await worker.ended() == 3
    await worker.until_nothing_is_left()


async def test_a_drain_in_a_break_is_said_on_the_next_stream(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    worker = start_worker()
    told = await server.grant(make_lease(bundle, 1, program=make_program(options={"told": 2})))
    await worker.until_at_gate("told")
    await server.stop()
    worker.process.send_signal(signal.SIGTERM)
    await until(lambda: list(worker.folder.glob("checkpoints/*.manifest")), "the state that the drain saves")
    await server.start()
    assert await worker.ended() == 0
    assert told.saved == [(1, 3)]
    assert server.left
