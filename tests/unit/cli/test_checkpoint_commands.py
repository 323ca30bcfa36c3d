"""``hippo checkpoint``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from hippo_client.cli import checkpoint as commands
from hippo_client.cli.main import call
from hippo_wire.v1 import checkpoint_pb2
from tests.unit.cli.answers import KEPT


class Checkpoints:
    """What a server made by hand answers; and the last request of each kind."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.over = ""
        self.collected = KEPT[:1]

    def ListCheckpoints(self, request: Any) -> Any:  # noqa: N802
        self.asked.append(request)
        place = int(request.page_token or 0)
        return checkpoint_pb2.ListCheckpointsResponse(
            checkpoints=KEPT[place : place + 1],
            study=checkpoint_pb2.CheckpointBudget(used_bytes=2048, limit_bytes=4096),
            storage=checkpoint_pb2.CheckpointBudget(used_bytes=1 << 30, over=self.over),
            next_page_token="" if place else "1",
        )

    def PinCheckpoint(self, request: Any) -> Any:  # noqa: N802
        self.asked.append(request)
        return checkpoint_pb2.PinCheckpointResponse(trial=3, step=9, size_bytes=12)

    def UnpinCheckpoints(self, request: Any) -> Any:  # noqa: N802
        self.asked.append(request)
        return checkpoint_pb2.UnpinCheckpointsResponse(pin_count=2 if request.HasField("trial") else 1)

    def CollectCheckpoints(self, request: Any) -> Any:  # noqa: N802
        self.asked.append(request)
        return checkpoint_pb2.CollectCheckpointsResponse(
            checkpoints=self.collected, checkpoint_count=1, size_bytes=3 << 19
        )


@pytest.fixture
def checkpoints(monkeypatch: pytest.MonkeyPatch) -> Checkpoints:
    fake = Checkpoints()

    @contextmanager
    def connect(**_: object) -> Iterator[Any]:
        study = SimpleNamespace(name="digits", best_trial=None)
        yield SimpleNamespace(connection=SimpleNamespace(checkpoints=fake), study=lambda name: study)

    monkeypatch.setattr(commands, "connect", connect)
    return fake


def test_ls_tells_why_each_is_kept_and_what_it_would_cost_again(
    checkpoints: Checkpoints,
    text: Callable[..., str],
    result: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert text("checkpoint", "ls", "digits").splitlines() == [
        "NODE  STEP     SIZE  WHY                  AGAIN  TRIALS         STEPS",
        "   7     3  1.5 MiB  keep= says so        1.5 s  0, 4               3",
        "   7     9     12 B  pinned         10 min 00 s  0 and 11 more      6",
    ]
    checkpoints.over = "over budget: 1.0 GiB of 512.0 MiB; 1.0 GiB pinned"
    assert call(["checkpoint", "ls", "digits"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "The study's checkpoints: 2.0 KiB of 4.0 KiB",
        "All studies' checkpoints: over budget: 1.0 GiB of 512.0 MiB; 1.0 GiB pinned",
    ]
    assert result("checkpoint", "ls", "digits")[1] == {
        "node": 7,
        "step": 9,
        "fence": 5,
        "bytes": 12,
        "need": "pinned",
        "reason": "pinned",
        "steps": 6,
        "seconds": 600.0,
        "trials": [0],
        "trial_count": 12,
    }


def test_pin_and_unpin(
    checkpoints: Checkpoints, text: Callable[..., str], result: Callable[..., Any]
) -> None:
    assert text("checkpoint", "pin", "digits") == "Pinned: trial 3 of digits at step 9, 12 B.\n"
    asked = checkpoints.asked[-1]
    assert (asked.name, asked.HasField("trial"), asked.HasField("step")) == ("digits", False, False)
    told = result("checkpoint", "pin", "digits", "--trial", "3", "--step", "9")
    assert told == {"study": "digits", "trial": 3, "step": 9, "bytes": 12}
    asked = checkpoints.asked[-1]
    assert (asked.trial, asked.step) == (3, 9)
    assert text("checkpoint", "unpin", "digits", "--trial", "3") == "2 pins have gone.\n"
    assert text("checkpoint", "unpin", "digits") == "1 pin has gone.\n"
    assert result("checkpoint", "unpin", "digits") == {"study": "digits", "unpinned": 1}


def test_gc_tells_what_went_or_would_go(
    checkpoints: Checkpoints, result: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["checkpoint", "gc", "digits", "--to", "1KiB", "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "keep= says so" in said.out
    assert said.err == "1 checkpoint, 1.5 MiB, would go.\n"
    asked = checkpoints.asked[-1]
    assert (asked.name, asked.to_bytes, asked.dry_run) == ("digits", 1024, True)
    told = result("checkpoint", "gc")
    assert (told["count"], told["bytes"], told["checkpoints"][0]["node"]) == (1, 3 << 19, 7)
    asked = checkpoints.asked[-1]
    assert (asked.name, asked.HasField("to_bytes"), asked.dry_run) == ("", False, False)
    assert asked.request_id


def test_gc_of_all_studies_tells_of_no_trials(checkpoints: Checkpoints, text: Callable[..., str]) -> None:
    assert "TRIALS" in text("checkpoint", "gc", "digits")
    checkpoints.collected = [checkpoint_pb2.KeptCheckpoint(node=7, step=3, reason="nobody needs it")]
    assert text("checkpoint", "gc").splitlines()[0].split() == [
        "NODE",
        "STEP",
        "SIZE",
        "WHY",
        "AGAIN",
        "STEPS",
    ]


def test_gc_refuses_a_size_that_is_none(checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["checkpoint", "gc", "--to", "much"]) == 2
    assert "'much' is no number of bytes" in capsys.readouterr().err
    assert checkpoints.asked == []


@pytest.mark.usefixtures("checkpoints")
def test_pull_without_a_best_trial_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["checkpoint", "pull", "digits"]) == 5
    assert "digits has no best trial yet.\nHint: Name a trial (--trial N).\n" in capsys.readouterr().err
