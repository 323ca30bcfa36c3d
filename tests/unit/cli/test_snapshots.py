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

from hippo_client.cli import terminal, trial
from hippo_client.cli.live_progress import Screen
from hippo_client.cli.picture import draw
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
}
each_command = pytest.mark.parametrize("name", COMMANDS)


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


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(terminal, "is_read_by_a_person", lambda: True)
    monkeypatch.setattr(trial, "is_read_by_a_person", lambda: True)


@pytest.mark.usefixtures("server")
@each_command
@pytest.mark.parametrize("columns", WIDTHS)
def test_on_a_terminal(
    name: str, columns: int, text: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_terminal(monkeypatch, columns)
    shown = text(*COMMANDS[name])
    if name.endswith(("-ls", "-tree")):
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


def test_no_color_leaves_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = screen(80, force_terminal=True, color_system="standard", _environ={"TERM": "xterm"})
    plain = screen(
        80, force_terminal=True, color_system="standard", _environ={"TERM": "xterm", "NO_COLOR": "1"}
    )
    assert "\x1b[36m" in coloured
    assert "\x1b[36m" not in plain
    compare("study-watch-no-color", plain)
