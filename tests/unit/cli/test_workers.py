"""``hippo worker``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hippo_client.cli import worker as worker_commands
from hippo_client.cli.main import call
from hippo_wire.v1 import admin_pb2
from tests.unit.cli.answers import WORKER, Server


@pytest.mark.usefixtures("server")
def test_worker_ls_and_drain(
    text: Callable[..., str],
    result: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (shown,) = result("worker", "ls")
    assert (shown["worker"], shown["state"], shown["slots"][1]["study"]) == ("w", "live", None)
    assert text("worker").splitlines() == [
        "WORKER  HOST  STATE  SLOT  DEVICE  DOES",
        "w       h     live      0  EPYC    digits at step 9",
        "w       h     live      1  EPYC    idle",
    ]
    assert result("worker", "drain", "w")["worker"] == "w"
    for elsewhere, again in ((True, "`hippo-worker`"), (False, "`hippo run STUDY.py` or `hippo up`")):
        monkeypatch.setattr(worker_commands, "is_elsewhere", lambda home, answer=elsewhere: answer)
        assert call(["worker", "drain", "w"]) == 0
        assert capsys.readouterr().err == f"It saves what it trains and leaves; {again} starts it again.\n"


def test_a_worker_whose_saves_the_storage_holds_up_says_so(
    server: Server, text: Callable[..., str], result: Callable[..., Any]
) -> None:
    worker = admin_pb2.Worker()
    worker.CopyFrom(WORKER)
    worker.blocked = "The storage is full (need 3 MiB, free 1 MiB)."
    server.answers["ListWorkers"] = admin_pb2.ListWorkersResponse(workers=[worker])
    assert result("worker", "ls")[0]["blocked"] == worker.blocked
    shown = text("worker", "show", "w")
    assert f"digits at step 9; blocked: storage: {worker.blocked}" in shown
    assert f"): blocked: storage: {worker.blocked}" in shown
