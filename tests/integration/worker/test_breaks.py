"""Broken connections, servers that come and go, leases that no longer stand."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from hippo_core.engine.commands import TrainedReport
from hippo_wire.v1 import worker_pb2
from tests.integration.worker.conftest import Worker, make_lease, make_program, stage, until
from tests.integration.worker.scripted_server import ScriptedServer

StartWorker = Callable[..., Worker]


async def test_reports_survive_breaks_and_come_once_each_in_order(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. the server takes reports in without acknowledging them, and the stream breaks, three times
    2. each time the worker registers again with the lease it holds, and sends the reports again, unchanged
    3. every step, metric and state has arrived once, in order (the server itself checks the numbers)
    """
    start_worker()
    server.silent = True
    program = make_program(options={"pause": 0.02})
    told = await server.grant(make_lease(bundle, 1, program=program, stages=(stage(1, 0, 60),)))
    for breaks in (1, 2, 3):
        seen = len(told.reports) + told.repeats
        await server.until(lambda seen=seen: len(told.reports) + told.repeats > seen)
        await server.cut()
        await server.until(lambda breaks=breaks: server.streams == breaks + 1)
        assert [lease.fence for lease in server.registrations[-1].leases] == [1]
    server.silent = False
    await server.until_over(1)
    assert told.steps == list(range(60))
    assert list(told.metrics) == [(1, step) for step in range(1, 61)]
    assert told.saved == [(1, 60)]
    assert told.repeats >= 1
    assert len({registration.incarnation for registration in server.registrations}) == 1


async def test_a_worker_trains_on_while_the_server_is_away(
    server: ScriptedServer, start_worker: StartWorker, bundle: str, tmp_path: Path
) -> None:
    """
    1. the server dies at step 2 and stays away until the path is trained to its end
    2. it comes back on another port, which its file tells: everything is told then
    """
    file = tmp_path / "server.json"

    def tell() -> None:
        (tmp_path / "draft").write_text(json.dumps({"grpc": f"127.0.0.1:{server.port}"}))
        (tmp_path / "draft").replace(file)

    tell()
    worker = start_worker("--server-file", str(file))
    program = make_program(options={"gate": 2})
    told = await server.grant(make_lease(bundle, 1, program=program))
    await worker.until_at_gate()
    await server.stop()
    (worker.data / "gate").touch()
    states = worker.folder / "spool" / "states"
    published = worker.folder / "checkpoints"
    await until(lambda: list(published.glob("*.manifest")), "the end's checkpoint")
    await until(lambda: not list(states.glob("*")), "an empty spool")
    assert told.saved == []
    await server.start_elsewhere()
    tell()
    await server.until_over(1)
    assert told.steps == [0, 1, 2, 3]
    assert told.saved == [(1, 4)]


