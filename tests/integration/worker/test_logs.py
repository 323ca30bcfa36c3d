"""What user code prints, per lease and node."""

from __future__ import annotations

from collections.abc import Callable

from hippo_core.engine.commands import FailedReport
from tests.integration.worker.conftest import Worker, make_lease, make_program, stage
from tests.integration.worker.scripted_server import ScriptedServer

StartWorker = Callable[..., Worker]


async def test_all_ways_of_printing_come_to_the_log_of_their_node(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. a trainer prints by print, to stderr, by the descriptor and by a child process
    2. each line lies in the log of the node that was trained, in the order in which it was printed
    """
    start_worker()
    program = make_program("Loud")
    await server.grant(make_lease(bundle, 1, program=program, stages=(stage(1, 0, 1), stage(2, 1, 2))))
    await server.until_over(1)
    await server.until(lambda: b"by a child" in server.logs.get((1, 2), b""), "the second log")
    first, second = (server.logs[1, node].decode().splitlines() for node in (1, 2))
    assert first[0].startswith("setup in ")
    assert first[1:] == ["step 0", "to stderr", "by the descriptor", "by a child"]
    assert second == ["step 1", "to stderr", "by the descriptor", "by a child"]


async def test_logs_are_shipped_while_the_path_trains(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    worker = start_worker()
    await server.grant(make_lease(bundle, 1, program=make_program(options={"gate": 2})))
    await server.until(lambda: b"step 1\n" in server.logs.get((1, 1), b""))
    assert b"step 2\n" not in server.logs[1, 1]
    (worker.data / "gate").touch()
    await server.until_over(1)
    await server.until(lambda: b"step 3\n" in server.logs[1, 1])


async def test_what_a_dying_runner_printed_is_kept(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    start_worker()
    told = await server.grant(make_lease(bundle, 1, program=make_program("Dying", options={"how": "segv"})))
    await server.until_over(1)
    assert "trainer.py" in told.of(FailedReport)[0].traceback
    await server.until(lambda: b"Segmentation fault" in server.logs.get((1, 1), b""))


async def test_leases_of_one_runner_have_logs_of_their_own(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    start_worker()
    await server.grant(make_lease(bundle, 1, stages=(stage(1, 0, 2),)))
    await server.grant(make_lease(bundle, 2, stages=(stage(1, 2, 4),), start=(1, 2, 1), in_memory=True))
    await server.until_over(1, 2)
    await server.until(lambda: b"step 3" in server.logs.get((2, 1), b""))
    assert b"step 2" not in server.logs[1, 1]
    assert server.logs[2, 1].decode().splitlines() == ["step 2", "step 3"]
