from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from hippo_client.local import Attachment, Home, attach, record, shut_down
from hippo_client.local.processes import started_at
from tests.waiting import until

STAND_IN = Path(__file__).parent / "stand_in.py"


@dataclass
class Stage:
    """A home whose supervisor runs stand-ins."""

    home: Home

    @property
    def launch(self) -> list[str]:
        return [sys.executable, str(STAND_IN), "supervisor", str(self.home.path)]

    def attach(self, **options: object) -> Attachment:
        return partial(attach, self.home, launch=self.launch)(**options)  # type: ignore[arg-type]

    def happenings(self) -> list[list[str]]:
        """Words and process of each happening, in order."""
        try:
            return [line.split() for line in (self.home.path / "happenings").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def times(self, *words: str) -> int:
        return sum(happening[: len(words)] == list(words) for happening in self.happenings())

    def pid(self, name: str) -> int:
        """The process of the latest child of that name."""
        return int([happening[-1] for happening in self.happenings() if happening[:2] == [name, "up"]][-1])

    def supervisor_pid(self) -> int:
        return int(Path(f"/proc/{self.pid('server')}/stat").read_text().rpartition(")")[2].split()[1])

    def ended(self) -> bool:
        """Whether the home is free: nobody holds its lock, or it was never made."""
        if not self.home.lock_file.exists():
            return True
        descriptor = record.lock(self.home)
        if descriptor is None:
            return False
        os.close(descriptor)
        return True


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("LINGER_SECONDS", "0.3")
    stage = Stage(Home.at(tmp_path / "home"))
    stage.home.create()
    yield stage
    for name in ("worker-saves", "server-is-stubborn"):
        (stage.home.path / name).unlink(missing_ok=True)
    shut_down(stage.home)
    until(stage.ended, "the supervisor's end")
    for happening in stage.happenings():
        assert not lives(int(happening[-1])), f"{happening} is left over"


def lives(pid: int) -> bool:
    """Whether the process runs; a zombie, which an orphan may remain where nobody collects it, does not."""
    return started_at(pid) is not None


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
