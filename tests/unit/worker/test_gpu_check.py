"""The check of a GPU, against a driver that is made up: what it answers, and what follows from that."""

from __future__ import annotations

import asyncio
import ctypes
from typing import Any

import pytest

from hippo_worker.slots import health
from hippo_worker.slots.gpu_check import PROHIBITED, GpuFailed, GpuOccupied, check
from hippo_worker.slots.health import NO_ANSWER, HealthCheck


class Driver:
    """A driver's library with one GPU.

    Args:
        answers: What calls return, by name; 0 else.
        mode: The GPU's compute mode.
        flipped: What its memory makes of a byte.
    """

    def __init__(self, answers: dict[str, int] | None = None, mode: int = 0, flipped: int = 0) -> None:
        self._answers = answers or {}
        self._mode = mode
        self._flipped = flipped
        self._byte = 0
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            self.called.append(name)
            match name:
                case "cuDeviceGetAttribute":
                    arguments[0]._obj.value = self._mode
                case "cuMemsetD8_v2":
                    self._byte = arguments[1].value
                case "cuMemcpyDtoH_v2":
                    ctypes.memset(arguments[0], self._byte ^ self._flipped, arguments[2].value)
                case "cuGetErrorString":
                    arguments[1]._obj.value = b"in the driver's words"
            return self._answers.get(name, 0)

        return call


def test_a_gpu_that_keeps_what_is_written_is_in_order_and_its_memory_is_given_back() -> None:
    driver = Driver()
    check(driver)
    assert driver.called[0] == "cuInit"
    assert driver.called[-1] == "cuMemFree_v2"


@pytest.mark.parametrize("call", ["cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuMemcpyDtoH_v2"])
def test_a_call_that_fails_is_named_with_the_drivers_words(call: str) -> None:
    with pytest.raises(GpuFailed, match=f"^{call} failed with 999: in the driver's words$"):
        check(Driver({call: 999}))


@pytest.mark.parametrize("call", ["cuDevicePrimaryCtxRetain", "cuMemAlloc_v2"])
@pytest.mark.parametrize("code", [2, 46])
def test_a_gpu_that_is_full_or_held_by_its_one_process_is_not_broken(call: str, code: int) -> None:
    """A warm runner keeps what memory it had after it found too little; that is no fault of the device."""
    with pytest.raises(GpuOccupied):
        check(Driver({call: code}))


def test_a_gpu_that_nobody_may_use_or_that_forgets_has_failed() -> None:
    with pytest.raises(GpuFailed, match="compute mode is Prohibited"):
        check(Driver(mode=PROHIBITED))
    with pytest.raises(GpuFailed, match="did not keep"):
        check(Driver(flipped=1))


async def test_behind_a_check_that_no_signal_ends_no_other_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """1. A check hangs in the driver. 2. However often it is asked, there is one process. 3. That has ended: another
    is asked."""
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.1)
    started: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def note(*command: Any, **options: Any) -> asyncio.subprocess.Process:
        started.append(await start(*command, **options))
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", note)
    check_of_device = HealthCheck(("/bin/sh", "-c", "exec sleep 600"), {})
    with monkeypatch.context() as deaf:
        deaf.setattr(asyncio.subprocess.Process, "kill", lambda process: None)
        for _ in range(3):
            assert await check_of_device.failure() == NO_ANSWER
    assert len(started) == 1
    started[0].kill()
    await started[0].wait()
    assert await check_of_device.failure() == NO_ANSWER
    assert len(started) > 1
    for each in started:
        await each.wait()
