"""What is said to the service manager that started a program."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hippo_wire.service_manager import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A manager's socket, and its address as it stands in the environment."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@hippo-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(60.0)
        listening.bind(address.replace("@", "\0", 1))
        yield listening, address


def test_it_is_told_what_the_program_does(manager: tuple[socket.socket, str]) -> None:
    listening, address = manager
    told = ServiceManager.of({"NOTIFY_SOCKET": address})
    told.ready("serves")
    told.status("leads")
    told.stopping("ends")
    assert [listening.recv(1000) for _ in range(3)] == [
        b"READY=1\nSTATUS=serves",
        b"STATUS=leads",
        b"STOPPING=1\nSTATUS=ends",
    ]


def test_what_a_program_starts_does_not_speak_for_it() -> None:
    variables = {
        "NOTIFY_SOCKET": "/x",
        "WATCHDOG_USEC": "9000000",
        "WATCHDOG_PID": str(os.getpid()),
        "PATH": "/bin",
    }
    assert ServiceManager.of(variables).watchdog_seconds == 9.0
    assert variables == {"PATH": "/bin"}


@pytest.mark.parametrize(
    "variables",
    [{}, {"WATCHDOG_USEC": "9000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}],
    ids=["none", "for another process", "no number"],
)
def test_a_watchdog_that_does_not_watch_this_process_is_given_no_signs(variables: dict[str, str]) -> None:
    assert ServiceManager.of({"NOTIFY_SOCKET": "/x", **variables}).watchdog_seconds is None


async def test_signs_of_life_come_more_than_once_in_the_time_that_one_is_waited_for(
    manager: tuple[socket.socket, str],
) -> None:
    listening, address = manager
    living = asyncio.create_task(ServiceManager(address, watchdog_seconds=0.03).keep_alive())
    for _ in range(3):
        assert await asyncio.to_thread(listening.recv, 1000) == b"WATCHDOG=1"
    living.cancel()


async def test_without_a_manager_nothing_is_said() -> None:
    nobody = ServiceManager.of({"WATCHDOG_USEC": "9000000"})
    nobody.ready("serves")
    await nobody.keep_alive()


def test_a_manager_that_is_gone_costs_nothing(tmp_path: Path) -> None:
    ServiceManager(str(tmp_path / "gone")).ready("serves")
