"""Slots whose device is broken: what fails there is nobody's fault, and the server is told until it is in order."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from hippo_core.engine.commands import FailedReport
from hippo_core.engine.states import FailureClass
from hippo_worker.slots.health import HealthCheck
from tests.integration.worker.conftest import Worker, make_lease, make_program
from tests.integration.worker.scripted_server import ScriptedServer

StartWorker = Callable[..., Worker]


async def test_a_path_that_fails_on_a_broken_device_is_the_infrastructures_failure(
    server: ScriptedServer, start_worker: StartWorker, bundle: str, tmp_path: Path
) -> None:
    """
    1. slot 0's device is in order at first; the trainer raises there, which is the user's fault
    2. it breaks: the same failure is the infrastructure's, told after the slot's failed check; slot 1 trains on
    3. it is repaired: that is told, too
    """
    broken = tmp_path / "broken"
    check = f'test "$HIPPO_SLOT" = 1 || test ! -e {broken} || {{ echo "no CUDA device"; false; }}'
    start_worker("--health-check", check, "--health-seconds", "0.2", slots=2)
    raising = make_program("Dying", options={"how": "raise"})
    first = await server.grant(make_lease(bundle, 1, program=raising))
    await server.until_over(1)
    assert server.health == []
    broken.touch()
    second = await server.grant(make_lease(bundle, 2, program=raising))
    other = await server.grant(make_lease(bundle, 3, slot=1))
    await server.until_over(2, 3)
    assert [told.of(FailedReport)[0].failure for told in (first, second)] == [
        FailureClass.USER,
        FailureClass.INFRASTRUCTURE,
    ]
    message = second.of(FailedReport)[0].message
    assert message.startswith("The device of slot 0 failed its health check: no CUDA device. RuntimeError: ")
    assert other.steps == [0, 1, 2, 3]
    assert (0, True, "no CUDA device") in server.health
    broken.unlink()
    await server.until(lambda: (0, False, "") in server.health, "the word that it is in order")
    assert all(slot == 0 for slot, _, _ in server.health)


async def test_one_failed_check_is_no_failure(tmp_path: Path) -> None:
    """1. The first answer is bad, the second good. 2. Both are bad: the last line tells. 3. There is no command."""
    once = tmp_path / "once"
    script = f"test -e {once} && exit 0; touch {once}; echo hiccup; exit 1"
    variables = {"PATH": "/usr/bin:/bin"}
    assert await HealthCheck(("/bin/sh", "-c", script), variables).failure() == ""
    assert once.exists()
    assert await HealthCheck(("/bin/sh", "-c", "echo Xid 79; echo gone; exit 1"), {}).failure() == "gone"
    assert await HealthCheck(("/bin/sh", "-c", "exit 3"), {}).failure() == "exit code 3"
    assert "cannot be started" in await HealthCheck((str(tmp_path / "no"),), {}).failure()


async def test_the_check_of_gpus_fails_where_none_is_visible() -> None:
    command = (sys.executable, "-P", "-m", "hippo_worker.slots.gpu_check")
    failure = await HealthCheck(command, {"CUDA_VISIBLE_DEVICES": ""}).failure()
    assert failure.startswith(("libcuda", "cuInit failed", "cuDeviceGet failed"))
