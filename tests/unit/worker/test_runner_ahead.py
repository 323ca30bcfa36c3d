"""What a runner gets ready for paths whose turn is still to come."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hippo_worker.hosting.order import StartFrom
from hippo_worker.runner import ahead
from hippo_worker.runner.messages import Run
from tests.unit.hosting.orders import make_order

PRINTS = """
import os, sys
from pathlib import Path
from hippo_worker.runner.capture import Capture

folder = Path(sys.argv[1])
capture = Capture(folder / "runner.log")
for fence in (1, 2, 3):
    capture.get_ready(fence, folder / str(fence), 7)
assert sorted(os.listdir(folder / "1")) == ["7.log"]
print("idle")
capture.to_node(1, folder / "1", 7)
print("first")
capture.to_node(1, folder / "1", 8)
print("second")
capture.to_idle()
print("idle again")
capture.let_go(2)
capture.let_go(2)
before = len(os.listdir("/dev/fd"))
capture.to_node(3, folder / "3", 9)
print("another node")
assert len(os.listdir("/dev/fd")) == before - 1, "the file that was opened for another node is closed"
before = len(os.listdir("/dev/fd"))
for _ in range(20):
    capture.get_ready(4, folder / "4", 7)
    capture.let_go(4)
assert len(os.listdir("/dev/fd")) == before
"""


class Recorder:
    """Takes down what is got ready."""

    def __init__(self, fails: bool = False) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.ahead = self
        self.refused: set[int] = set()
        self._fails = fails

    def get_ready(self, fence: int, folder: Path, node: int) -> None:
        if self._fails:
            raise OSError("the disk is full")
        self.said.append(("logs", fence, folder, node))

    def let_go(self, fence: int) -> None:
        self.said.append(("let go", fence))

    def expect(self, fence: int, folder: Path) -> None:
        if fence in self.refused:
            raise RuntimeError("can't start new thread")
        self.said.append(("state", fence, folder))

    def forget(self, fence: int) -> None:
        self.said.append(("forget", fence))


def run_of(tmp_path: Path, folder: Path | None) -> Run:
    values = [{"lr": 0.1}] * 4
    start = StartFrom(node=1, step=2, fence=1, folder=folder)
    order = make_order(tmp_path, "exact_trainers:Plain", values, [(2, 2, 4)], start=start)
    return Run(fence=order.fence, order_json=json.dumps(order.to_plain()), logs=str(tmp_path / "logs"))


def ready_in(recorder: Recorder) -> ahead.GetsReady:
    host: Any = recorder
    capture: Any = recorder
    return ahead.GetsReady(host, capture)


def test_files_and_states_are_got_ready_and_let_go(tmp_path: Path) -> None:
    recorder = Recorder()
    run = run_of(tmp_path, tmp_path / "state")
    ready_in(recorder).told(run)
    ready_in(recorder).returned(run.fence)
    fence = run.fence
    assert recorder.said == [
        ("logs", fence, tmp_path / "logs", 2),
        ("state", fence, tmp_path / "state"),
        ("let go", fence),
        ("forget", fence),
    ]


def test_a_state_in_memory_is_not_read(tmp_path: Path) -> None:
    recorder = Recorder()
    ready_in(recorder).told(run_of(tmp_path, None))
    assert [said[0] for said in recorder.said] == ["logs"]


def test_an_order_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(tmp_path, None)
    ready_in(Recorder()).told(run)
    monkeypatch.setattr(ahead, "json", SimpleNamespace())
    assert ahead.order_of(run.order_json).fence == run.fence


@pytest.mark.parametrize("order", ["[]", "no json", None])
def test_what_fails_ahead_is_left_to_the_path(tmp_path: Path, order: str | None) -> None:
    run = run_of(tmp_path, tmp_path / "state")
    if order is None:
        ready_in(Recorder(fails=True)).told(run)
    else:
        ready_in(Recorder()).told(Run(fence=1, order_json=order, logs="l"))


def test_a_state_that_nobody_can_read_ahead_is_left_to_the_path(tmp_path: Path) -> None:
    recorder = Recorder()
    run = run_of(tmp_path, tmp_path / "state")
    recorder.refused.add(run.fence)
    ready_in(recorder).told(run)
    assert [said[0] for said in recorder.said] == ["logs"]


def test_what_is_printed_goes_where_it_was_got_ready_for(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", PRINTS, str(tmp_path)], check=True, timeout=60)
    printed = {str(file.relative_to(tmp_path)): file.read_text() for file in tmp_path.rglob("*.log")}
    assert printed == {
        "runner.log": "idle\nidle again\n",
        "1/7.log": "first\n",
        "1/8.log": "second\n",
        "2/7.log": "",
        "3/7.log": "",
        "3/9.log": "another node\n",
        "4/7.log": "",
    }