@pytest.mark.parametrize("status", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
async def test_an_error_of_the_server_costs_the_stream_and_no_path(
    server: ScriptedServer, start_worker: StartWorker, bundle: str, status: grpc.StatusCode
) -> None:
    """
    1. the stream ends with an error that no worker expects, while a path trains
    2. the worker connects anew with the same path in the same life, and trains it to its end
    """
    worker = start_worker()
    program = make_program(options={"gate": 2})
    told = await server.grant(make_lease(bundle, 1, program=program))
    await worker.until_at_gate()
    await server.cut(status)
    await server.until(lambda: server.streams == 2)
    assert [lease.fence for lease in server.registrations[-1].leases] == [1]
    (worker.data / "gate").touch()
    await server.until_over(1)
    assert told.steps == [0, 1, 2, 3]
    assert len({registration.incarnation for registration in server.registrations}) == 1


async def test_what_an_earlier_leader_says_is_not_listened_to(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. the worker has registered with term 5
    2. a lease that comes with term 4 is not trained; the worker connects anew
    3. a registration that answers with term 4 is not taken; one with term 6 is
    """
    server.term = 5
    start_worker()
    await server.until(lambda: server.streams == 1)
    server.term = 4
    told = await server.grant(make_lease(bundle, 1))
    await server.until(lambda: len(server.registrations) >= 3)
    assert server.streams == 1
    assert told.items == []
    server.term = 6
    await server.until_over(1)
    assert server.streams == 2
    assert told.steps == [0, 1, 2, 3]


async def test_a_revoked_lease_is_dropped_at_once(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. a path in the middle of a step that never ends is revoked
    2. its runner goes, the slot trains the next lease, and nothing more is told of the first
    """
    worker = start_worker()
    stuck = make_program(options={"gate": 2})
    told = await server.grant(make_lease(bundle, 1, program=stuck, save_points=((1, 1),)))
    await worker.until_at_gate()
    await server.until(lambda: told.saved == [(1, 1)])
    server.forget_leases()
    await server.say(worker_pb2.WorkResponse(revoked=[1]))
    following = await server.grant(make_lease(bundle, 2))
    await server.until_over(2)
    assert following.steps == [0, 1, 2, 3]
    assert (told.steps, told.ended) == ([0], False)
    await until(lambda: len(worker.runners()) == 1, "the end of the stuck runner")


async def test_a_lease_revoked_at_registration_is_dropped(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    worker = start_worker()
    told = await server.grant(make_lease(bundle, 1, program=make_program(options={"gate": 2})))
    await worker.until_at_gate()
    server.revoked_at_registration = [1]
    server.forget_leases()
    await server.cut()
    following = await server.grant_when_connected(make_lease(bundle, 2), streams=2)
    await server.until_over(2)
    assert following.steps == [0, 1, 2, 3]
    assert not told.ended
    assert set(told.steps) <= {0}


async def test_a_worker_that_is_alone_for_too_long_drops_its_leases(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. the orphan grace is a second; the server dies with a path at a gate
    2. the runner is gone before the server is back; nothing is reported of the path any more
    """
    server.orphan_seconds = 1.0
    worker = start_worker()
    told = await server.grant(make_lease(bundle, 1, program=make_program(options={"gate": 2})))
    await worker.until_at_gate()
    await server.stop()
    await until(lambda: not worker.runners(), "the end of the orphan")
    server.forget_leases()
    await server.start()
    await server.until(lambda: server.streams == 2)
    assert not told.ended
    assert server.registrations[-1].leases == ()


async def test_a_server_that_stops_answering_is_left(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """Nothing breaks, but nothing is acknowledged either: after a lease's time the worker connects anew."""
    server.lease_seconds = 1.0
    server.deaf = True
    start_worker()
    told = await server.grant(make_lease(bundle, 1))
    await server.until(lambda: server.streams == 2)
    server.deaf = False
    await server.until_over(1)
    assert told.steps == [0, 1, 2, 3]


async def test_heartbeats_come_while_there_is_nothing_to_say(
    server: ScriptedServer, start_worker: StartWorker
) -> None:
    start_worker()
    await server.until(lambda: server.heartbeats >= 4)
    assert server.told == {}


async def test_a_lease_said_again_is_trained_once(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. a stream breaks while a path trains, and again after its end was acknowledged
    2. the server says the lease again each time; it is neither begun nor reported anew
    """
    worker = start_worker()
    order = make_lease(bundle, 1, program=make_program(options={"gate": 2}))
    told = await server.grant(order)
    await worker.until_at_gate()
    await server.cut()
    await server.until(lambda: server.streams == 2)
    (worker.data / "gate").touch()
    await server.until_over(1)
    await server.grant(order)
    following = await server.grant(make_lease(bundle, 2))
    await server.until_over(2)
    assert told.steps == following.steps == [0, 1, 2, 3]
    assert len(told.of(TrainedReport)) == 1


async def test_a_storage_that_hangs_costs_no_heartbeat(
    server: ScriptedServer, start_worker: StartWorker, bundle: str, tmp_path: Path
) -> None:
    """
    1. the storage does not answer when the worker fetches the code: reading it never ends, without an error
    2. heartbeats go on as before, and the lease is held
    3. the storage answers: the path is trained to its end under the same lease
    """
    (archive,) = [each for each in (tmp_path / "storage").rglob(f"*{bundle}*") if each.is_file()]
    data = archive.read_bytes()
    archive.unlink()
    os.mkfifo(archive)
    start_worker()
    told = await server.grant_when_connected(make_lease(bundle, 1), streams=1)
    beats = server.heartbeats
    await server.until(lambda: server.heartbeats >= beats + 10, "heartbeats")
    assert told.items == []
    answered = asyncio.to_thread(archive.write_bytes, data)
    await asyncio.wait_for(answered, 60)
    await server.until_over(1)
    assert told.steps == [0, 1, 2, 3]
