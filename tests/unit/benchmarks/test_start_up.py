"""What the start-up's figures are of; nothing is started here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import start_up


def test_the_first_start_in_each_home_is_the_one_that_makes_the_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A start takes 4 s where there is no database, and 2 s where there is one."""
    homes = 0
    there: set[Path] = set()

    @contextmanager
    def home() -> Iterator[Path]:
        nonlocal homes
        homes += 1
        yield tmp_path / str(homes)

    def hippo(folder: Path, command: str, *_: str) -> None:
        nonlocal now
        if command == "run":
            now += 2.0 if folder in there else 4.0
            there.add(folder)

    now = 1000.0
    monkeypatch.setattr(
        start_up,
        "processes",
        SimpleNamespace(
            home=home,
            hippo=hippo,
            study=lambda *_: (tmp_path, tmp_path),
            torch_import_seconds=lambda: 0.5,
            bare_start_seconds=lambda: 1.0,
            read_clock=lambda _: SimpleNamespace(started=now),
        ),
    )
    monkeypatch.setattr(time, "time", lambda: now)
    found = {each.name: each for each in start_up.measure()}
    assert found["new database"].values == (3.0, 3.0, 3.0)
    assert found["warm database"].values == (1.0,) * 6
    assert [each.reached for each in found.values()] == [False, None, True, None]
    assert found["new database, torch alone"].values == (3.5, 3.5, 3.5)
