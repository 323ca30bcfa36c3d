"""What commands print, as files beside this one: at three widths of a terminal, and into a pipe.

``HIPPO_SNAPSHOTS=write pytest tests/unit/cli/test_snapshots.py`` writes them anew; look at each before it is kept.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from hippo_client.cli import plan, terminal, trial, watching
from hippo_client.cli.live_progress import Screen
from hippo_client.cli.main import call
from hippo_client.cli.picture import draw
from hippo_client.handles.study import StudyHandle
from hippo_client.watching import StudySnapshot
from hippo_wire.v1 import study_pb2
from hippo_wire.v1.checkpoint_pb2 import CheckpointBudget, KeptCheckpoint, ListCheckpointsResponse
from tests.unit.cli.answers import Server
from tests.unit.cli.every_command import client_of
from tests.unit.cli.pictures import snapshot
from tests.unit.cli.pictures import trial as made

FOLDER = Path(__file__).parent / "snapshots"
WIDTHS = (60, 80, 120)
COMMANDS = {
    "study-ls": ("study", "ls"),
    "study-show": ("study", "show", "digits"),
    "study-savings": ("study", "savings", "digits"),
    "study-tree": ("study", "tree", "digits"),
    "trial-ls": ("trial", "ls", "digits"),
    "trial-show": ("trial", "show", "digits", "3"),
    "trial-explain": ("trial", "explain", "digits", "3"),
    "worker-ls": ("worker", "ls"),
    "checkpoint-ls": ("checkpoint", "ls", "digits"),
    "usage": ("usage",),
    "usage-by-study": ("usage", "--by", "study"),
    "plan": ("plan", "digits.py", "wider.py"),
}
#: Of which no line may be wider than the terminal.
TABLES = ("-ls", "-tree", "usage", "-study", "plan")
each_command = pytest.mark.parametrize("name", COMMANDS)


PLANNED = """
import hippo_client as hippo
from hippo_client import policies, schedules, space

study = hippo.Study(
    "trainer:Trainer",
    {{"learning_rate": {rate}, "batch_size": space.choice([32, schedules.piecewise([32, 128], [18])])}},
    minimize="loss", max_trials={trials}, max_steps=27, policy=policies.asha(),
)
"""
BRANCHES = (
    "space.choice([schedules.multistep(0.1, gamma=0.1, milestones=[9, each]) for each in (12, 15, 18)])"
)
PARTS = "schedules.piecewise([space.uniform(0.1, 0.9), space.uniform(0.1, 0.9)], milestones=[9])"


@pytest.fixture(autouse=True)
def _studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.py").write_text(PLANNED.format(rate=BRANCHES, trials=6))
    (tmp_path / "wider.py").write_text(PLANNED.format(rate=PARTS, trials=60))


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Moments are shown in the zone of who reads them."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def compare(name: str, shown: str) -> None:
    """Holds what is shown against the file."""
    file = FOLDER / f"{name}.txt"
    if os.environ.get("HIPPO_SNAPSHOTS") == "write":
        FOLDER.mkdir(exist_ok=True)
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")


@pytest.fixture
def server(server: Server) -> Server:
    """With more to show of checkpoints than one could read at a glance."""
    reasons = {"pinned": [3], "the best trial ends here": [0, 4, 7], "trials may go on from it": [*range(12)]}
    kept = [
        KeptCheckpoint(
            node=7 + place, step=9 * place + 3, size_bytes=3 << 19 << place, reason=reason, steps=9 * place,
            seconds=1.5 * 60**place, trials=trials[:5], trial_count=len(trials),
        )
        for place, (reason, trials) in enumerate(reasons.items())
    ]  # fmt: skip
    budget = CheckpointBudget(used_bytes=7 << 20, limit_bytes=10 << 30)
    server.answers["ListCheckpoints"] = ListCheckpointsResponse(
        checkpoints=kept, study=budget, storage=budget
    )
    return server


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(terminal, "is_read_by_a_person", lambda: True)
    monkeypatch.setattr(trial, "is_read_by_a_person", lambda: True)
    monkeypatch.setattr(plan, "is_read_by_a_person", lambda: True)


@pytest.mark.usefixtures("server")
@each_command
@pytest.mark.parametrize("columns", WIDTHS)
def test_on_a_terminal(
    name: str, columns: int, text: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_terminal(monkeypatch, columns)
    shown = text(*COMMANDS[name])
    if name.endswith(TABLES):
        assert max(map(len, shown.splitlines())) <= columns
    compare(f"{name}-{columns}", shown)


@pytest.mark.usefixtures("server")
@each_command
def test_into_a_pipe(name: str, text: Callable[..., str]) -> None:
    shown = text(*COMMANDS[name])
    assert "\x1b" not in shown
    compare(f"{name}-pipe", shown)


def screen(columns: int, **options: object) -> str:
    trials = [
        made(
            number,
            ("running", "completed", "stopped", "failed", "paused")[number % 5] if number < 12 else "waiting",
            min(27, 3 * (number % 5) + 3),
            0.9 + number / 1000,
            {"lr": 0.1 / (1 + number), "batch_size": 32 + number, "momentum": 0.9 + number % 2 / 20},
        )
        for number in range(16)
    ]
    out = io.StringIO()
    console = Console(file=out, width=columns, **options)  # type: ignore[arg-type]
    console.print(Screen(draw(snapshot(trials, best=11)), 75.0))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_study_that_is_watched(columns: int) -> None:
    shown = screen(columns)
    assert max(map(len, shown.splitlines())) <= columns
    compare(f"study-watch-{columns}", shown)


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_study_that_is_watched_off_a_terminal(
    columns: int, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output has the result alone; how wide a terminal would be is no matter."""
    client = client_of(server)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(watching, "with_server", lambda work, **_: work(client, tuple))
    monkeypatch.setattr(StudyHandle, "follow", lambda _, shown, **__: [shown.show(each) for each in course()])
    assert call(["study", "watch", "digits"]) == 0
    out, err = capsys.readouterr()
    assert out == (FOLDER / "study-show-pipe.txt").read_text(encoding="utf-8")
    compare("study-watch-pipe", err)


def course() -> Iterator[StudySnapshot]:
    """Two trials, as they go on."""
    rates = [{"lr": rate, "batch_size": 32} for rate in (0.1, 0.05)]
    steps = ((3, 0.5, "running"), (9, 0.81, "paused"), (27, 0.97, "completed"))
    yield snapshot([made(number, "waiting", 0, None, rates[number]) for number in (0, 1)])
    for step, accuracy, state in steps:
        trials = [
            made(
                0, "running" if step < 9 else "stopped", min(step, 9), 0.4, rates[0], reason="rung 9: 2 of 2"
            ),
            made(1, state, step, accuracy, rates[1]),
        ]
        yield snapshot(trials, best=1)
    yield snapshot(trials, best=1, state=study_pb2.STUDY_STATE_COMPLETED, changed=[])


def test_no_color_leaves_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = screen(80, force_terminal=True, color_system="standard", _environ={"TERM": "xterm"})
    plain = screen(
        80, force_terminal=True, color_system="standard", _environ={"TERM": "xterm", "NO_COLOR": "1"}
    )
    assert "\x1b[36m" in coloured
    assert "\x1b[36m" not in plain
    compare("study-watch-no-color", plain)
