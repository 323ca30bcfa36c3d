"""Deaths of runners, forkserver and daemon: what is told of them, and that nothing is left."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hippo_core.engine.commands import FailedReport
from hippo_core.engine.states import FailureClass
from tests.integration.worker.conftest import Bench, Worker, make_lease, make_program, until
from tests.integration.worker.scripted_server import ScriptedServer
from tests.processes import family

StartWorker = Callable[..., Worker]


def out_of_memory_score(pid: int | str) -> Path:
    """What is added to a process's use of memory when the kernel looks for one to kill, in thousandths of all."""
    return Path(f"/proc/{pid}/oom_score_adj")


@contextlib.contextmanager
def bearing(score: int) -> Iterator[None]:
    """What is started meanwhile is born with a score, as in a container that has one."""
    own = out_of_memory_score("self")
    before = own.read_text()
    try:
        own.write_text(str(score))
    except PermissionError as error:
        pytest.skip(f"this process's score cannot be lowered: {error}")
    try:
        yield
    finally:
        own.write_text(before)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("how", "failure", "words"),
    [
        ("SIGKILL", FailureClass.INFRASTRUCTURE, "killed by SIGKILL"),
        ("SIGTERM", FailureClass.INFRASTRUCTURE, "killed by SIGTERM"),
        ("segv", FailureClass.USER, "killed by SIGSEGV"),
        ("abort", FailureClass.USER, "killed by SIGABRT"),
        ("exit", FailureClass.USER, "exit code 3"),
        ("close", FailureClass.USER, "closed the runner's connection"),
    ],
)
async def test_a_runner_that_dies_is_told_with_whose_fault_it_is(
    bench: Bench, how: str, failure: FailureClass, words: str
) -> None:
    """
    1. a trainer ends its process at step 2; the failure names the death in words, and the step that was committed
    2. the next lease trains in a new runner
    """
    told, following = await bench.train(
        bench.lease(make_program("Dying", options={"how": how})), bench.lease()
    )
    (failed,) = told.of(FailedReport)
    assert failed.failure is failure
    assert words in failed.message
    assert (failed.node, failed.step) == (1, len(told.steps))
    if how == "segv":
        assert "Segmentation fault" in failed.traceback
    assert following.steps == [0, 1, 2, 3]


@pytest.mark.skipif(not out_of_memory_score("self").exists(), reason="only Linux has such scores")
@pytest.mark.parametrize(("daemon", "expected"), [(300, 800), (900, 1000)])
async def test_the_kernel_would_rather_kill_a_runner_than_its_daemon(
    server: ScriptedServer, start_worker: StartWorker, bundle: str, daemon: int, expected: int
) -> None:
    """Also where a container gave the daemon a score of its own, as Kubernetes does."""
    with bearing(daemon):
        worker = start_worker()
    await server.grant(make_lease(bundle, 1, program=make_program(options={"gate": 2})))
    await worker.until_at_gate()
    (runner,) = worker.runners()
    (forkserver,) = family(worker.process.pid, "forkserver")
    scores = [
        out_of_memory_score(pid).read_text() for pid in (worker.process.pid, forkserver.pid, runner.pid)
    ]
    assert [int(score) for score in scores] == [daemon, daemon, expected]


async def test_kill_minus_nine_of_the_daemon_leaves_no_process(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. a runner has started a process of its own and stands at its gate
    2. the daemon is killed: forkserver, runner and the runner's child are gone by themselves
    """
    worker = start_worker()
    await server.grant(make_lease(bundle, 1, program=make_program("Parent", options={"gate": 2})))
    await worker.until_at_gate()
    child = int((worker.data / "child").read_text())
    family = [process.pid for process in psutil.Process(worker.process.pid).children(recursive=True)]
    assert child in family
    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait()
    await until(lambda: not any(psutil.pid_exists(pid) for pid in family), "an end of the daemon's family")


async def test_kill_minus_nine_of_the_forkserver_costs_no_more_than_the_paths(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. the forkserver is killed; the runner and its child go with it, which is the infrastructure's fault
    2. the daemon starts another one, and the next lease trains
    """
    worker = start_worker()
    told = await server.grant(make_lease(bundle, 1, program=make_program("Parent", options={"gate": 2})))
    await worker.until_at_gate()
    child = int((worker.data / "child").read_text())
    (forkserver,) = psutil.Process(worker.process.pid).children()
    (runner,) = worker.runners()
    forkserver.kill()
    await server.until_over(1)
    (failed,) = told.of(FailedReport)
    assert failed.failure is FailureClass.INFRASTRUCTURE
    await until(lambda: not psutil.pid_exists(runner.pid) and not psutil.pid_exists(child), "their end")
    following = await server.grant(make_lease(bundle, 2))
    await server.until_over(2)
    assert following.steps == [0, 1, 2, 3]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_end_of_a_runner_is_the_end_of_what_it_started(bench: Bench) -> None:
    """A runner is replaced for another program; the process that its trainer had started is gone."""
    await bench.train(bench.lease(make_program("Parent")))
    child = int((bench.worker.data / "child").read_text())
    assert psutil.pid_exists(child)
    await bench.train(bench.lease())
    await until(lambda: not psutil.pid_exists(child), "the child's end")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_runner_that_died_idle_is_replaced_without_a_word(bench: Bench) -> None:
    (first,) = await bench.train(bench.lease())
    for runner in bench.worker.runners():
        runner.kill()
    (second,) = await bench.train(bench.lease())
    assert second.steps == [0, 1, 2, 3]
    assert first.metrics[1, 4]["pid"] != second.metrics[1, 4]["pid"]


async def test_a_new_daemon_ends_what_an_earlier_life_left(
    server: ScriptedServer, start_worker: StartWorker, bundle: str
) -> None:
    """
    1. a trainer's child has left its group and its parents, so that it outlives even the daemon's end
    2. the next daemon on the same data folder finds and ends it, and empties the spool
    """
    worker = start_worker(name="w")
    await server.grant(make_lease(bundle, 1, program=make_program("Parent", options={"detached": True})))
    await server.until_over(1)
    child = int((worker.data / "child").read_text())
    worker.end()
    assert psutil.pid_exists(child)
    (worker.folder / "spool" / "leftover").mkdir()
    server.forget_leases()
    start_worker(name="w")
    await until(lambda: not psutil.pid_exists(child), "the child's end")
    await server.until(lambda: server.streams == 2)
    assert not (worker.folder / "spool" / "leftover").exists()
    assert server.registrations[0].incarnation != server.registrations[1].incarnation


async def test_one_data_folder_serves_one_daemon(server: ScriptedServer, start_worker: StartWorker) -> None:
    start_worker(name="w")
    await server.until(lambda: server.streams == 1)
    second = start_worker(name="w")
    assert await second.ended() == 6
    assert "another hippo-worker uses" in second.log.read_text()
